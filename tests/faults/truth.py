"""What should have been published, what was, and how the two differ. Pure, but for the files of `expected`.

Every published record answers one record of the log, so it has an identity: its kind, and the partition and offset of
what it answers. Lost, doubled, differing and out of order are questions about identities.
"""

import base64
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import orjson
from confluent_kafka import Message

from streams.profiles import NoProfiles
from streams.score import ScoreRequest, score
from tests.streams.small_model import small_model
from tests.streams.test_engine import open_small

VERDICT, OUTCOME, DEAD_LETTER = "verdict", "outcome", "dead letter"
SILENT_KINDS = ("profile_change", "marker")
"""They feed state only."""


class Identity(NamedTuple):
    """Which record of the log is answered, and how."""

    kind: str
    partition: int
    offset: int


class Published(NamedTuple):
    """One published record; `content` is what has to be the same, byte for byte."""

    identity: Identity
    content: bytes


class Differences(NamedTuple):
    """How what was published differs from what should have been; all zero is a pass.

    Attributes:
        lost: records that were never published.
        doubled: records too many of an identity.
        differing: records with other bytes.
        invented: records that answer nothing.
        disordered: partitions of a topic whose records are not in the order of the log.
        unanswered: records of the log that neither have an answer nor may go without; found without the fold.
    """

    lost: int = 0
    doubled: int = 0
    differing: int = 0
    invented: int = 0
    disordered: int = 0
    unanswered: int = 0


def expected(log: Sequence[bytes], partition: int, directory: Path) -> list[Published]:
    """What `assay score`, undisturbed, makes of one partition's log."""
    directory.mkdir(parents=True)
    (directory / "events.jsonl").write_bytes(b"".join(value + b"\n" for value in log))
    request = ScoreRequest(
        profiles=NoProfiles(),  # no warm path tells any
        events=directory / "events.jsonl",
        out=directory / "verdicts",
        outcomes=directory / "outcomes",
        dead_letters=directory / "dead-letters",
        partition=partition,
        bad_share=1.0,
    )
    score(request, small_model(), open_small)
    records = [_answer(kind, line) for kind, name in ((VERDICT, "verdicts"), (OUTCOME, "outcomes"))
               for line in _lines(directory / name)]  # fmt: skip
    for line in _lines(directory / "dead-letters"):
        letter = json.loads(line)
        value = letter["value"].encode() if "value" in letter else base64.b64decode(letter["value_base64"])
        identity = Identity(DEAD_LETTER, partition, letter["offset"])
        records.append(Published(identity, _dead_letter(letter["code"], letter["path"], value)))
    return records


def found(messages: Iterable[Message]) -> list[Published]:
    """Messages of the verdict, outcome and dead-letter topics, in the order of each partition."""
    records = []
    for message in messages:
        topic, value = str(message.topic()), message.value() or b""
        if topic.endswith("dlq"):
            headers = {name: (text or b"").decode() for name, text in message.headers() or []}
            offset = int(headers["__connect.errors.offset"])
            content = _dead_letter(headers["assay-error-code"], headers["assay-error-path"], value)
            records.append(Published(Identity(DEAD_LETTER, int(message.partition() or 0), offset), content))
        else:
            records.append(_answer(VERDICT if topic.endswith("verdicts") else OUTCOME, value))
    return records


def differences(
    log: dict[int, list[bytes]], wanted: Sequence[Published], got: Sequence[Published], *, may_repeat: bool = False
) -> Differences:
    """Compare.

    Args:
        log: values of each partition of the events topic.
        wanted: what should have been published.
        got: what was; in each partition of each topic in the order in which readers see it.
        may_repeat: the delivery is at least once: a record may come again, with the same bytes.
    """
    right = {record.identity: record.content for record in wanted}
    times = Counter(record.identity for record in got)
    doubled = sum(count - 1 for count in times.values())
    return Differences(
        lost=len(right.keys() - times.keys()),
        doubled=0 if may_repeat else doubled,
        differing=sum(right.get(record.identity, record.content) != record.content for record in got),
        invented=len(times.keys() - right.keys()),
        disordered=0 if may_repeat else _disordered(got),
        unanswered=_unanswered(log, {(identity.partition, identity.offset) for identity in times}),
    )


def _disordered(records: Sequence[Published]) -> int:
    lanes: dict[tuple[str, int], list[int]] = {}
    for identity, _ in records:
        lanes.setdefault((identity.kind, identity.partition), []).append(identity.offset)
    return sum(offsets != sorted(offsets) for offsets in lanes.values())


def _unanswered(log: dict[int, list[bytes]], answered: set[tuple[int, int]]) -> int:
    """Records without an answer that are neither of a silent kind nor a repetition of an earlier record."""
    count = 0
    for partition, values in log.items():
        seen: set[bytes] = set()
        for offset, value in enumerate(values):
            if (partition, offset) not in answered and value not in seen:
                count += not _is_silent(value)
            seen.add(value)
    return count


def _is_silent(value: bytes) -> bool:
    try:
        return orjson.loads(value)["type"] in SILENT_KINDS
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return False


def _answer(kind: str, value: bytes) -> Published:
    at = orjson.loads(value)["at"]
    return Published(Identity(kind, at["partition"], at["offset"]), value)


def _dead_letter(code: str, path: str, value: bytes) -> bytes:
    return b"\0".join((code.encode(), path.encode(), value))


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines() if path.exists() else []
