"""The files of a world: both formats say the same, and a directory in the way is one clear line."""

from pathlib import Path

import orjson
import pytest

from features.errors import AssayError
from streams.event_files import EventFile
from streams.simulator import Scenario, simulate
from streams.simulator.writer import write


def test_both_formats_say_the_same(tmp_path: Path) -> None:
    timeline = simulate(Scenario(events=3_000, seed=2))
    lines = write(timeline, tmp_path, "jsonl")
    tables = write(timeline, tmp_path, "parquet")
    for name in ("events", "labels"):
        of_lines = [orjson.loads(line) for line in EventFile(lines[name])]
        assert of_lines == [orjson.loads(row) for row in EventFile(tables[name])]
    assert not list(tmp_path.glob("*.partial"))


def test_a_directory_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(AssayError, match=r"file.*--out"):
        write(simulate(Scenario(events=100)), tmp_path / "file", "jsonl")
