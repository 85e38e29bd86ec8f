"""Sending dead letters back: which of them may go, and as what. Pure; `streams/redriver.py` carries it out."""

import heapq
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from features.decode import MAX_VALUE_BYTES
from streams.dead_letters import REDRIVE_COUNT_HEADER, REDRIVE_ID_HEADER, Address, Letter, Redriven
from streams.publisher import Message

SENT_BEFORE: Final = "sent back before"
REPEATED: Final = "letters of a record that has another one"
REDACTED: Final = "redacted: the record is not kept"
WORN_OUT: Final = "sent back too often already"
TOO_LARGE: Final = "larger than the contract allows"
ELSEWHERE: Final = "from another topic"
BEYOND_LIMIT: Final = "beyond the limit"


class Choice(NamedTuple):
    """Letters to send back in their order, and how many stay where they are, by reason."""

    letters: list[Letter]
    left: dict[str, int]


def choose(
    letters: Iterable[Letter], done: Container[Address], source: str, *, most_redrives: int, limit: int
) -> Choice:
    """Choose what goes back, in the order of the source: partition, then offset.

    So an account's records keep their order, also over several runs with a limit.

    Args:
        letters: that somebody asked for, in any order.
        done: addresses that marks name.
        source: the topic that letters may go back to.
        most_redrives: a letter whose record was sent back so often stays.
        limit: at most so many go now.
    """
    left: Counter[str] = Counter()
    going: set[Address] = set()

    def free() -> Iterator[Letter]:
        for letter in letters:
            reason = _stays(letter, done, going, source, most_redrives)
            if reason is None:
                going.add(letter.source)
                yield letter
            else:
                left[reason] += 1

    chosen = heapq.nsmallest(limit, free(), key=lambda letter: letter.source)
    if len(going) > len(chosen):
        left[BEYOND_LIMIT] = len(going) - len(chosen)
    return Choice(chosen, dict(left))


def message_of(letter: Letter) -> Message:
    """The refused record as it goes back: to its own partition, key, value and headers as they were.

    The address and the reason of the refusal stay in the headers; count and id of redriving are added.
    """
    ours = (REDRIVE_COUNT_HEADER, REDRIVE_ID_HEADER)
    earlier = dict(letter.record.headers).get(REDRIVE_ID_HEADER) if letter.redrives else None
    headers = [header for header in letter.record.headers if header[0] not in ours]
    headers += [
        (REDRIVE_COUNT_HEADER, str(letter.redrives + 1).encode()),
        (REDRIVE_ID_HEADER, earlier or str(letter.source).encode()),
    ]
    return Message(letter.source.topic, letter.source.partition, letter.record.key, letter.record.value, headers)


def marks_of(letters: Sequence[Letter], topic: str) -> list[Message]:
    """Marks for the dead-letter topic that say that these letters were sent back; each behind its letters."""
    offsets: dict[tuple[int, str, int], list[int]] = {}
    for letter in letters:
        key = (letter.partition, letter.source.topic, letter.source.partition)
        offsets.setdefault(key, []).append(letter.source.offset)
    return [
        Message(topic, partition, None, msgspec.json.encode(Redriven(source, source_partition, redriven)), None)
        for (partition, source, source_partition), redriven in offsets.items()
    ]


def _stays(
    letter: Letter, done: Container[Address], going: Container[Address], source: str, most_redrives: int
) -> str | None:
    """Why a letter stays where it is."""
    if letter.source.topic != source:
        return ELSEWHERE
    if letter.source in done:
        return SENT_BEFORE
    if letter.source in going:
        return REPEATED
    if letter.is_redacted:
        return REDACTED
    if letter.redrives >= most_redrives:
        return WORN_OUT
    if len(letter.record.value or b"") > MAX_VALUE_BYTES:
        return TOO_LARGE
    return None
