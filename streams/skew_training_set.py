"""A file to train on, as rows to compare with what the log gives.

A row is found by the id of its event and of its account, as a hash of 64 bits of both. That two of n events have one
hash has a chance of about n^2 / 2^65.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.catalogue import FEATURES
from features.identity import EventName, hash64
from streams.find_verdict import Progress
from streams.log import LogRecord, Output
from streams.skew import CHUNK_ROWS, Found, judged_by
from streams.training_rows import open_rows


class TrainingSet:
    """`streams.skew.Claims` out of what `assay score --features` wrote: features of accounts and of entities.

    Attributes:
        names: of all features.
        rows: of the file.

    Args:
        path: the file; it is read again by `chunks`.
        progress: see there.

    Raises:
        AssayError: it is no such file, or of another feature set (also by `chunks`).
    """

    def __init__(self, path: Path, progress: Progress = lambda *_: None) -> None:
        self.names = FEATURES.names
        self._path = path
        parts: list[NDArray[np.uint64]] = []
        self.rows = 0
        with open_rows(path) as file:
            total = file.metadata.num_rows
            for batch in file.iter_batches(CHUNK_ROWS, columns=["event_id", "account_id"]):
                parts.append(_hashes(batch["event_id"].to_pylist(), batch["account_id"].to_pylist()))
                self.rows += len(batch)
                progress(self.rows, self.rows, total)
        hashes = np.concatenate(parts) if parts else np.empty(0, dtype=np.uint64)
        self._order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._order]

    def find(self, partition: int, records: Sequence[LogRecord], output: Output) -> Found:  # noqa: ARG002
        """See `Claims`."""
        events = chain.from_iterable(part.event_ids for part in output.judged)
        accounts = chain.from_iterable(part.account_ids for part in output.judged)
        hashes = _hashes(list(events), list(accounts))
        first = np.searchsorted(self._hashes, hashes).tolist()
        last = np.searchsorted(self._hashes, hashes, side="right").tolist()
        pairs = [
            (int(self._order[at]), place)
            for place, rows in enumerate(map(range, first, last))
            for at in rows  # more than one where the file has a row twice
        ]
        return Found.of(pairs, judged_by(records, output, len(self.names)))

    def chunks(self) -> Iterator[NDArray[np.float32]]:
        """See `Claims`."""
        with open_rows(self._path) as file:
            for batch in file.iter_batches(CHUNK_ROWS, columns=list(self.names)):
                yield np.stack([batch[name].to_numpy(zero_copy_only=False) for name in self.names], axis=1)


def _hashes(event_ids: Sequence[str], account_ids: Sequence[str]) -> NDArray[np.uint64]:
    names = map(_hash, map(EventName, event_ids, account_ids))
    return np.fromiter(names, dtype=np.uint64, count=len(event_ids))


def _hash(name: EventName) -> int:
    """Equal for equal names only, as far as a hash can tell: the length keeps the two ids apart."""
    return hash64(f"{len(name.event_id)}:{name.event_id}{name.account_id}")
