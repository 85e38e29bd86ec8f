"""States of partitions on disk, in tests: made from a log, and read whole."""

from pathlib import Path
from typing import NamedTuple

from features.rocks_store import RocksStore
from features.store import StateStore
from streams.log import Output
from streams.partition import Partition
from streams.signature import everybody
from tests.streams.logs import mixed_log, records
from tests.streams.small_model import small_model
from tests.streams.test_engine import open_small

NUMBER = 3
LOG = mixed_log(1_200, seed=77, accounts=25, model_ids=(small_model(2).id, small_model(1).id))


class Content(NamedTuple):
    """Everything that is in a state."""

    accounts: dict[str, bytes]
    values: dict[str, bytes]


def content_of(directory: Path) -> Content:
    """Read a state that nobody writes at the moment."""
    store = RocksStore(directory, read_only=True)
    try:
        return Content(dict(store.accounts()), dict(store.values()))
    finally:
        store.close()


def open_partition(store: StateStore) -> Partition:
    """The partition that a worker would make of a store."""
    return Partition(NUMBER, store, small_model(), open_small)


def fold(partition: Partition, start: int, end: int, batch: int = 200) -> list[Output]:
    """Fold a part of `LOG` as a worker does."""
    log = records(LOG)
    return [partition.fold(log[at : min(at + batch, end)], everybody) for at in range(start, end, batch)]


def published(outputs: list[Output]) -> list[bytes]:
    """Bytes of all verdicts, then of all outcomes."""
    verdicts = [record.value for output in outputs for record in output.verdicts]
    return verdicts + [record.value for output in outputs for record in output.outcomes]


def checkpoints(directory: Path, ends: tuple[int, ...]) -> list[Path]:
    """Checkpoints of one state at some offsets, in their order, each in a directory of its own."""
    store = RocksStore(directory / "live")
    partition = open_partition(store)
    start, paths = 0, []
    for end in ends:
        fold(partition, start, end)
        partition.checkpoint()
        paths.append(directory / f"at-{end}")
        store.checkpoint(paths[-1])
        start = end
    store.close()
    return paths
