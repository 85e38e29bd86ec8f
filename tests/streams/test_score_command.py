"""`assay score` as people call it: options, pipes, and one clear line for whatever is wrong."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import msgspec
import pyarrow
import pytest
from pyarrow import parquet

from models.manifest import FILES, MANIFEST, canonical, read_manifest
from models.model_store import ModelStore
from tests.streams.command_line import assay, fails_with
from tests.streams.logs import START_MS, label, mixed_log, payment
from tests.streams.scoring import rows, scored, write_lines, written
from tests.streams.small_model import small_model, small_model_directory
from tests.streams.workers import ASSAY


@pytest.fixture
def events(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "events.jsonl", mixed_log(120, seed=51))


@pytest.fixture(autouse=True)
def in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings and no artefacts but those of the test."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("ASSAY_")]:
        monkeypatch.delenv(name)


def model() -> tuple[str, Path]:
    return "--model", small_model_directory()


def test_every_option_does_what_it_says(tmp_path: Path, events: Path) -> None:
    expected = scored(events.read_bytes().splitlines(), tmp_path / "expected", partition=2)
    out = tmp_path / "out" / "verdicts.jsonl"
    settings = (
        *model(), "--outcomes", tmp_path / "out" / "outcomes.jsonl", "--dead-letters",
        tmp_path / "out" / "dead-letters.jsonl", "--features", tmp_path / "out" / "features.parquet",
        "--state", tmp_path / "state", "--partition", 2, "--batch-events", 7,
    )  # fmt: skip
    first = assay("score", events, "--out", out, *settings, "--stop-after", 50, "--json")
    assert first.code == 0, first.errors
    assert json.loads(first.output)["next_offset"] == 50
    second = assay("score", events, "--out", out, *settings[:-6], *settings[-4:], "--state", tmp_path / "state")
    fails_with(second, "features.parquet", "cannot be continued")
    third = assay("score", events, "--out", out, *settings, "--features", tmp_path / "rest.parquet")
    assert third.code == 0, third.errors
    assert "50 records had been folded by an earlier run" in third.errors
    assert written(tmp_path / "out") == expected
    rows_of_features = [parquet.read_table(path).num_rows for path in tmp_path.rglob("*.parquet")]
    assert sum(rows_of_features) == len(rows(expected.verdicts))


def test_labels_and_a_continued_log(tmp_path: Path) -> None:
    log = [payment(number, "a1", START_MS + number) for number in range(20)]
    first, second = write_lines(tmp_path / "1.jsonl", log[:10]), write_lines(tmp_path / "2.jsonl", log[10:])
    labels = write_lines(tmp_path / "labels.jsonl", [label(50, "p3", "a1", START_MS + 15)])
    state = ("--state", tmp_path / "state", *model(), "--outcomes", tmp_path / "outcomes.jsonl")
    assert assay("score", first, "--out", tmp_path / "verdicts.jsonl", *state).code == 0
    told = assay("score", second, "--out", tmp_path / "verdicts.jsonl", *state, "--continue", "--labels", labels)
    assert told.code == 0, told.errors
    assert [verdict["event_id"] for verdict in rows(written(tmp_path).verdicts)] == [f"p{n}" for n in range(20)]
    (outcome,) = rows(written(tmp_path).outcomes)
    assert (outcome["judged_event_id"], outcome["at"]["offset"]) == ("p3", 15)


def test_what_was_done_is_told_on_standard_error(tmp_path: Path) -> None:
    write_lines(tmp_path / "events.jsonl", [payment(1, "a1", START_MS), b"rubbish", payment(1, "a1", START_MS)])
    told = assay("score", "events.jsonl", "--out", "verdicts.jsonl", *model())
    assert told.code == 0
    assert told.output == b""
    assert "3 records: 1 verdicts" in told.errors
    assert "1 duplicates, 1 dead letters" in told.errors
    assert "refused: 1 not_json; see verdicts.dead-letters.jsonl" in told.errors
    assert len(rows(Path("verdicts.dead-letters.jsonl").read_bytes())) == 1


def test_a_model_is_found_by_the_beginning_of_its_id(
    tmp_path: Path, events: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ModelStore(tmp_path / "models").add(small_model_directory())
    monkeypatch.setenv("ASSAY_MODELS_DIRECTORY", str(tmp_path / "models"))
    assert assay("score", events, "--out", "v.jsonl", "--model", small_model().id[:8]).code == 0
    assert {verdict["model"] for verdict in rows(Path("v.jsonl").read_bytes())} == {small_model().id[:16]}


def test_through_pipes_the_bytes_are_those_of_files(tmp_path: Path, events: Path) -> None:
    expected = scored(events.read_bytes().splitlines(), tmp_path / "expected")
    done = subprocess.run(
        [ASSAY, "score", "-", "--out", "-", "--model", str(small_model_directory()), "--json"],
        input=events.read_bytes(),
        capture_output=True,
        cwd=tmp_path,
        check=True,
    )
    assert done.stdout == expected.verdicts
    assert json.loads(done.stderr)["verdicts"] == len(rows(expected.verdicts))
    assert len(rows((tmp_path / "dead-letters.jsonl").read_bytes())) == len(rows(expected.dead_letters))


def test_a_reader_that_leaves_is_no_fault_of_ours(tmp_path: Path) -> None:
    log = write_lines(tmp_path / "long.jsonl", [payment(n, f"a{n % 99}", START_MS + n) for n in range(5_000)])
    process = subprocess.Popen(
        [ASSAY, "score", str(log), "--out", "-", "--model", str(small_model_directory())],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read(20) == b'{"event_id":"p0","ac'
    process.stdout.close()
    with process.stderr as errors:
        assert errors.read() == b""
    process.wait(timeout=60)


def test_json_lines_may_come_from_a_named_pipe(tmp_path: Path, events: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cp", events, pipe]):
        assert assay("score", pipe, "--out", "v.jsonl", *model()).code == 0
    expected = scored(events.read_bytes().splitlines(), tmp_path / "expected")
    assert Path("v.jsonl").read_bytes() == expected.verdicts


def test_a_device_is_written_to_and_not_counted_on(events: Path) -> None:
    """Also with a state: a device never holds the bytes that the last run left."""
    words = ("--out", "/dev/null", "--dead-letters", "/dev/null", "--state", "state", *model())
    assert assay("score", events, *words, "--stop-after", 50).code == 0
    assert assay("score", events, *words).code == 0


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    fails_with(assay("score", "nowhere.jsonl", "--out", "v.jsonl", *model()), "nowhere.jsonl", "there is none")
    fails_with(assay("score", tmp_path, "--out", "v.jsonl", *model()), str(tmp_path), "a directory")
    assert not Path("v.jsonl").exists()


def test_missing_labels_are_one_line(events: Path) -> None:
    done = assay("score", events, "--out", "v.jsonl", "--labels", "nowhere.jsonl", *model())
    fails_with(done, "nowhere.jsonl", "there is none")


@pytest.mark.parametrize("damage", ["text", "cut", "bytes in a column", "time that is a date"])
def test_a_damaged_parquet_file_is_one_line(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "events.parquet"
    parquet.write_table(pyarrow.table({"event_id": ["p1", "p2"], "time_ms": [1, 2]}), path)
    if damage == "text":
        path.write_bytes(b"event_id,time_ms\n")
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    elif damage == "bytes in a column":
        parquet.write_table(pyarrow.table({"event_id": [b"p1"]}), path)
    else:
        data = bytearray(path.read_bytes())
        data[8:60] = b"\xff" * 52
        path.write_bytes(data)
    fails_with(assay("score", path, "--out", "v.jsonl", *model()), str(path), "expected")


@pytest.mark.parametrize("damaged", [*FILES, MANIFEST])
def test_a_damaged_model_is_one_line(tmp_path: Path, events: Path, damaged: str) -> None:
    directory = tmp_path / "model"
    shutil.copytree(small_model_directory(), directory)
    path = directory / damaged
    path.write_bytes(path.read_bytes()[:-40])
    fails_with(assay("score", events, "--out", "v.jsonl", "--model", directory), str(path))
    path.unlink()
    fails_with(assay("score", events, "--out", "v.jsonl", "--model", directory), str(directory))
    assert not Path("v.jsonl").exists()


def test_a_missing_model_is_one_line(events: Path) -> None:
    fails_with(assay("score", events, "--out", "v.jsonl", "--model", "feedface"), "feedface", "assay train")


def test_a_model_of_another_feature_set_is_one_line(tmp_path: Path, events: Path) -> None:
    directory = tmp_path / "model"
    shutil.copytree(small_model_directory(), directory)
    path = directory / "manifest.json"
    manifest = read_manifest(path.read_bytes(), path)
    other = msgspec.structs.replace(manifest.feature_set, hash="0" * 64)
    path.write_bytes(canonical(msgspec.structs.replace(manifest, feature_set=other), path))
    fails_with(assay("score", events, "--out", "v.jsonl", "--model", directory), "feature set")


def test_a_state_of_another_model_is_one_line(events: Path) -> None:
    words = ("score", events, "--out", "v.jsonl", "--state", "state")
    assert assay(*words, "--model", small_model_directory()).code == 0
    fails_with(assay(*words, "--model", small_model_directory(2)), small_model(1).id[:16], small_model(2).id[:16])


@pytest.mark.parametrize("name", ["CURRENT", "MANIFEST"])
def test_a_corrupt_state_is_one_line(tmp_path: Path, events: Path, name: str) -> None:
    words = ("score", events, "--out", "v.jsonl", "--state", "state", *model())
    assert assay(*words).code == 0
    for path in (tmp_path / "state").rglob(f"{name}*"):
        path.write_bytes(b"\xff" * 16)
    fails_with(assay(*words), "state/fraud.events-0")


def test_a_state_that_is_a_file_is_one_line(tmp_path: Path, events: Path) -> None:
    (tmp_path / "state").write_text("not a directory")
    fails_with(assay("score", events, "--out", "v.jsonl", "--state", "state", *model()), "state")


@pytest.mark.parametrize("option", ["--out", "--outcomes", "--features"])
@pytest.mark.parametrize("path", ["full", "directory", "below-a-file/x"])
def test_an_output_that_cannot_be_written_is_one_line(tmp_path: Path, events: Path, option: str, path: str) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "below-a-file").write_text("")
    (tmp_path / "full").symlink_to("/dev/full")
    words = {"--out": "v.jsonl", option: path}
    arguments = [word for pair in words.items() for word in pair]
    fails_with(assay("score", events, *arguments, "--dead-letters", "dead.jsonl", *model()), path, "expected")


def test_verdicts_as_parquet_on_a_full_disk_are_one_line(tmp_path: Path, events: Path) -> None:
    (tmp_path / "v.parquet").symlink_to("/dev/full")
    fails_with(assay("score", events, "--out", "v.parquet", *model()), "v.parquet", "No space left")


def test_a_full_disk_behind_standard_output_is_one_line(tmp_path: Path, events: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [ASSAY, "score", str(events), "--out", "-", "--model", str(small_model_directory())],
            stdout=full, stderr=subprocess.PIPE, cwd=tmp_path, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr.decode()
    assert b"No space left" in done.stderr


def test_too_many_refused_records_are_one_line(tmp_path: Path) -> None:
    write_lines(tmp_path / "rubbish.jsonl", [b"rubbish"] * 300)
    fails_with(assay("score", "rubbish.jsonl", "--out", "v.jsonl", *model()), "300 of the last 300", "engine.bad_share")
    assert len(rows(Path("v.dead-letters.jsonl").read_bytes())) == 300


@pytest.mark.parametrize(
    "arguments",
    [
        "", "events.jsonl", "--out v", "events.jsonl --out", "events.jsonl more.jsonl --out v",
        "events.jsonl --out v --nonsense", "events.jsonl --out v --stop-after 0", "events.jsonl --out v --partition -1",
        "events.jsonl --out v --batch-events many", "events.jsonl --out v --batch-events 0",
    ],
)  # fmt: skip
def test_wrong_usage_is_code_2(events: Path, arguments: str) -> None:
    done = assay("score", *arguments.split())
    assert done.code == 2
    assert done.errors.splitlines()[-1].startswith("Error: ")
    assert not Path("v").exists()
