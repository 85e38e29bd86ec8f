"""One pass of a client over the events that are already there: how fast, and what became of each event."""

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from benchmarks.arena import PREFIX, Arena, partition_of, produce
from benchmarks.contestant import Contestant, running, watch
from benchmarks.rates import Answers, Rates, count_answers, event_id_of, steady
from benchmarks.report import announce
from benchmarks.workload import Workload

LIMIT_S = 90.0
"""A client that is to judge everything gets no more time than this."""


class Log(NamedTuple):
    """The events as they lie in the topic: by partition, in order."""

    values: list[list[bytes]]
    ids: list[list[bytes]]


class Passage(NamedTuple):
    """What one pass gave; `published` are the values of each partition of its topic."""

    rates: Rates
    answers: Answers
    published: list[list[bytes]]


def fill(arena: Arena, load: Workload, prefix: str = PREFIX) -> Log:
    """Make the topics and write every event."""
    arena.make_topics(prefix)
    announce(f"writing {len(load.values)} events into a topic")
    produce(arena.settings, f"{prefix}events", load.values, load.keys)
    values: list[list[bytes]] = [[] for _ in arena.ends(f"{prefix}events")]
    for value, key in zip(load.values, load.keys, strict=True):
        values[partition_of(key)].append(value)
    return Log(values, [[event_id_of(value) for value in part] for part in values])


def passage(arena: Arena, contestant: Contestant, log: Log, limit_s: float = LIMIT_S) -> Passage:
    """Start a client on the first core, let it work on the whole log or until its time is up, and end it.

    Raises:
        AssayError: it ended by itself, published nothing, or was done too soon to measure.
    """
    announce(f"{contestant.name}: at most {limit_s:g} s")
    starts = arena.ends(contestant.target)
    with running(contestant) as process:
        samples = watch(arena, contestant, process, sum(map(len, log.values)), limit_s)
    published = arena.read(contestant.target, starts)
    answers = count_answers(log.ids, [event_id_of(value) for part in published for value in part])
    return Passage(steady(samples), answers, published)


def medians(passages: Sequence[Passage]) -> Rates:
    """Median of each rate."""
    return Rates(median(one.rates.per_s for one in passages), median(one.rates.per_cpu_s for one in passages))
