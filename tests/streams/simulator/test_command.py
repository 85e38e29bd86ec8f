"""The command: files and a summary of them, and what it refuses."""

import json
from collections import Counter
from pathlib import Path

import orjson
import pytest

from tests.streams.simulator.command import run


def test_the_command_writes_files_and_prints_what_is_in_them(tmp_path: Path) -> None:
    size = ("--events", "6000", "--seed", "9", "--fraud-share", "0.05", "--start", "2024-03-01", "--days", "30")
    options = (*size, "--out", str(tmp_path))
    summary = json.loads(run(*options, "--json").stdout)
    assert summary["files"] == {name: str(tmp_path / f"{name}.jsonl") for name in ("events", "labels", "truth")}
    written = (tmp_path / "events.jsonl").read_bytes().splitlines()
    kinds = Counter(record["type"] for record in {line: orjson.loads(line) for line in written}.values())
    assert len(written) == summary["events"] == 6_000
    assert summary["events_by_type"] == kinds
    assert summary["labels"] == len((tmp_path / "labels.jsonl").read_bytes().splitlines())
    assert (summary["start"], summary["end"]) == ("2024-03-01T00:00:00Z", "2024-03-31T00:00:00Z")
    shown = run(*options).stdout
    for word in ("card_testing", "slow_ramp", "profile_change", "first_party", str(tmp_path / "truth.jsonl")):
        assert word in shown


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--out", "x", "--events", "10"),
        ("--out", "x", "--start", "yesterday"),
        ("--out", "x", "--format", "csv"),
        ("--out", "x", "--events", "100", "--accounts", "200"),
        ("--out", "x", "--rate", "100"),
        ("--kafka", "localhost"),
        ("--kafka", "localhost:1", "--topic", "payments"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2(options: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*options).exit_code == 2
    assert not list(tmp_path.iterdir())


def test_events_of_the_future_are_not_sent() -> None:
    result = run("--events", "100", "--kafka", "127.0.0.1:1", "--start", "9000-01-01")
    assert result.exit_code == 1
    assert "choose an earlier --start" in str(result.exception)
