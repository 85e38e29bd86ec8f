"""The Kafka end, exactly once: one worker against the ceiling, and every verdict against the fold of the same log."""

from itertools import starmap
from pathlib import Path
from typing import Any

from benchmarks.arena import PREFIX, arena
from benchmarks.contestant import assay_worker, bare_loop
from benchmarks.passage import Log, Passage, fill, medians, passage
from benchmarks.report import announce, circumstances
from benchmarks.workload import Workload, workload
from features.store import MemoryStore
from streams.commands.models import open_models
from streams.log import LogRecord
from streams.partition import Partition
from streams.signature import everybody

EVENTS = 300_000
BIAS = (
    "the client under test has the first core, the broker the last; the topic is full before a client starts, the "
    "first fifth of what it publishes is not counted, and nobody reads its verdicts until it has ended; one broker, "
    "no replicas, no network"
)
_BATCH = 1_000


def end_to_end(directory: Path, cache: Path, seed: int, repeats: int, events: int = EVENTS) -> dict[str, Any]:
    """Passes of a worker and of the bare loop in turn over the same topic.

    Args:
        directory: for the broker and states.
        cache: for the workload.
        seed: of the workload.
        repeats: passes of each.
        events: in the topic.
    """
    load = workload(cache, events, seed)
    ours: list[Passage] = []
    ceiling: list[Passage] = []
    with arena(directory) as kafka:
        log = fill(kafka, load)
        kafka.make_topic(f"{PREFIX}bare")
        for _ in range(repeats):
            ceiling.append(passage(kafka, bare_loop(kafka, f"{PREFIX}bare", directory), log))
            ours.append(passage(kafka, assay_worker(kafka, load, directory), log))
    announce("folding the same log without a broker, to compare")
    expected = folded(load, log)
    rates, most = medians(ours), medians(ceiling)
    return {
        **circumstances(f"{load.described}; {len(log.values)} partitions", BIAS),
        "seed": seed,
        "events_per_s": rates.per_s,
        "events_per_cpu_second": rates.per_cpu_s,
        "ceiling_events_per_s": most.per_s,
        "ceiling_events_per_cpu_second": most.per_cpu_s,
        "verdicts": ours[-1].answers.answered,
        "lost": sum(events - one.answers.answered for one in ours),
        "doubled": sum(one.answers.doubled for one in ours),
        "equal": all(one.published == expected for one in ours),
        "compared": f"{repeats} passes with the fold of each partition without a broker, byte for byte",
        "share_of_ceiling": rates.per_s / most.per_s,
        "ratio": rates.per_s / most.per_s,
    }


def folded(load: Workload, log: Log) -> list[list[bytes]]:
    """Verdicts of each partition, in order, from the fold without a broker."""
    model, _ = open_models(str(load.model), load.model.parent)
    verdicts: list[list[bytes]] = []
    for number, values in enumerate(log.values):
        partition = Partition(number, MemoryStore(), model, lambda _: model)
        records = list(starmap(LogRecord, enumerate(values)))
        outputs = [
            partition.fold(records[start : start + _BATCH], everybody) for start in range(0, len(records), _BATCH)
        ]
        verdicts.append([verdict.value for output in outputs for verdict in output.verdicts])
    return verdicts
