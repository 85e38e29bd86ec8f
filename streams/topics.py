"""The topics of the engine: one table, and what has to be done so that a cluster agrees with it. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from features.errors import AssayError

DEFAULT_PREFIX = "fraud."
DEFAULT_PARTITIONS = 8
DAY_MS = 86_400_000
LONGEST_NAME = 249  # of a Kafka topic

PARTITIONS_STAY = (
    "the number of partitions is never changed: an account's partition is the hash of its key over that number, so "
    "another number sends its next events away from the partition that holds its history; "
    "to change it, create topics under another --prefix and replay the log into them"
)

WATCH_STATES = "watch-states"
"""Name of the table of what the watch over the traffic remembers."""
LABEL_IDS = "label-ids"
"""Name of the table of labels that were put into the events log."""

Role = Literal["producer", "engine", "warm", "operator", "reader"]
"""Who works with topics: upstream feeds, workers, the warm path, people and their tools, downstream systems."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic of the contract.

    Attributes:
        name: without the prefix.
        key: what a record's key is.
        writers: who may write to it.
        readers: who may read from it.
        as_events: it has as many partitions as ``events``; otherwise one, because its readers rely on one order.
        exact: settings that must be as given.
        at_least: settings that must be as given or larger; -1 means without limit.
    """

    name: str
    key: str
    writers: tuple[Role, ...]
    readers: tuple[Role, ...]
    as_events: bool = True
    exact: Mapping[str, str] = field(default_factory=dict)
    at_least: Mapping[str, int] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, str]:
        """The settings the topic is created with."""
        return {**self.exact, **{name: str(value) for name, value in self.at_least.items()}}


def _kept(days: int, **more: int) -> dict[str, int]:
    return {"retention.ms": days * DAY_MS, **more}


DELETE = {"cleanup.policy": "delete"}
# Recovery and replay fold the log against older versions of a key: a version stays for a week before it may go.
COMPACT = {"cleanup.policy": "compact"}
LAG = {"min.compaction.lag.ms": 7 * DAY_MS}
LARGEST_RECORD = 1_048_588  # bytes, Kafka's default
# A set-aside record is the original, whole, with headers added: it must fit even if the original was the largest.
LARGEST_SET_ASIDE = 2 * LARGEST_RECORD
LARGEST_STATE = 8 * LARGEST_RECORD

TOPICS = (
    Topic("events", "account_id", ("producer", "warm", "operator"), ("engine", "operator"),
          exact=DELETE, at_least=_kept(100)),  # the longest window is 90 days
    Topic("labels", "account_id", ("producer", "operator"), ("warm", "operator"), exact=DELETE, at_least=_kept(100)),
    Topic("verdicts", "account_id", ("engine",), ("reader", "operator"), exact=DELETE, at_least=_kept(100)),
    Topic("outcomes", "account_id", ("engine",), ("warm", "operator"), exact=DELETE, at_least=_kept(100)),
    Topic("links", "partition", ("engine",), ("warm", "operator"), as_events=False, exact=DELETE, at_least=_kept(100)),
    Topic("entities", "entity", ("warm",), ("engine", "warm", "operator"), as_events=False, exact=COMPACT,
          at_least=LAG),
    Topic("telemetry", "partition", ("engine", "warm", "operator"), ("warm", "operator"), as_events=False, exact=DELETE,
          at_least=_kept(30)),
    Topic("control", "name", ("operator", "warm"), ("engine", "warm", "operator"), as_events=False, exact=COMPACT,
          at_least=LAG),
    Topic("alerts", "alert name", ("warm",), ("reader", "operator"), as_events=False, exact=DELETE,
          at_least=_kept(100)),
    Topic("audit", "action", ("operator",), ("operator",), as_events=False, exact=DELETE, at_least=_kept(400)),
    Topic("events.dlq", "source key", ("engine", "operator"), ("operator",), exact=DELETE,
          at_least=_kept(30, **{"max.message.bytes": LARGEST_SET_ASIDE})),
    Topic("labels.dlq", "source key", ("engine", "warm", "operator"), ("operator",), exact=DELETE,
          at_least=_kept(30, **{"max.message.bytes": LARGEST_SET_ASIDE})),
    Topic(f"warm.{LABEL_IDS}", "label id", ("warm",), ("warm",), exact={"cleanup.policy": "compact,delete"},
          at_least=_kept(200)),  # a chargeback may come four months after the payment
    Topic(f"warm.{WATCH_STATES}", "state", ("warm",), ("warm", "operator"), as_events=False, exact=COMPACT,
          at_least={"max.message.bytes": LARGEST_STATE}),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Existing:
    """A topic as the cluster has it.

    Attributes:
        partitions: how many.
        replicas: copies of each partition.
        settings: every setting in force, by name.
    """

    partitions: int
    replicas: int
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done about one topic.

    Attributes:
        topic: full name.
        outcome: ``create`` it, it is ``present`` as it should be, or it ``differs`` and is left alone.
        partitions: it has, or is to have.
        settings: it is to be created with.
        differences: one sentence each.
    """

    topic: str
    outcome: Literal["create", "present", "differs"]
    partitions: int
    settings: Mapping[str, str]
    differences: tuple[str, ...] = ()


def topic_names(prefix: str = DEFAULT_PREFIX) -> list[str]:
    """Full names, in the order of the table.

    Raises:
        AssayError: Kafka would refuse names with this prefix.

    >>> topic_names("test.")[:2]
    ['test.events', 'test.labels']
    """
    longest = max(len(topic.name) for topic in TOPICS)
    if not re.fullmatch(r"[A-Za-z0-9._-]*", prefix) or len(prefix) + longest > LONGEST_NAME:
        raise AssayError(
            f"the prefix of topics may hold letters, digits, '.', '_' and '-' and be at most {LONGEST_NAME - longest} "
            f"long, got {prefix!r} ({len(prefix)} characters): choose another --prefix"
        )
    return [prefix + topic.name for topic in TOPICS]


def plan(prefix: str, partitions: int | None, existing: Mapping[str, Existing]) -> list[Step]:
    """One step per topic of the table, in its order. Nothing is ever deleted or changed.

    Args:
        prefix: of every topic's name.
        partitions: asked for; None takes those of ``events`` if it exists, else 8.
        existing: topics of the cluster by full name; others than ours are ignored.

    >>> [step.outcome for step in plan("fraud.", None, {})] == ["create"] * len(TOPICS)
    True
    """
    names = topic_names(prefix)
    events = existing.get(names[0])
    asked = partitions or DEFAULT_PARTITIONS
    # A verdict goes to the partition of its event, so what is created later follows the events that are there.
    shared = events.partitions if events else asked
    steps = []
    for name, topic in zip(names, TOPICS, strict=True):
        found = existing.get(name)
        if found is None:
            steps.append(Step(name, "create", shared if topic.as_events else 1, topic.settings))
            continue
        wanted = 1 if not topic.as_events else partitions if partitions and found is events else shared
        differences = _differences(topic, wanted, found)
        outcome: Literal["present", "differs"] = "differs" if differences else "present"
        steps.append(Step(name, outcome, found.partitions, topic.settings, tuple(differences)))
    return steps


def _differences(topic: Topic, partitions: int, found: Existing) -> list[str]:
    sentences = []
    if found.partitions != partitions:
        sentences.append(f"partitions: expected {partitions}, is {found.partitions}")
    for name, expected in topic.exact.items():
        got = found.settings.get(name)
        if got != expected:
            sentences.append(f"{name}: expected {expected}, is {got}")
    for name, least in topic.at_least.items():
        got = found.settings.get(name, "0")
        if got != "-1" and int(got) < least:
            sentences.append(f"{name}: expected at least {least}, is {got}")
    return sentences
