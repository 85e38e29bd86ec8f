"""Rows of features that somebody has, beside those that the log gives: it is folded again, and each row is compared.

Rows are numbered in the order in which they are had. What the log gives comes in another order, so it waits in a file
of its own until the rows pass by, a chunk at a time: memory holds a few numbers of each row, and never all features.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from features.errors import AssayError
from models.skew import SkewTally
from streams.log import LogRecord, Output
from streams.log_range import PartitionRange
from streams.replay import Progress, replay
from streams.replay_changes import AS_RECORDED
from streams.time_machine import TimeMachine

CHUNK_ROWS = 10_000
"""Rows that are compared at once."""


class Given(NamedTuple):
    """Features that records of the log give.

    Attributes:
        offsets: int64[n], of the records: an event gives its own features, a label those of the event that it judges.
        events: int64[n], offsets of the events; of a label whose event is not known any more, its own.
        judged: bool[n], whether a verdict was given at `events`.
        features: float32[n, f].
    """

    offsets: NDArray[np.int64]
    events: NDArray[np.int64]
    judged: NDArray[np.bool_]
    features: NDArray[np.float32]

    def at(self, places: NDArray[np.int64]) -> "Given":
        """Some of them."""
        return Given(self.offsets[places], self.events[places], self.judged[places], self.features[places])

    def and_those(self, other: "Given") -> "Given":
        """These, then others."""
        return Given(
            np.concatenate([self.offsets, other.offsets]),
            np.concatenate([self.events, other.events]),
            np.concatenate([self.judged, other.judged]),
            np.concatenate([self.features, other.features]),
        )


class Found(NamedTuple):
    """Rows that somebody has, with what the log gives for them; one may be there twice.

    Attributes:
        rows: int64[n], their numbers.
        given: n records.
    """

    rows: NDArray[np.int64]
    given: Given

    @classmethod
    def of(cls, pairs: Sequence[tuple[int, int]], given: Given) -> "Found":
        """From pairs of a row and a place in `given`."""
        rows, places = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        return cls(rows, given.at(places))


class Explained(NamedTuple):
    """A record of the log that shows a difference.

    Attributes:
        partition: of the log.
        offset: in it.
        judged: whether it has a verdict.
    """

    partition: int
    offset: int
    judged: bool


class Claims(Protocol):
    """Rows of features that somebody has.

    Attributes:
        names: f names of their features.
        rows: how many.
    """

    names: tuple[str, ...]
    rows: int

    def find(self, partition: int, records: Sequence[LogRecord], output: Output) -> Found:
        """Which rows some records give, and how; `output` is of folding them."""
        ...

    def chunks(self) -> Iterator[NDArray[np.float32]]:
        """The rows in their order, float32[m, f] at a time."""
        ...


class SkewFound(NamedTuple):
    """Rows that were compared.

    Attributes:
        tally: what differs.
        not_given: rows that the log does not give.
        given_again: rows that the log gives more than once; they are not compared.
        first: of each feature that differs, the first record to explain.
    """

    tally: SkewTally
    not_given: int
    given_again: int
    first: dict[str, Explained]


class Recomputed:
    """What the log gives, by the number of the row: a `streams.replay.Out`.

    Attributes:
        times: int32[rows], how often it gives the row; the others are of the last time.
        partitions: int32[rows].
        events: int64[rows], see `Given`.
        judged: bool[rows], see `Given`.
        features: float32[rows, f], in a file; one row more where there is none.

    Args:
        claims: rows to look for.
        file: is made; takes 4 bytes for each value.

    Raises:
        AssayError: there is no room for it.
    """

    def __init__(self, claims: Claims, file: Path) -> None:
        self._claims = claims
        self.times = np.zeros(claims.rows, dtype=np.int32)
        self.partitions = np.zeros(claims.rows, dtype=np.int32)
        self.events = np.zeros(claims.rows, dtype=np.int64)
        self.judged = np.zeros(claims.rows, dtype=np.bool_)
        self.features = _on_disk(file, claims.rows, len(claims.names))

    def write(self, partition: int, records: Sequence[LogRecord], output: Output) -> None:
        """See `streams.replay.Out`."""
        rows, given = self._claims.find(partition, records, output)
        self.features[rows] = given.features
        self.partitions[rows] = partition
        self.events[rows] = given.events
        self.judged[rows] = given.judged
        np.add.at(self.times, rows, 1)

    def explained(self, row: int) -> Explained:
        """Where a row that was given comes from."""
        return Explained(int(self.partitions[row]), int(self.events[row]), bool(self.judged[row]))


def compare(
    machine: TimeMachine,
    ranges: Sequence[PartitionRange],
    claims: Claims,
    directory: Path,
    progress: Progress = lambda *_: None,
) -> SkewFound:
    """Fold ranges of the log again, and compare every row that they give.

    Args:
        machine: brings partitions to the start of their ranges.
        ranges: one per partition.
        claims: the rows.
        directory: for the file of what the log gives, four bytes for each value of `claims`.
        progress: of the fold.

    Raises:
        AssayError: the log or a snapshot does not reach back far enough, there is no room in `directory`, or something
            else outside fails.
    """
    recomputed = Recomputed(claims, directory / "recomputed")
    replay(machine, ranges, AS_RECORDED, [recomputed], progress=progress, keep_features=True)
    tally = SkewTally(claims.names)
    start = 0
    for chunk in claims.chunks():
        once = np.flatnonzero(recomputed.times[start : start + len(chunk)] == 1)
        tally.add(start + once, chunk[once], recomputed.features[start + once])
        start += len(chunk)
    assert start == claims.rows, "chunks are all of the rows"
    return SkewFound(
        tally=tally,
        not_given=int(np.count_nonzero(recomputed.times == 0)),
        given_again=int(np.count_nonzero(recomputed.times > 1)),
        first={name: recomputed.explained(row) for name, row in tally.first_row.items()},
    )


def judged_by(records: Sequence[LogRecord], output: Output, columns: int) -> Given:
    """The first `columns` features of the events that a batch judged, in the order of the verdicts."""
    offsets = np.array([records[verdict.place].offset for verdict in output.verdicts], dtype=np.int64)
    parts = [part.features[:, :columns] for part in output.judged]
    features = np.concatenate(parts) if parts else np.empty((0, columns), dtype=np.float32)
    return Given(offsets, offsets, np.ones(len(offsets), dtype=np.bool_), features)


def no_room(file: Path, error: OSError) -> AssayError:
    """A file of ours could not be written."""
    return AssayError(
        f"{file.parent}: expected room for a file of rows ({error.strerror}); compare a smaller part of the log, or "
        "let TMPDIR name a directory with more room"
    )


def _on_disk(file: Path, rows: int, columns: int) -> NDArray[np.float32]:
    """float32[rows, columns] in a new file that has all of its room: to run out of it later would end the process."""
    shape = (max(1, rows), columns)  # a file of nothing cannot be mapped
    try:
        with file.open("xb") as made:
            os.posix_fallocate(made.fileno(), 0, 4 * shape[0] * shape[1])
    except OSError as error:
        raise no_room(file, error) from None
    return np.memmap(file, dtype=np.float32, mode="r+", shape=shape)
