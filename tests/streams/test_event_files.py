"""Files of records become the bytes that a log would hold."""

import datetime
import decimal
import io
import os
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from features.errors import AssayError
from streams import event_files
from streams.event_files import STANDARD, EventFile

records = st.lists(st.binary(max_size=30).filter(lambda value: not {10, 13} & set(value)), max_size=10)


def lines_of(directory: Path, content: bytes) -> list[bytes]:
    path = directory / "events.jsonl"
    path.write_bytes(content)
    return list(EventFile(path))


@settings(deadline=None)
@given(values=records, ending=st.sampled_from([b"\n", b"\r\n"]))
def test_every_line_is_a_record(tmp_path_factory: pytest.TempPathFactory, values: list[bytes], ending: bytes) -> None:
    content = b"".join(value + ending for value in values)
    assert lines_of(tmp_path_factory.mktemp("lines"), content) == values


def test_the_last_line_needs_no_ending(tmp_path: Path) -> None:
    assert lines_of(tmp_path, b"one\ntwo") == [b"one", b"two"]
    assert lines_of(tmp_path, b"one\ntwo\n") == [b"one", b"two"]
    assert lines_of(tmp_path, b"one\n\n") == [b"one", b""]
    assert lines_of(tmp_path, b"\n") == [b""]
    assert lines_of(tmp_path, b"") == []


def test_how_far_reading_has_come(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"one\r\nthree\n")
    file = EventFile(path)
    assert (file.total_bytes, file.read_bytes) == (11, 0)
    reading = iter(file)
    next(reading)
    assert file.read_bytes == 5
    next(reading)
    assert file.read_bytes == 11


def test_standard_input_has_no_end_in_sight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"one\ntwo\n")))
    file = EventFile(STANDARD)
    assert file.total_bytes is None
    assert list(file) == [b"one", b"two"]


def test_a_named_pipe_is_read_like_standard_input(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"one\ntwo\n",))
    file = EventFile(pipe)
    assert file.total_bytes is None
    writer.start()
    assert list(file) == [b"one", b"two"]
    writer.join()


def test_a_line_without_end_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_files, "LONGEST_LINE_BYTES", 100)
    assert lines_of(tmp_path, b"x" * 99 + b"\n" + b"y") == [b"x" * 99, b"y"]
    with pytest.raises(AssayError, match="events.jsonl, line 2: expected JSON lines, got one of over 100 bytes"):
        lines_of(tmp_path, b"x\n" + b"x" * 101)


@pytest.mark.parametrize(("name", "there"), [("nowhere", "there is none"), (".", "a directory")])
def test_what_is_no_file_is_one_line(tmp_path: Path, name: str, there: str) -> None:
    with pytest.raises(AssayError, match=there) as refused:
        EventFile(tmp_path / name)
    assert str(tmp_path / name) in str(refused.value)


def test_a_file_that_vanishes_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"one\n")
    file = EventFile(path)
    path.unlink()
    with pytest.raises(AssayError, match="expected a readable file"):
        list(file)


def rows_of(directory: Path, rows: list[dict[str, Any]], schema: Any = None) -> list[dict[str, Any]]:
    path = directory / "events.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(rows, schema), path)
    return [orjson.loads(value) for value in EventFile(path)]


def test_a_parquet_row_is_the_object_of_its_columns_that_are_not_null(tmp_path: Path) -> None:
    rows = [
        {"event_id": "p1", "time_ms": 2**60, "lat": 0.1, "success": None, "session": {"keys": 3, "pages": None}},
        {"event_id": "ä", "time_ms": 0, "lat": None, "success": False, "session": None},
    ]
    assert rows_of(tmp_path, rows) == [
        {"event_id": "p1", "time_ms": 2**60, "lat": 0.1, "session": {"keys": 3}},
        {"event_id": "ä", "time_ms": 0, "success": False},
    ]


def test_rows_keep_their_order_over_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    parquet.write_table(pyarrow.table({"number": list(range(25_000))}), path, row_group_size=3_000)
    file = EventFile(path)
    assert [orjson.loads(value)["number"] for value in file] == list(range(25_000))
    assert file.total_bytes is not None
    assert 0.99 * file.total_bytes < file.read_bytes <= file.total_bytes


def test_parquet_without_rows_has_no_records(tmp_path: Path) -> None:
    assert rows_of(tmp_path, [], pyarrow.schema([("event_id", pyarrow.string())])) == []


@pytest.mark.parametrize(
    "value", [b"bytes", decimal.Decimal("1.5"), datetime.timedelta(1), {"deep": b"bytes"}], ids=repr
)
def test_a_column_that_json_cannot_hold_is_one_line(tmp_path: Path, value: object) -> None:
    with pytest.raises(AssayError, match="expected columns that JSON can hold") as refused:
        rows_of(tmp_path, [{"event_id": "p1", "column": value}])
    assert str(tmp_path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_text_that_is_not_utf_8_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    text = pyarrow.StringArray.from_buffers(1, pyarrow.py_buffer(b"\0\0\0\0\2\0\0\0"), pyarrow.py_buffer(b"\xff\xfe"))
    parquet.write_table(pyarrow.table({"event_id": text}), path)
    with pytest.raises(AssayError, match="expected columns that JSON can hold"):
        list(EventFile(path))


@pytest.mark.parametrize("place", [0, 4, 40, -30, -6, -1])
def test_a_damaged_parquet_file_is_one_line_or_another_record(tmp_path: Path, place: int) -> None:
    """Never a traceback. (A flipped bit inside a value cannot be noticed: the format has no checksum by default.)"""
    path = tmp_path / "events.parquet"
    parquet.write_table(pyarrow.table({"event_id": [f"p{n}" for n in range(50)], "time_ms": list(range(50))}), path)
    data = bytearray(path.read_bytes())
    data[place] ^= 0xFF
    path.write_bytes(data)
    try:
        found = list(EventFile(path))
    except AssayError as refused:
        assert str(path) in str(refused)
        assert "\n" not in str(refused)
    else:
        assert len(found) == 50


def test_a_file_that_is_no_parquet_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    for content in (b"", b"event_id,time_ms\n", b"PAR1PAR1"):
        path.write_bytes(content)
        with pytest.raises(AssayError, match="events.parquet: expected a Parquet file"):
            list(EventFile(path))
