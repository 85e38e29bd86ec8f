"""The demo on a smaller platform: it trains, judges, catches, and gives the same verdicts again."""

from pathlib import Path

import orjson
import pytest

from features.errors import AssayError
from streams.demo import DemoResult, run_demo
from streams.demo_report import lines_of, report, to_json
from streams.model_in_force import open_model
from streams.shipped_model import SHIPPED

EVENTS = 120_000


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> DemoResult:
    steps: list[str] = []
    done = run_demo(tmp_path_factory.mktemp("demo") / "here", EVENTS, 4, open_model(SHIPPED), steps.append)
    assert len(steps) == 4
    return done


def test_every_judged_event_has_its_verdict(result: DemoResult) -> None:
    verdicts = sum(1 for _ in lines_of(result.files.first_verdicts, result.files.second_verdicts))
    assert verdicts == result.first.verdicts + result.second.verdicts
    sent = map(orjson.loads, lines_of(result.files.simulated / "events.jsonl"))
    judged = {event["event_id"] for event in sent if event["type"] in ("payment", "login", "application")}
    assert verdicts == len(judged)
    assert result.first.dead_letters == result.second.dead_letters == {}


def test_the_new_model_judges_after_the_marker(result: DemoResult) -> None:
    def models(path: Path) -> set[str]:
        return {line.split(b'"model":"')[1][:16].decode() for line in lines_of(path)}

    assert models(result.files.first_verdicts) == {open_model(SHIPPED).id[:16]}
    assert models(result.files.second_verdicts) == {result.model[:16]}


def test_the_report_counts_what_was_caught(result: DemoResult) -> None:
    shown = report(lines_of(result.files.second_verdicts), result.files.simulated / "truth.jsonl")
    facts = to_json(shown)
    assert (
        sum(row.payments for row in shown.attacks.values()) + sum(shown.legitimate.values()) == result.second.verdicts
    )
    caught = sum(row.caught for row in shown.attacks.values())
    fraud = sum(row.payments for row in shown.attacks.values())
    false_alarms = sum(shown.stopped_legitimate.values()) / sum(shown.legitimate.values())
    assert caught / fraud > 5 * false_alarms  # it does know fraud from the rest
    assert len(facts["examples"]) >= 3


def test_a_directory_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(AssayError, match="choose another --out"):
        run_demo(tmp_path, EVENTS, 4, open_model(SHIPPED), lambda _: None)
    assert (tmp_path / "thesis.txt").exists()
