"""`assay bench` with measurements that take no time: what it prints, and when it fails."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from benchmarks import registry
from benchmarks.registry import BENCHMARKS, Benchmark
from features.errors import AssayError
from streams.cli import app


def equal(seed: int, repeats: int) -> dict[str, Any]:
    return {"seed": seed, "repeats": repeats, "ratio": 2.0, "equal": True}


def different() -> dict[str, Any]:
    return {"ratio": 2.0, "equal": False}


def without_a_broker(directory: Path) -> dict[str, Any]:
    assert directory.is_dir()
    raise AssayError("no Java")


FUNCTIONS = {"equal": equal, "different": different, "without_a_broker": without_a_broker}


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"equal": ("seed", "repeats"), "different": (), "without_a_broker": ("directory",)}
    rows = tuple(Benchmark(name, "", "", "", options[name], by_default=name == "equal") for name in FUNCTIONS)
    monkeypatch.setattr(registry, "BENCHMARKS", (*rows, *BENCHMARKS[-1:]))
    monkeypatch.setattr(Benchmark, "load", lambda row: FUNCTIONS[row.name])


def test_facts_come_as_one_json_object_each() -> None:
    result = CliRunner().invoke(app, ["bench", "equal", "--json", "--seed", "7", "--repeats", "2"])
    assert result.exit_code == 0, result.output
    (line,) = result.stdout.splitlines()
    assert orjson.loads(line) == {"benchmark": "equal", "seed": 7, "repeats": 2, "ratio": 2.0, "equal": True}


def test_without_a_name_it_does_what_is_done_by_default() -> None:
    result = CliRunner().invoke(app, ["bench"])
    assert result.exit_code == 0, result.output
    assert [line for line in result.stdout.splitlines() if not line.startswith(" ")] == ["equal"]


def test_results_that_differ_are_shown_and_fail() -> None:
    result = CliRunner().invoke(app, ["bench", "different", "equal", "--json"])
    assert [orjson.loads(line)["benchmark"] for line in result.stdout.splitlines()] == ["equal", "different"]
    assert isinstance(result.exception, AssayError)
    assert "not equal: different" in str(result.exception)


def test_what_cannot_be_measured_is_said_and_does_not_stop_the_others() -> None:
    result = CliRunner().invoke(app, ["bench", "without_a_broker", "different", "--json"])
    facts = [orjson.loads(line) for line in result.stdout.splitlines()]
    assert {"benchmark": "without_a_broker", "not_measured": "no Java"} in facts
    assert len(facts) == 2
    assert isinstance(result.exception, AssayError)


@pytest.mark.parametrize("words", [["nonsense"], ["handbook"], ["equal", "--repeats", "0"], ["equal", "--seed", "-1"]])
def test_wrong_usage(words: list[str]) -> None:
    result = CliRunner().invoke(app, ["bench", *words])
    assert result.exit_code == 2, result.output


def test_help_lists_every_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "BENCHMARKS", BENCHMARKS)
    result = CliRunner().invoke(app, ["bench", "--help"])
    for row in BENCHMARKS:
        mark = " " if row.by_default else "*"
        assert f"  {row.name:14} {mark} {row.measures} (about {row.takes})\n" in result.output + "\n"


def test_an_installation_without_benchmarks_says_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.commands.bench.find_spec", lambda _: None)
    result = CliRunner().invoke(app, ["bench", "equal"])
    assert isinstance(result.exception, AssayError)
    assert "in a checkout" in str(result.exception)
    assert CliRunner().invoke(app, ["bench", "--help"]).exit_code == 0
