"""Scoring files in tests: one call in, everything that was written out."""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from streams.score import ScoreRequest, Summary, score
from tests.streams.small_model import small_model
from tests.streams.test_engine import open_small


class Written(NamedTuple):
    """Bytes of the files of a run; empty where a file is not there."""

    verdicts: bytes
    outcomes: bytes
    dead_letters: bytes


def write_lines(path: Path, log: list[bytes]) -> Path:
    """The log as JSON lines."""
    path.write_bytes(b"".join(value + b"\n" for value in log))
    return path


def request(events: Path, directory: Path, **changes: Any) -> ScoreRequest:
    """A request that writes all its files into `directory`."""
    directory.mkdir(exist_ok=True)
    whole = ScoreRequest(
        events=events,
        out=directory / "verdicts.jsonl",
        outcomes=directory / "outcomes.jsonl",
        dead_letters=directory / "dead-letters.jsonl",
        bad_share=1.0,
    )
    return replace(whole, **changes)


def run(events: Path, directory: Path, **changes: Any) -> Summary:
    """Score with the small model."""
    return score(request(events, directory, **changes), small_model(), open_small)


def written(directory: Path) -> Written:
    """What the runs into `directory` wrote."""
    files = [directory / f"{name}.jsonl" for name in ("verdicts", "outcomes", "dead-letters")]
    return Written(*(path.read_bytes() if path.exists() else b"" for path in files))


def scored(log: list[bytes], directory: Path, **changes: Any) -> Written:
    """What one run makes of a log."""
    directory.mkdir(exist_ok=True)
    run(write_lines(directory / "events.jsonl", log), directory, **changes)
    return written(directory)


def rows(lines: bytes) -> list[dict[str, Any]]:
    """JSON lines as objects."""
    return [orjson.loads(line) for line in lines.splitlines()]
