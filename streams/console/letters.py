"""Dead letters for the console: the newest, one with its values masked, what a redrive would send, and sending it."""

import heapq
from collections import Counter
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from streams.console.desk import Desk
from streams.console.jobs import Report
from streams.dead_letter_topic import DeadLetterTopic
from streams.dead_letters import Address, Letter, Redriven, Wanted
from streams.kafka_clients import connection
from streams.redrive import Choice, choose
from streams.redriver import Redriver

MOST_SHOWN: Final = 200
MOST_SENT: Final = 1_000
"""Letters that one redrive of the console sends at most; `assay dlq redrive` sends more."""
MOST_REDRIVES: Final = 3

Source = Literal["events", "labels"]


class Letters(NamedTuple):
    """Dead letters of one topic.

    Attributes:
        newest: newest first.
        sent_back: addresses of records that were sent back.
        counts: letters by code, of all that were read.
    """

    newest: list[Letter]
    sent_back: set[Address]
    counts: Mapping[str, int]


def read_letters(desk: Desk, source: Source, wanted: Wanted, report: Report) -> Letters:
    """The newest letters that are wanted.

    Raises:
        AssayError: reading failed.
    """
    topic = DeadLetterTopic(desk.tools.reader, desk.topic(source))
    sent_back: set[Address] = set()
    counts: Counter[str] = Counter()
    newest: list[tuple[int, str, int, Letter]] = []
    for number, item in enumerate(topic.read(wanted, topic.ends(), report)):
        if isinstance(item, Redriven):
            sent_back.update(item.addresses())
            continue
        counts[item.code] += 1
        heapq.heappush(newest, (item.record.timestamp_ms or 0, str(item.source), number, item))
        if len(newest) > MOST_SHOWN:
            heapq.heappop(newest)
    return Letters([letter for *_, letter in sorted(newest, reverse=True)], sent_back, counts)


def read_letter(desk: Desk, source: Source, partition: int, offset: int) -> Letter:
    """One letter.

    Raises:
        AssayError: there is none.
    """
    return DeadLetterTopic(desk.tools.reader, desk.topic(source)).letter_at(partition, offset)


def would_send(desk: Desk, source: Source, wanted: Wanted, report: Report) -> Choice:
    """What `send_back` would send now.

    Raises:
        AssayError: reading failed.
    """
    topic = DeadLetterTopic(desk.tools.reader, desk.topic(source))
    return _choice(topic, wanted, topic.ends(), report)


def send_back(desk: Desk, source: Source, wanted: Wanted, report: Report) -> Choice:
    """Send letters back to where they came from; each once, however often this is asked.

    Raises:
        AssayError: Kafka refuses; what was sent is marked and is not sent again.
    """
    topic = DeadLetterTopic(desk.tools.reader, desk.topic(source))
    with Redriver(connection(desk.tools.config), topic) as redriver:
        choice = _choice(topic, wanted, redriver.settled_ends(), report)
        count = len(choice.letters)
        redriver.send(choice.letters, None, lambda sent: report(sent, sent, count))
    return choice


def _choice(topic: DeadLetterTopic, wanted: Wanted, ends: Mapping[int, int], report: Report) -> Choice:
    """Every mark is read before any letter, since a mark stands behind its letter."""
    marks = (item for item in topic.read(wanted, ends, report) if isinstance(item, Redriven))
    sent_back = {address for mark in marks for address in mark.addresses()}
    letters = (item for item in topic.read(wanted, ends, report) if isinstance(item, Letter))
    return choose(letters, sent_back, topic.source, most_redrives=MOST_REDRIVES, limit=MOST_SENT)
