"""Outputs: what a resume keeps and cuts, and that a fault of the disk is one line."""

import os
import sys
from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from features.catalogue import FEATURES
from features.errors import AssayError
from features.records import Coordinates, Reason, Verdict, encode
from streams.event_files import STANDARD
from streams.log import JudgedFeatures
from streams.sinks import UNFINISHED, FeatureSink, LineSink, ParquetSink

values = st.lists(st.binary(max_size=20).filter(lambda value: b"\n" not in value), max_size=8)


def verdict(number: int, **changes: object) -> bytes:
    fields: dict[str, object] = {
        "event_id": f"p{number}",
        "account_id": "a1",
        "time_ms": 5 + number,
        "decision": "approve",
        "score": 0.25,
        "anomaly": None,
        "expected_loss_minor": 12,
        "reasons": [],
        "model": "0" * 16,
        "policy": "1" * 16,
        "at": Coordinates(3, number),
        "flags": (),
    }
    return encode(Verdict(**{**fields, **changes}))  # type: ignore[arg-type]


@settings(deadline=None)
@given(first=values, lost=values, rest=values)
def test_a_resumed_file_holds_what_was_synced_and_what_comes_then(
    tmp_path_factory: pytest.TempPathFactory, first: list[bytes], lost: list[bytes], rest: list[bytes]
) -> None:
    path = tmp_path_factory.mktemp("resumed") / "lines"
    sink = LineSink(path)
    sink.write(first)
    position = sink.sync()
    assert path.stat().st_size == position
    sink.write(lost)
    sink.close()
    again = LineSink(path, position)
    again.write(rest)
    again.close()
    assert path.read_bytes() == b"".join(value + b"\n" for value in first + rest)


def test_what_an_earlier_run_left_is_cut_off_when_the_file_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"true\ntorn")
    LineSink(path, 5)
    assert path.read_bytes() == b"true\n"
    LineSink(path)
    assert path.read_bytes() == b""


@pytest.mark.parametrize("content", [b"four", b"", None])
def test_a_file_that_lost_its_lines_is_refused_and_left_alone(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "lines"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AssayError, match=f"expected the 5 bytes that the last run left, got {len(content or b'')}"):
        LineSink(path, 5)
    assert (path.read_bytes() if path.exists() else None) == content


def test_a_file_appears_at_once_or_with_its_first_record(tmp_path: Path) -> None:
    eager, lazy = tmp_path / "deep" / "eager", tmp_path / "deep" / "lazy"
    LineSink(eager).close()
    assert eager.read_bytes() == b""
    sink = LineSink(lazy, eager=False)
    sink.write([])
    assert sink.sync() == 0
    assert not lazy.exists()
    sink.write([b"one"])
    sink.close()
    assert lazy.read_bytes() == b"one\n"


def test_a_lazy_file_of_an_earlier_run_is_emptied(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"of the run before\n")
    LineSink(path, eager=False).close()
    assert path.read_bytes() == b""


def test_lines_to_standard_output(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    sink = LineSink(STANDARD)
    sink.write([b"one", b"two"])
    assert sink.sync() == 0
    sink.close()
    assert capsysbinary.readouterr().out == b"one\ntwo\n"
    assert not sys.stdout.closed


def test_a_device_begins_anew_with_every_run() -> None:
    sink = LineSink(Path("/dev/null"))
    sink.write([b"one"])
    assert sink.sync() == 0
    sink.close()


def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    sink = LineSink(tmp_path / "lines")
    sink.write([b"one"])
    sink.close()
    sink.close()
    assert (tmp_path / "lines").read_bytes() == b"one\n"


@pytest.mark.parametrize("record", [b"small", b"larger than the buffer" * 100_000])
def test_a_full_disk_is_one_line(record: bytes) -> None:
    sink = LineSink(Path("/dev/full"))
    with pytest.raises(AssayError, match=r"^/dev/full: expected a file that can be written \(No space left") as refused:
        for _ in range(2):
            sink.write([record])
            sink.sync()
    assert "\n" not in str(refused.value)
    sink.close()  # gives nothing up that it has not given up already


def test_a_reader_that_leaves_is_told_apart_from_a_fault() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    sink = LineSink(Path(f"/dev/fd/{writing}"))
    os.close(writing)
    sink.write([b"one"])
    with pytest.raises(BrokenPipeError):
        sink.sync()
    sink.close()


def test_verdicts_as_parquet_keep_every_field(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "verdicts.parquet"
    reason = Reason(code="VEL01", feature=None, value=7.5, baseline=None, contribution=1.25, text="ä")
    written = [
        verdict(1),
        verdict(2, decision="decline", reasons=[reason, reason], flags=("late", "degraded"), anomaly=0.5),
        verdict(3, score=None, expected_loss_minor=None, at=Coordinates(1, 2**40, 17)),
    ]
    sink = ParquetSink(path)
    sink.write(written[:1])
    sink.write([])
    sink.write(written[1:])
    assert sink.sync() == UNFINISHED
    sink.close()
    assert sink.sync() == 0
    table = parquet.read_table(path)
    assert table.to_pylist() == [orjson.loads(value) for value in written]
    assert table.column_names == list(Verdict.__struct_fields__)


def segment(count: int) -> JudgedFeatures:
    features = np.arange(count * len(FEATURES), dtype=np.float32).reshape(count, len(FEATURES))
    features[:, 0] = np.nan
    ids = [f"p{number}" for number in range(count)]
    time_ms = np.arange(count, dtype=np.int64)
    return JudgedFeatures(ids, ["a1"] * count, time_ms, np.ones(count, np.uint8), time_ms * 7, features)


def test_features_keep_every_bit(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "features.parquet"
    sink = FeatureSink(path, FEATURES)
    sink.write([segment(3), segment(0), segment(2)])
    sink.close()
    table = parquet.read_table(path)
    assert table["event_id"].to_pylist() == ["p0", "p1", "p2", "p0", "p1"]
    assert table["amount_base_minor"].to_pylist() == [0, 7, 14, 0, 7]
    expected = np.concatenate([segment(3).features, segment(2).features])
    for column, name in enumerate(FEATURES.names):
        found = table[name].to_numpy()
        assert found.dtype == np.float32
        assert found.tobytes() == np.ascontiguousarray(expected[:, column]).tobytes()
    assert table.schema.metadata[b"assay-feature-set"] == FEATURES.hash.encode()


def test_parquet_without_rows_has_its_columns(tmp_path: Path) -> None:
    with_rows, without_rows = tmp_path / "with.parquet", tmp_path / "without.parquet"
    for path, segments in ((with_rows, [segment(1)]), (without_rows, [])):
        sink = FeatureSink(path, FEATURES)
        sink.write(segments)
        sink.close()
    assert parquet.read_table(without_rows).num_rows == 0
    assert parquet.read_schema(without_rows).equals(parquet.read_schema(with_rows), check_metadata=True)
    verdicts = ParquetSink(tmp_path / "verdicts.parquet")
    verdicts.close()
    assert parquet.read_table(tmp_path / "verdicts.parquet").column_names == list(Verdict.__struct_fields__)


@pytest.mark.parametrize("path", ["directory", "below/a-file", "full"])
def test_parquet_that_cannot_be_written_is_one_line(tmp_path: Path, path: str) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "below").write_text("")
    (tmp_path / "full").symlink_to("/dev/full")
    sink = ParquetSink(tmp_path / path)
    with pytest.raises(AssayError, match=f"{path}: expected a file that can be written") as refused:
        sink.write([verdict(1)])
        sink.close()
    assert "\n" not in str(refused.value)
