"""How an archive is laid out: which range of a log a file holds, and where it lies. Pure; file names are all there is.

``<url>/<topic>/dt=YYYY-MM-DD/hour=HH/<topic>-<partition>-<first offset>-<last offset>.parquet``, offsets in 20 digits.
A file covers every offset from its first to its last, also those that never hold a record (markers of transactions), so
the next file of a partition begins one after.

The hour of a file is that of the newest Kafka timestamp of its partition so far (UTC): it never goes back. A record
lies in the hour of its own timestamp, or, when it came late, in a later one; never in an earlier one.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from typing import NamedTuple

from features.errors import AssayError
from features.events import MAX_TIME_MS
from streams.topics import TOPICS

HOUR_MS = 3_600_000
_path = re.compile(
    r"(?P<topic>[a-z.]+)/dt=(?P<day>\d{4}-\d{2}-\d{2})/hour=(?P<hour>\d{2})/"
    r"(?P=topic)-(?P<partition>\d+)-(?P<first>\d{20})-(?P<last>\d{20})\.parquet"
).fullmatch


class ArchiveFile(NamedTuple):
    """One file of an archive.

    Attributes:
        topic: name without the prefix.
        partition: whose records it holds.
        first: first offset that it covers.
        last: last offset that it covers.
        hour: hours since 1970; see the module.
    """

    topic: str
    partition: int
    first: int
    last: int
    hour: int

    @property
    def path(self) -> str:
        """Where it lies, below the archive.

        >>> ArchiveFile("events", 3, 0, 41, 490_000).path  # doctest: +ELLIPSIS
        'events/dt=2025-11-24/hour=16/events-3-00000000000000000000-00000000000000000041.parquet'
        """
        name = f"{self.topic}-{self.partition}-{self.first:020}-{self.last:020}.parquet"
        return f"{self.topic}/{directory_of(self.hour)}/{name}"


def directory_of(hour: int) -> str:
    """Directory of an hour, below that of the topic.

    >>> directory_of(0)
    'dt=1970-01-01/hour=00'
    """
    return datetime.fromtimestamp(hour * 3_600, UTC).strftime("dt=%Y-%m-%d/hour=%H")


def hour_of(timestamp_ms: int | None, at_least: int) -> int:
    """The hour of a file that holds a record, when the partition has come to `at_least` before it.

    >>> hour_of(7_300_000, at_least=0), hour_of(7_300_000, at_least=5), hour_of(None, at_least=5)
    (2, 5, 5)
    """
    if timestamp_ms is None:
        return at_least
    return max(at_least, min(timestamp_ms, MAX_TIME_MS) // HOUR_MS)


def parse(path: str) -> ArchiveFile | None:
    """The file at `path` (below the archive); None for what a reader of Parquet would pass over too.

    Raises:
        AssayError: a Parquet file that is not named as one of an archive.
    """
    found = _path(path)
    if found is None:
        if path.endswith(".parquet") and not path.rpartition("/")[2].startswith((".", "_")):
            raise AssayError(
                f"{path}: expected only files of an archive (<topic>-<partition>-<first>-<last>.parquet below dt= and "
                "hour=), and queries would read this one too; move it away"
            )
        return None
    hour = datetime.strptime(f"{found['day']} {found['hour']} +0000", "%Y-%m-%d %H %z").timestamp() // 3_600
    return ArchiveFile(found["topic"], int(found["partition"]), int(found["first"]), int(found["last"]), int(hour))


def chains(files: Iterable[ArchiveFile], where: str) -> Mapping[int, list[ArchiveFile]]:
    """The files of one topic by partition, in the order of their offsets.

    Args:
        files: in any order.
        where: the archive, for messages.

    Raises:
        AssayError: between two files records are missing, or both hold the same.
    """
    by_partition: dict[int, list[ArchiveFile]] = {}
    for file in sorted(files):
        by_partition.setdefault(file.partition, []).append(file)
    for chain in by_partition.values():
        for earlier, later in pairwise(chain):
            _check_neighbours(earlier, later, where)
    return by_partition


def topic_name(topic: str) -> str:
    """Name of a topic of the contract without its prefix.

    Raises:
        AssayError: it is none of the contract's.

    >>> topic_name("fraud.events"), topic_name("test-7.events.dlq")
    ('events', 'events.dlq')
    """
    found = [each.name for each in TOPICS if topic.endswith(each.name)]
    if not found:
        raise AssayError(f"expected a topic of the contract (such as fraud.events), got {topic}; check topics.prefix")
    return max(found, key=len)


def _check_neighbours(earlier: ArchiveFile, later: ArchiveFile, where: str) -> None:
    partition = f"{where}, {later.topic}[{later.partition}]"
    if later.first > earlier.last + 1:
        raise AssayError(
            f"{partition}: offsets {earlier.last + 1} to {later.first - 1} are missing before {later.path}; put their "
            "files back, or move this one and every later one of the partition away: the next run writes them again"
        )
    if later.first <= earlier.last:
        raise AssayError(
            f"{partition}: {earlier.path} and {later.path} both hold offset {later.first}, so queries count records "
            "twice: two runs wrote at the same time. Move the second and every later one of the partition away: the "
            "next run writes them again"
        )
