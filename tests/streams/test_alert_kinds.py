"""Every finding that models and warm path can make has one kind of alert, and every kind has findings and a page."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from features.records import Alert
from models.breaker import BreakerState
from models.finding import Finding, Level
from streams.alert_kinds import BREAKER, KINDS, AlertKind, breaker_findings, concern_of
from streams.schema import schema

ROOT = Path(__file__).parents[2]
MODULES = sorted([*(ROOT / "models").glob("*.py"), *(ROOT / "streams" / "warm").glob("*.py")])
MEASURES = {"alert", "step_up", "review", "decline"}
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def finding(name: str, level: Level = "act") -> Finding:
    return Finding(name=name, level=level, value=1.0, expected=0.0, text="something is wrong")


def pattern(node: ast.expr) -> str | None:
    """A name as it is written, with ``*`` for what is put into it; None for what is no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in node.values)
    return None


def calls_of(tree: ast.AST, name: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
            yield node


def names_in(source: str) -> set[str]:
    """Names of every `Finding` that a module makes, also where a function is given the name by its callers."""
    tree, found = ast.parse(source), set()
    for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
        for made in calls_of(function, "Finding"):
            (given,) = [word.value for word in made.keywords if word.arg == "name"]
            written = pattern(given)
            if written is not None:
                found.add(written)
                continue
            assert isinstance(given, ast.Name), "a name is a text, or an argument of its function"
            place = [argument.arg for argument in function.args.args].index(given.id)
            handed = [pattern(call.args[place]) for call in calls_of(tree, function.name)]
            assert handed, f"nobody calls {function.name}"
            assert None not in handed, f"{function.name} is given a name that this test cannot read"
            found |= {name for name in handed if name is not None}
    return found


NAMES = set().union(*(names_in(path.read_text(encoding="utf-8")) for path in MODULES))


def test_the_walk_finds_names_however_they_are_given() -> None:
    source = """
def direct(feature):
    return [Finding(name="whole", level="act"), Finding(name=f"part:{feature.name}", level="act")]
def helper(what, name):
    return Finding(level="warn", name=name)
def calls():
    return helper("this", "other:one"), helper("that", "other:two")
"""
    assert names_in(source) == {"whole", "part:*", "other:one", "other:two"}


def test_the_walk_covers_every_place_that_makes_a_finding() -> None:
    texts = [path.read_text(encoding="utf-8") for path in MODULES]
    made = sum(len(list(calls_of(ast.parse(text), "Finding"))) for text in texts)
    assert made == sum(len(re.findall(r"(?<!class )\bFinding\(", text)) for text in texts) >= 8
    assert {"volume", "psi:score", "psi:*", "missing:*", "level:alert"} <= NAMES


@pytest.mark.parametrize("level", ["warn", "act"])
@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_finding_has_a_kind(name: str, level: Level) -> None:
    kind, subject = concern_of(finding(name.replace("*", "the_subject"), level))
    assert kind.finding == name.replace("*", "")
    assert kind.level in (None, level)
    assert subject == ("the_subject" if "*" in name else "")


@every_kind
def test_every_kind_has_findings(kind: AlertKind) -> None:
    assert kind.finding in {name.replace("*", "") for name in NAMES} | {BREAKER}


@every_kind
def test_every_kind_has_a_page(kind: AlertKind) -> None:
    assert (ROOT / kind.runbook).is_file(), f"write {kind.runbook}"


@every_kind
def test_every_kind_has_a_name_that_the_schema_takes_and_says_who_is_hurt(kind: AlertKind) -> None:
    assert KINDS[kind.name] is kind
    assert set(Alert.__struct_fields__) == set(schema("alert")["properties"])
    assert kind.name.replace("-", "").isalpha()
    assert kind.name.islower()
    assert kind.hurt.endswith(".")
    assert len(kind.hurt.split()) >= 6


def test_no_finding_belongs_to_two_kinds() -> None:
    taken = [
        (kind.finding, level) for kind in KINDS.values() for level in ("warn", "act") if kind.level in (None, level)
    ]
    assert len(taken) == len(set(taken))


@pytest.mark.parametrize("measure", sorted(MEASURES))
def test_the_share_of_each_decision_is_a_subject(measure: str) -> None:
    assert concern_of(finding(f"share:{measure}"))[1] == measure


def test_a_feature_that_is_gone_wakes_somebody_and_one_that_comes_less_often_does_not() -> None:
    gone, less = (concern_of(finding("missing:ratio", level)) for level in ("act", "warn"))
    assert (gone.kind.name, gone.kind.severity) == ("feature-lost", "page")
    assert (less.kind.name, less.kind.severity) == ("missing-values", "ticket")


@pytest.mark.parametrize("name", ["", ":", "psi:", "psi", "unheard", "unheard:of", "volume:x", "PSI:x"])
def test_a_finding_without_a_kind_is_our_own_mistake(name: str) -> None:
    with pytest.raises(AssertionError, match="has no kind of alert"):
        concern_of(finding(name))


def test_the_breaker_is_found_until_it_is_closed() -> None:
    assert breaker_findings(BreakerState(phase="closed"), "step_up", "why") == []
    for phase, action, decides in (
        ("open", "step_up", "a step-up takes the place of reviews and declines"),
        ("open", "none", "the model goes on deciding"),
        ("probing", "step_up", "the model decides on trial"),
    ):
        (found,) = breaker_findings(BreakerState(phase=phase), action, "too many declines", is_held=True)
        kind, subject = concern_of(found)
        assert (kind.name, kind.severity, subject) == ("breaker-open", "page", "")
        assert decides in found.text
        assert found.text.endswith("too many declines")


def test_a_breaker_that_somebody_else_opened_is_found_too() -> None:
    (found,) = breaker_findings(BreakerState(), "step_up", "", is_held=True)
    assert concern_of(found).kind.name == "breaker-open"
    assert "opened by hand" in found.text


def test_what_is_asked_more_often_is_over_sooner() -> None:
    minute, hour, day = 60_000, 3_600_000, 86_400_000
    assert minute < KINDS["breaker-open"].resolve_ms < hour < KINDS["feature-drift"].resolve_ms < day
    assert day < KINDS["calibration"].resolve_ms < 2 * day
