"""Whatever is written in colour can be read: WCAG 2.2 asks for a contrast of 4.5 to 1 (success criterion 1.4.3)."""

import re
from pathlib import Path

import pytest

CSS = (Path(__file__).parents[3] / "streams" / "console" / "static" / "console.css").read_text()
SCHEMES = re.findall(r"\{\s*(?:color-scheme: (?:light )?dark;)?\s*(--ground: [^}]*)\}", CSS)
INKS = ("ink", "muted", "accent", "approve", "step_up", "review", "decline", "good", "behind", "losing", "quiet")
TAGS = ("approve", "step_up", "review", "decline", "good", "behind", "losing")


def colours(block: str) -> dict[str, tuple[float, ...]]:
    found = re.findall(r"--([a-z_-]+): #([0-9a-fA-F]{6});", block)
    return {name: tuple(int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)) for name, digits in found}


def luminance(colour: tuple[float, ...]) -> float:
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_the_formula_is_that_of_the_standard() -> None:
    assert contrast((0, 0, 0), (1, 1, 1)) == pytest.approx(21.0)
    assert contrast((0x77 / 255,) * 3, (1, 1, 1)) == pytest.approx(4.48, abs=0.01)


def test_both_ways_to_the_dark_scheme_give_the_same_colours() -> None:
    light, dark, chosen = map(colours, SCHEMES)
    assert dark == chosen
    assert dark.keys() == light.keys()


@pytest.mark.parametrize("block", SCHEMES[:2], ids=["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(block: str) -> None:
    known = colours(block)
    tint = int(re.findall(r"--tint: (\d+)%", block)[0]) / 100
    pairs = [(ink, ground, known[ink], known[ground]) for ink in INKS for ground in ("card", "ground")]
    for tag in TAGS:
        behind = tuple(tint * own + (1 - tint) * card for own, card in zip(known[tag], known["card"], strict=True))
        pairs.append((tag, "its tag", known[tag], behind))
    poor = [(ink, ground) for ink, ground, one, other in pairs if contrast(one, other) < 4.5]
    assert contrast(known["accent-ink"], known["accent"]) >= 4.5
    assert poor == []
