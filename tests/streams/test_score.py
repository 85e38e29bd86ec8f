"""Files in, verdicts out: whatever the batch, the cut, the format or the memory, the bytes are the same."""

from functools import cache
from pathlib import Path

import numpy as np
import orjson
import pyarrow
import pytest
from pyarrow import parquet

from features.accounts import Accounts
from features.catalogue import FEATURES
from features.errors import AssayError
from streams.commands.models import open_models
from streams.label_merge import merge_labels
from streams.score import ScoreRequest, score
from streams.train import TrainRequest, train_files
from tests.streams.logs import MINUTE_MS, START_MS, label, mixed_log, model_marker, payment
from tests.streams.scoring import Written, request, rows, run, scored, write_lines, written
from tests.streams.small_model import small_model
from tests.streams.test_engine import open_small

MIB = 1 << 20


@cache
def full_log() -> list[bytes]:
    return mixed_log(600, seed=31, model_ids=(small_model(2).id, small_model(1).id))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return scored(full_log(), tmp_path_factory.mktemp("undisturbed"))


def test_the_log_of_these_tests_has_something_in_every_file(undisturbed: Written) -> None:
    assert len(rows(undisturbed.verdicts)) > 400
    assert len(rows(undisturbed.outcomes)) > 20
    assert len(rows(undisturbed.dead_letters)) > 10
    assert {verdict["model"] for verdict in rows(undisturbed.verdicts)} == {
        small_model(1).id[:16],
        small_model(2).id[:16],
    }


@pytest.mark.parametrize("batch_events", [1, 13, 599, 100_000])
def test_the_size_of_a_batch_never_shows(tmp_path: Path, undisturbed: Written, batch_events: int) -> None:
    assert scored(full_log(), tmp_path, batch_events=batch_events) == undisturbed


@pytest.mark.parametrize("stop_after", [1, 100, 599, 600])
def test_a_run_that_was_stopped_goes_on_with_the_same_file(
    tmp_path: Path, undisturbed: Written, stop_after: int
) -> None:
    events = write_lines(tmp_path / "events.jsonl", full_log())
    state = tmp_path / "state"
    first = run(events, tmp_path, state=state, stop_after=stop_after, batch_events=37)
    assert (first.records, first.next_offset) == (stop_after, stop_after)
    second = run(events, tmp_path, state=state)
    assert (second.records, second.skipped, second.next_offset) == (
        len(full_log()) - stop_after,
        stop_after,
        len(full_log()),
    )
    assert written(tmp_path) == undisturbed
    third = run(events, tmp_path, state=state)
    assert (third.records, third.verdicts) == (0, 0)
    assert written(tmp_path) == undisturbed


def test_a_second_file_goes_on_where_the_state_ends(tmp_path: Path, undisturbed: Written) -> None:
    state = tmp_path / "state"
    first = write_lines(tmp_path / "first.jsonl", full_log()[:250])
    second = write_lines(tmp_path / "second.jsonl", full_log()[250:])
    run(first, tmp_path / "one", state=state)
    summary = run(second, tmp_path / "two", state=state, continues=True)
    assert (summary.records, summary.skipped, summary.next_offset) == (350, 0, 600)
    parts = zip(written(tmp_path / "one"), written(tmp_path / "two"), strict=True)
    assert Written(*(one + two for one, two in parts)) == undisturbed


def test_a_second_file_can_add_to_the_same_outputs(tmp_path: Path, undisturbed: Written) -> None:
    state = tmp_path / "state"
    run(write_lines(tmp_path / "first.jsonl", full_log()[:250]), tmp_path, state=state)
    run(write_lines(tmp_path / "second.jsonl", full_log()[250:]), tmp_path, state=state, continues=True)
    assert written(tmp_path) == undisturbed


def test_accounts_that_do_not_fit_into_memory_change_nothing(tmp_path: Path) -> None:
    """Every account is let go and brought back many times over, also those with folded history."""
    wide = [payment(number, f"w{number % 900}", START_MS + number, amount_minor=number) for number in range(2_700)]
    deep = mixed_log(2_700, seed=33, accounts=3)
    log = [value for pair in zip(wide, deep, strict=True) for value in pair]
    unlimited = scored(log, tmp_path / "unlimited", batch_events=450)
    assert scored(log, tmp_path / "half-a-mebibyte", batch_events=450, hot_bytes=MIB // 2) == unlimited
    assert scored(log, tmp_path / "nothing", batch_events=450, hot_bytes=0) == unlimited
    assert any("approximate" in verdict["flags"] for verdict in rows(unlimited.verdicts))


def test_memory_is_let_go_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison above says something only if accounts are dropped."""
    dropped: list[int] = []
    evict = Accounts.evict
    monkeypatch.setattr(Accounts, "evict", lambda self, limit: dropped.append(evict(self, limit)))
    log = [payment(number, f"w{number}", START_MS + number) for number in range(3_000)]
    scored(log, tmp_path, batch_events=500, hot_bytes=MIB // 2)
    assert sum(dropped) > 1_000


def test_parquet_gives_the_verdicts_of_json_lines(tmp_path: Path) -> None:
    log = [
        value
        for value in mixed_log(300, seed=35)
        if value.startswith(b"{") and "account_id" in (event := orjson.loads(value)) and event["time_ms"] > 0
    ]
    log[5:5] = [payment(9_001, "a1", START_MS, session={"keys": 4, "dwell_ms_mean": 80.5})]
    parquet.write_table(pyarrow.Table.from_pylist(_with_every_column(log)), tmp_path / "events.parquet")
    run(tmp_path / "events.parquet", tmp_path / "from-parquet", batch_events=50)
    as_lines, as_parquet = scored(log, tmp_path / "from-lines"), written(tmp_path / "from-parquet")
    assert as_parquet.verdicts == as_lines.verdicts
    assert as_parquet.outcomes == as_lines.outcomes
    assert len(rows(as_lines.verdicts)) > 200


def _with_every_column(log: list[bytes]) -> list[dict[str, object]]:
    events = [orjson.loads(value) for value in log]
    names = list(dict.fromkeys(name for event in events for name in event))
    return [{name: event.get(name) for name in names} for event in events]


def test_verdicts_as_parquet_hold_what_the_lines_hold(tmp_path: Path, undisturbed: Written) -> None:
    scored(full_log(), tmp_path, out=tmp_path / "verdicts.parquet", batch_events=100)
    table = parquet.read_table(tmp_path / "verdicts.parquet")
    assert table.column_names == list(rows(undisturbed.verdicts)[0])
    assert table.to_pylist() == rows(undisturbed.verdicts)


def test_nothing_to_judge_leaves_empty_files(tmp_path: Path) -> None:
    assert scored([], tmp_path / "none", features=tmp_path / "none.parquet") == Written(b"", b"", b"")
    assert (tmp_path / "none" / "verdicts.jsonl").exists()
    assert not (tmp_path / "none" / "dead-letters.jsonl").exists()
    assert parquet.read_table(tmp_path / "none.parquet").num_rows == 0
    scored([], tmp_path / "parquet", out=tmp_path / "verdicts.parquet")
    assert parquet.read_table(tmp_path / "verdicts.parquet").num_rows == 0


def test_a_run_leaves_nothing_of_the_run_before_it(tmp_path: Path, undisturbed: Written) -> None:
    features = tmp_path / "features.parquet"
    assert scored(full_log(), tmp_path, features=features) == undisturbed
    assert scored([payment(1, "a1", START_MS)], tmp_path, features=features).dead_letters == b""
    assert len(rows(written(tmp_path).verdicts)) == parquet.read_table(features).num_rows == 1


def test_features_are_one_row_per_verdict_and_what_labels_are_joined_with(tmp_path: Path, undisturbed: Written) -> None:
    features = tmp_path / "features.parquet"
    assert scored(full_log(), tmp_path, features=features, batch_events=70) == undisturbed
    table = parquet.read_table(features)
    verdicts = rows(undisturbed.verdicts)
    assert table["event_id"].to_pylist() == [verdict["event_id"] for verdict in verdicts]
    assert table["account_id"].to_pylist() == [verdict["account_id"] for verdict in verdicts]
    assert table["time_ms"].to_pylist() == [verdict["time_ms"] for verdict in verdicts]
    assert table.schema.metadata[b"assay-feature-set"] == FEATURES.hash.encode()
    served = {row["event_id"]: row for row in table.to_pylist()}
    compared = 0
    for outcome in rows(undisturbed.outcomes):
        if outcome["judged"] is None or outcome["judged"]["decision"] is None or outcome["flags"]:
            continue
        row = served[outcome["judged_event_id"]]
        names = [feature.name for feature in FEATURES.of_accounts]
        expected = [None if value != value else value for value in (row[name] for name in names)]
        assert [outcome["features"][name] for name in names] == expected
        assert outcome["judged"]["amount_base_minor"] == row["amount_base_minor"]
        compared += 1
    assert compared > 20


def test_features_do_not_depend_on_the_batch(tmp_path: Path) -> None:
    tables = []
    for batch_events in (1, 7, 60):
        path = tmp_path / f"{batch_events}.parquet"
        scored(full_log()[:60], tmp_path, features=path, batch_events=batch_events)
        tables.append(parquet.read_table(path))
    for table in tables[1:]:
        for name in FEATURES.names:
            one, other = tables[0][name].to_numpy(), table[name].to_numpy()
            np.testing.assert_array_equal(one.view(np.uint32), other.view(np.uint32), err_msg=name)


def test_labels_are_merged_where_they_were_known(tmp_path: Path) -> None:
    """A file of labels and a log with the same labels in their places are the same thing."""
    log = [value for value in mixed_log(400, seed=36) if b'"label"' not in value]
    paid = [event for event in map(_loaded, log) if event.get("type") == "payment" and "event_id" in event]
    labels = [
        label(5_000 + number, event["event_id"], event["account_id"], event["time_ms"] + 11 * MINUTE_MS)
        for number, event in enumerate(paid[::7])
    ]
    path = write_lines(tmp_path / "labels.jsonl", list(reversed(labels)))
    merged = list(merge_labels(log, labels))
    assert merged[: len(log)] != log
    in_place = scored(merged, tmp_path / "in-place")
    assert scored(log, tmp_path / "beside", labels=path, batch_events=29) == in_place
    assert len(rows(in_place.outcomes)) == len(labels)
    without_labels = scored(log, tmp_path / "without")
    assert without_labels.outcomes == b""


def test_labels_split_over_two_runs_keep_their_places(tmp_path: Path) -> None:
    log = [payment(number, "a1", START_MS + number * MINUTE_MS) for number in range(30)]
    labels = write_lines(tmp_path / "labels.jsonl", [label(100, "p3", "a1", START_MS + 10 * MINUTE_MS + 1)])
    events = write_lines(tmp_path / "events.jsonl", log)
    whole = scored(log, tmp_path / "whole", labels=labels)
    assert rows(whole.outcomes)[0]["at"]["offset"] == 11
    for stop_after in (5, 11, 12, 25):
        directory = tmp_path / str(stop_after)
        for limit in (stop_after, None):
            run(events, directory, labels=labels, state=directory / "state", stop_after=limit)
        assert written(directory) == whole


def _loaded(value: bytes) -> dict[str, object] | object:
    try:
        event = orjson.loads(value)
    except orjson.JSONDecodeError:
        return {}
    return event if isinstance(event, dict) else {}


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_how_lines_end_never_shows(tmp_path: Path, undisturbed: Written, ending: bytes, last: bool) -> None:
    (tmp_path / "events.jsonl").write_bytes(ending.join(full_log()) + (ending if last else b""))
    run(tmp_path / "events.jsonl", tmp_path)
    assert written(tmp_path) == undisturbed


def test_a_blank_line_is_a_dead_letter_and_counts_as_a_record(tmp_path: Path) -> None:
    result = scored([payment(1, "a1", START_MS), b"", payment(2, "a1", START_MS + 1)], tmp_path)
    assert [letter["offset"] for letter in rows(result.dead_letters)] == [1]
    assert [verdict["at"]["offset"] for verdict in rows(result.verdicts)] == [0, 2]


def test_a_dead_letter_tells_where_and_why_and_keeps_the_record(tmp_path: Path) -> None:
    wrong = payment(1, "a1", START_MS, currency="XXX")
    (letter,) = rows(scored([wrong], tmp_path, partition=4).dead_letters)
    assert letter["value"].encode() == wrong
    assert (letter["topic"], letter["partition"], letter["offset"]) == ("fraud.events", 4, 0)
    assert (letter["code"], letter["path"]) == ("currency", "$.currency")


def test_a_card_number_is_never_written(tmp_path: Path) -> None:
    number = "4111111111111111"
    result = scored([payment(1, "a1", START_MS, card_id=number)], tmp_path, redaction_key=b"key")
    (letter,) = rows(result.dead_letters)
    assert number not in str(result)
    assert letter["redacted"]


def test_the_summary_counts_what_is_in_the_files(tmp_path: Path, undisturbed: Written) -> None:
    summary = run(write_lines(tmp_path / "events.jsonl", full_log()), tmp_path)
    assert summary.records == summary.next_offset == len(full_log())
    assert summary.verdicts == sum(summary.decisions.values()) == len(rows(undisturbed.verdicts))
    assert summary.outcomes == len(rows(undisturbed.outcomes))
    assert sum(summary.dead_letters.values()) == len(rows(undisturbed.dead_letters))
    assert sum(summary.kinds.values()) + sum(summary.dead_letters.values()) == len(full_log())
    assert summary.duplicates > 0


def test_too_many_refused_records_stop_the_run_and_are_there_to_look_at(tmp_path: Path) -> None:
    events = write_lines(tmp_path / "events.jsonl", [payment(1, "a1", START_MS)] + [b"rubbish"] * 300)
    with pytest.raises(AssayError, match="300 of the last 301 records were refused"):
        run(events, tmp_path, bad_share=0.5)
    assert len(rows(written(tmp_path).dead_letters)) == 300
    assert written(tmp_path).verdicts == b""


def test_a_stop_for_refused_records_can_be_overruled_and_doubles_nothing(tmp_path: Path) -> None:
    log = [payment(number, "a1", START_MS + number) for number in range(150)] + [b"rubbish"] * 300
    events = write_lines(tmp_path / "events.jsonl", log)
    with pytest.raises(AssayError, match="engine.bad_share"):
        run(events, tmp_path, state=tmp_path / "state", bad_share=0.3, batch_events=50)
    run(events, tmp_path, state=tmp_path / "state", bad_share=1.0)
    assert written(tmp_path) == scored(log, tmp_path / "undisturbed")


def test_a_state_of_another_model_is_refused(tmp_path: Path) -> None:
    events = write_lines(tmp_path / "events.jsonl", full_log()[:50])
    run(events, tmp_path, state=tmp_path / "state")
    before = written(tmp_path)
    with pytest.raises(AssayError, match=f"was started with model {small_model(1).id[:16]}"):
        score(request(events, tmp_path, state=tmp_path / "state"), small_model(2), open_small)
    assert written(tmp_path) == before


def test_a_state_after_a_change_of_model_opens_the_model_that_is_in_force(tmp_path: Path) -> None:
    """It was started with the first; going on names the first, and the log says the rest."""
    log = [payment(1, "a1", START_MS), model_marker(2, small_model(2).id, START_MS), payment(3, "a1", START_MS + 1)]
    events = write_lines(tmp_path / "events.jsonl", log)
    run(events, tmp_path, state=tmp_path / "state", stop_after=2)
    run(events, tmp_path, state=tmp_path / "state")
    assert [verdict["model"] for verdict in rows(written(tmp_path).verdicts)] == [
        small_model(1).id[:16],
        small_model(2).id[:16],
    ]


def test_a_state_remembers_that_the_log_asked_for_a_model_that_is_not_there(tmp_path: Path) -> None:
    log = [model_marker(1, "0" * 64, START_MS), payment(2, "a1", START_MS), payment(3, "a1", START_MS + 1)]
    events = write_lines(tmp_path / "events.jsonl", log)
    for stop_after in (1, None):
        run(events, tmp_path, state=tmp_path / "state", stop_after=stop_after)
    assert all("degraded" in verdict["flags"] for verdict in rows(written(tmp_path).verdicts))
    assert written(tmp_path) == scored(log, tmp_path / "at-once")


def test_a_file_shorter_than_the_state_is_refused(tmp_path: Path) -> None:
    run(write_lines(tmp_path / "events.jsonl", full_log()[:50]), tmp_path, state=tmp_path / "state")
    shorter = write_lines(tmp_path / "shorter.jsonl", full_log()[:20])
    with pytest.raises(AssayError, match=r"has 20 records, the state has folded 50.*--continue"):
        run(shorter, tmp_path, state=tmp_path / "state")


@pytest.mark.parametrize("damage", ["shortened", "removed"])
def test_an_output_that_lost_what_the_state_counts_on_is_refused(tmp_path: Path, damage: str) -> None:
    events = write_lines(tmp_path / "events.jsonl", full_log())
    run(events, tmp_path, state=tmp_path / "state", stop_after=100)
    verdicts = tmp_path / "verdicts.jsonl"
    length = verdicts.stat().st_size
    if damage == "shortened":
        verdicts.write_bytes(verdicts.read_bytes()[:-1])
    else:
        verdicts.unlink()
    with pytest.raises(AssayError, match=f"expected the {length} bytes that the last run left.*fresh --state"):
        run(events, tmp_path, state=tmp_path / "state")


@pytest.mark.parametrize("option", ["out", "features"])
def test_a_parquet_file_is_never_written_over_by_the_next_part(tmp_path: Path, option: str) -> None:
    events = write_lines(tmp_path / "events.jsonl", full_log())
    whole = tmp_path / "whole.parquet"
    run(events, tmp_path, state=tmp_path / "state", stop_after=300, **{option: whole})
    first_part = parquet.read_table(whole)
    with pytest.raises(AssayError, match=r"whole\.parquet: a Parquet file cannot be continued"):
        run(events, tmp_path, state=tmp_path / "state", **{option: whole})
    run(events, tmp_path, state=tmp_path / "state", **{option: tmp_path / "rest.parquet"})
    scored(full_log(), tmp_path / "once", **{option: tmp_path / "once.parquet"})
    both = first_part["event_id"].to_pylist() + parquet.read_table(tmp_path / "rest.parquet")["event_id"].to_pylist()
    assert both == parquet.read_table(tmp_path / "once.parquet")["event_id"].to_pylist()


@pytest.mark.parametrize("option", ["out", "features"])
def test_a_parquet_file_that_was_cut_off_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    """The state ran ahead of a file that nobody can read: the rows in it would be lost."""
    monkeypatch.setattr("streams.score.CHECKPOINT_RECORDS", 100)
    monkeypatch.setattr("streams.sinks._ParquetFile.close", _fail)
    events = write_lines(tmp_path / "events.jsonl", full_log())
    with pytest.raises(RuntimeError):
        run(events, tmp_path, state=tmp_path / "state", batch_events=100, **{option: tmp_path / "cut.parquet"})
    monkeypatch.undo()
    with pytest.raises(AssayError, match=r"cut\.parquet: the last run ended before this Parquet file was complete"):
        run(events, tmp_path, state=tmp_path / "state", **{option: tmp_path / "rest.parquet"})


def _fail(*_: object) -> None:
    raise RuntimeError("the power went out")


@pytest.mark.parametrize(
    "twice",
    [
        ("events", "out"), ("events", "labels"), ("events", "dead_letters"), ("labels", "outcomes"),
        ("out", "outcomes"), ("out", "dead_letters"), ("out", "features"),
    ],
)  # fmt: skip
def test_no_file_is_written_over_itself(tmp_path: Path, twice: tuple[str, str]) -> None:
    events = write_lines(tmp_path / "events.jsonl", full_log()[:5])
    (tmp_path / "same").write_bytes(events.read_bytes())
    paths = {"events": events, "out": tmp_path / "out", twice[0]: tmp_path / "same", twice[1]: tmp_path / "." / "same"}
    with pytest.raises(AssayError, match="same is named twice"):
        score(ScoreRequest(**paths, bad_share=1.0), small_model(), open_small)
    assert (tmp_path / "same").read_bytes() == events.read_bytes()


@pytest.mark.parametrize("twice", [("events", "labels"), ("out", "outcomes")])
def test_standard_input_and_output_are_named_once(tmp_path: Path, twice: tuple[str, str]) -> None:
    paths = {"events": write_lines(tmp_path / "events.jsonl", full_log()[:5]), "out": tmp_path / "out"}
    with pytest.raises(AssayError, match="once each"):
        score(ScoreRequest(**{**paths, **dict.fromkeys(twice, Path("-"))}), small_model(), open_small)


def test_the_model_that_ships_with_the_project_judges_the_example(tmp_path: Path) -> None:
    first, open_model = open_models("", tmp_path)
    example = Path(__file__).parents[2] / "docs" / "example.jsonl"
    summary = score(request(example, tmp_path), first, open_model)
    assert summary.verdicts > 0
    assert summary.dead_letters == {}
    assert rows(written(tmp_path).verdicts)[-1]["decision"] == "decline"


def test_features_train_a_model_that_scores(tmp_path: Path) -> None:
    """The way round: what `--features` writes is what `assay train` reads."""
    log = mixed_log(3_000, seed=38, accounts=40)
    features = tmp_path / "features.parquet"
    verdicts = rows(scored(log, tmp_path, features=features).verdicts)
    labels = [
        label(9_000 + number, verdict["event_id"], verdict["account_id"], verdict["time_ms"])
        for number, verdict in enumerate(verdicts[::9])
    ]
    trained = train_files(
        TrainRequest(
            features=features, labels=write_lines(tmp_path / "labels.jsonl", labels), out=tmp_path / "m" / "model"
        )
    )
    model, by_id = open_models(str(trained.directory), tmp_path)
    assert model.id == trained.model
    assert score(request(tmp_path / "events.jsonl", tmp_path / "again"), model, by_id).verdicts == len(verdicts)
