"""What the engine tells of simulated traffic: records of the links topic, as the warm path is given them."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import orjson

from features.store import MemoryStore
from streams.commands.models import open_models
from streams.label_merge import merge_labels
from streams.log import LogRecord
from streams.partition import Partition
from streams.signature import everybody
from streams.simulator.known import label_records
from streams.simulator.records import event_records
from streams.simulator.scenario import Scenario
from streams.simulator.timeline import simulate

BATCH = 1_000


class Told(NamedTuple):
    """Records of the links topic, in order, and from which of them on the traffic is measured.

    Attributes:
        records: values.
        measured_from: place of the first that came while the measured events were folded.
        events: how many of these there were.
        seconds: of event time that these take.
    """

    records: list[bytes]
    measured_from: int
    events: int
    seconds: float


def simulated(events: int, seed: int) -> list[bytes]:
    """Events with their labels among them, in order of arrival."""
    played = simulate(Scenario(events=events, seed=seed))
    labels = [orjson.dumps(label) for label in label_records(played)]
    return list(islice(merge_labels((orjson.dumps(event) for event in event_records(played)), labels), events))


def told_by(values: Sequence[bytes], partitions: int, turn: int, directory: Path) -> Told:
    """Fold a log in all partitions, an equal stretch of each in turn; the second half of it is what is measured.

    Args:
        values: records of the log.
        partitions: over which accounts are spread.
        turn: records of the whole log that are folded before it is the next partition's turn.
        directory: where models are looked up.
    """
    model, by_id = open_models("", directory)
    folds = [Partition(number, MemoryStore(), model, by_id) for number in range(partitions)]
    waiting: list[list[bytes]] = [[] for _ in folds]
    offsets = [0] * partitions
    records: list[bytes] = []
    half, measured_from, first_ms = len(values) // 2, 0, 0
    for place, value in enumerate(values):
        event = orjson.loads(value)
        if place == half:
            measured_from, first_ms = len(records), event["time_ms"]
        waiting[sum(event["account_id"].encode()) % partitions].append(value)
        if (place + 1) % turn and place + 1 not in (half, len(values)):
            continue
        for number, fold in enumerate(folds):
            for start in range(0, len(waiting[number]), BATCH):
                batch = waiting[number][start : start + BATCH]
                log = [LogRecord(offsets[number] + row, one) for row, one in enumerate(batch)]
                offsets[number] += len(batch)
                records += fold.fold(log, everybody, publishing=False).links
            waiting[number].clear()
    seconds = (orjson.loads(values[-1])["time_ms"] - first_ms) / 1000
    return Told(records, measured_from, len(values) - half, seconds)
