"""The engine's measurement on a few events: a smoke test, so that it cannot rot; how fast it is says nothing here."""

import sys
from pathlib import Path

import orjson
import pytest

from benchmarks import engine, workload
from benchmarks.peers import job
from benchmarks.report import show
from features.errors import AssayError

EVENTS = 2_000


@pytest.fixture(autouse=True)
def product_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rivals' job runs on the packages that the product has anyway."""
    monkeypatch.setattr(engine, "peers_python", lambda _: Path(sys.executable))


def test_both_sides_are_measured_and_verdicts_are_equal(
    small_cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = engine.engine(tmp_path, small_cache, seed=1, repeats=2, events=EVENTS, peer_events=1_000)
    assert facts["equal"] is True
    assert facts["ratio"] > 0
    assert facts["ratio"] * facts["microseconds_per_event"] == pytest.approx(
        min(facts["peer_batched_microseconds"], facts["peer_row_by_row_microseconds"])
    )
    assert sum(facts["stages_microseconds"].values()) > 0
    assert {"machine", "commit", "data", "seed", "bias", "events_per_s"} <= set(facts)
    show("engine", facts, as_json=True)
    assert orjson.loads(capsys.readouterr().out)["benchmark"] == "engine"


def test_without_rivals_there_is_no_ratio_and_the_reason_is_told(
    small_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(_: Path) -> Path:
        raise AssayError("no network")

    monkeypatch.setattr(engine, "peers_python", nothing)
    facts = engine.engine(tmp_path, small_cache, seed=1, repeats=1, events=EVENTS)
    assert facts["ratio"] is None
    assert facts["peer_not_measured"] == "no network"


def test_the_workload_is_what_it_says(small_cache: Path) -> None:
    load = workload.workload(small_cache, EVENTS, 1)
    events = [orjson.loads(value) for value in load.values]
    assert len(events) == len({event["event_id"] for event in events}) == EVENTS
    assert 300 < sum(map(len, load.values)) / EVENTS < 400
    assert [event["account_id"].encode() for event in events] == load.keys
    assert load.peer_model.read_text().count("\nnum_leaves=31\n") == 300
    assert workload.workload(small_cache, EVENTS, 1).values == load.values
    assert workload.workload(small_cache, EVENTS + 1, 1).values[:EVENTS] != load.values, "it is another simulation"


def test_too_few_events_are_refused(small_cache: Path) -> None:
    with pytest.raises(AssayError, match="at least 2000 events"):
        workload.workload(small_cache, 10, 1)


def test_the_rivals_windows_are_those_of_a_slow_count() -> None:
    history: job.History = ([], [])
    seen: list[tuple[int, int]] = []
    for number in range(400):
        event = {"type": "payment", "time_ms": number * number * 20_000, "amount_minor": 1 + number % 7}
        row = dict(zip(job.FEATURES, job.features(event, history), strict=True))
        for name, width_ms in job.WINDOWS_MS.items():
            inside = [amount for time_ms, amount in seen if time_ms > event["time_ms"] - width_ms]
            assert row[f"count_{name}"] == len(inside)
            assert row[f"sum_{name}"] == sum(inside)
            if inside:
                assert row[f"max_{name}"] == max(inside)
                assert row[f"mean_{name}"] == pytest.approx(sum(inside) / len(inside))
        seen.append((event["time_ms"], event["amount_minor"]))
    assert len(history[0]) < len(seen), "what no window needs is dropped"
