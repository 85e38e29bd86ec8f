"""Every alert has its page, and a page names only what exists."""

import re
from pathlib import Path

import pytest

from streams.alert_docs import table
from streams.alert_kinds import KINDS, AlertKind
from tests.test_deploy import METRICS, ROOT, RULES, metrics_in

FOLDER = ROOT / "docs" / "runbooks"
LIST = FOLDER / "README.md"
PAGES = sorted(set(FOLDER.glob("*.md")) - {LIST})
HEADINGS = ["Look first", "Do", "It ends", "False alarm"]
FAMILIES = {re.sub(r"_(bucket|sum|count)$", "", name) for name in METRICS}
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)


def test_there_is_a_page_for_each_alert_and_no_other() -> None:
    assert [page.stem for page in PAGES] == sorted([*KINDS, *(rule["alert"] for rule in RULES)])


@every_page
def test_a_page_says_what_it_means_who_is_hurt_what_to_do_and_how_it_ends(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    title, meaning, hurt, rest = text.split("\n\n", 3)
    assert title == f"# {page.stem}"
    assert len(meaning.split()) >= 8
    assert hurt.startswith("**Who is hurt.** ")
    assert re.findall(r"^## (.*)$", rest, re.MULTILINE) == HEADINGS
    assert all(part.strip() for part in re.split(r"^## .*$", rest, flags=re.MULTILINE)[1:])


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_page_and_the_registry_agree_on_who_is_hurt(kind: AlertKind) -> None:
    assert f"**Who is hurt.** {kind.hurt}\n" in (ROOT / kind.runbook).read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_page_says_how_to_snooze_its_alert(kind: AlertKind) -> None:
    name = f"{kind.name}:SUBJECT" if kind.finding.endswith(":") else kind.name
    assert f"\nassay alerts snooze {name} --for " in (ROOT / kind.runbook).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", [*PAGES, LIST], ids=lambda path: path.stem)
def test_a_page_names_only_what_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert metrics_in(text) <= METRICS | FAMILIES
    for target in re.findall(r"\]\(([^)#]+)", text):
        assert (FOLDER / target).is_file(), target
    named = set(re.findall(r"`(Assay\w+|[a-z]+(?:-[a-z]+)+)`", text))
    assert named <= {*KINDS, *(rule["alert"] for rule in RULES)}


def test_the_list_holds_the_registry() -> None:
    assert table() in LIST.read_text(encoding="utf-8"), "put what `python -m streams.alert_docs` prints into the list"


def test_the_list_holds_every_rule_with_its_severity() -> None:
    rows = re.findall(r"^\| \[(Assay\w+)\]\((\w+)\.md\) \| (\w+) \|", LIST.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [(rule["alert"], rule["alert"], rule["labels"]["severity"]) for rule in RULES]


def test_another_registry_gives_another_list() -> None:
    assert table(list(KINDS.values())[1:]) not in LIST.read_text(encoding="utf-8")
