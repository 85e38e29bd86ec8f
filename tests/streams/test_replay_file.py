"""The file of a replay is there whole or not at all."""

from pathlib import Path

import pytest

from features.errors import AssayError
from streams.log import LogRecord, Outgoing, Output
from streams.replay_file import VerdictFile

BATCH = Output(verdicts=[Outgoing(0, b"a", b"{}"), Outgoing(1, b"a", b"[]")])
RECORDS = [LogRecord(0, b""), LogRecord(1, b"")]


def test_it_gets_its_name_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    path.write_text("of an earlier run")
    with VerdictFile(path) as file:
        file.write(0, RECORDS, BATCH)
        assert path.read_text() == "of an earlier run"
    assert path.read_bytes() == b"{}\n[]\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_run_that_failed_leaves_no_file_and_the_next_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    with pytest.raises(KeyboardInterrupt), VerdictFile(path) as file:
        file.write(0, RECORDS, BATCH)
        raise KeyboardInterrupt
    assert not path.exists()
    with VerdictFile(path):
        pass
    assert path.read_bytes() == b""


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(AssayError, match="there"), VerdictFile(tmp_path / "there"):
        pass


def test_a_device_is_written_as_it_is() -> None:
    with VerdictFile(Path("/dev/null")) as file:
        file.write(0, RECORDS, BATCH)
    assert not Path("/dev/null.partial").exists()
