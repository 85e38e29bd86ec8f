"""Deterministic simulation: real workers in a world of memory in which one seed decides everything.

The seed draws the traffic, the workers, their settings, and what goes wrong at which effect: crashes, standstills,
refusals, answers that never come. Time moves only when the world says so. While it runs, no stored state may be ahead
of what is committed and nothing committed may go back; once the faults are over, everything has to drain, and what was
published has to be what an undisturbed fold of the same log gives, byte for byte. See docs/simulation.md.

    python -m tests.world --seed 17 -v
"""

import argparse
import logging
import math
import random
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple, TypeVar

from features.errors import AssayError
from streams.config import Config, load_config
from streams.outbound import targets_of
from streams.publisher import Message, Publisher
from streams.worker import Worker
from tests.memory_broker import FencedError, MemoryBroker
from tests.memory_group import StaleMemberError
from tests.memory_log import (
    MemoryEventsLog,
    MemoryFlushingPublisher,
    MemoryTransactionalPublisher,
    NoAnswerError,
    RefusedError,
)
from tests.streams.logs import START_MS
from tests.world_catch_up import CatchUpPlan, CatchUpWorld, draw_catch_up
from tests.world_entities import WorldProfiles
from tests.world_faults import draw_faults
from tests.world_helper import WorldHelper
from tests.world_process import BrokenPromiseError, Crashed, Disk, DiskStates, Process
from tests.world_traffic import (
    Upstream,
    dead_letter,
    draw_traffic,
    expected_of,
    fragile_model,
    links_of,
    open_fragile,
)

Answer = TypeVar("Answer")

TARGETS = targets_of("world.")
SESSION_S = 10.0
TRANSACTION_S = 15.0
_NAPS_S = (1.0, SESSION_S + 4, SESSION_S + 4, TRANSACTION_S + 1)
_STEPS_S = (0.01, 0.3, 2.0, 5.0)
_DEEPEST = 2
_MOST_STEPS = 3_000
_DRAIN_ROUNDS = 1_500
"""The slowest catch-up goes on by a record in one of several rounds, one partition after the other."""


class Plan(NamedTuple):
    """What the seed decides before the beginning.

    Attributes:
        partitions: of every topic.
        slots: number of workers.
        exactly_once: mode of delivery.
        static: whether members keep their partitions over a restart.
        shared_disk: whether all workers find the same states, or each only its own.
        batch_events: most records of a batch.
        checkpoint_seconds: time between two checkpoints.
    """

    partitions: int
    slots: int
    exactly_once: bool
    static: bool
    shared_disk: bool
    batch_events: int
    checkpoint_seconds: float


def draw_plan(source: random.Random) -> Plan:
    """A plan."""
    return Plan(
        partitions=source.choice((1, 2, 2, 3)),
        slots=source.choice((1, 2, 2, 3)),
        exactly_once=source.random() < 0.75,
        static=source.random() < 0.5,
        shared_disk=source.random() < 0.35,
        batch_events=source.choice((1, 4, 10, 30, 100)),
        checkpoint_seconds=source.choice((0.0, 0.5, 5.0, 1_000.0)),
    )


class World:
    """Everything there is, from one seed.

    Args:
        seed: decides everything.
        tell: is told the story, line by line.
        faults: what goes wrong, instead of what the seed draws (`tests/world_faults.py`).

    Attributes:
        seed: the same.
        passed: how often each point was passed.
        occurred: how often each fault happened, by (point, fault).
    """

    def __init__(
        self, seed: int, tell: Callable[[str], None] | None = None, faults: Mapping[tuple[str, int], str] | None = None
    ) -> None:
        self.occurred: Counter[tuple[str, str]] = Counter()
        self.seed = seed
        self._source = random.Random(seed)
        self._tell = tell
        self.plan = draw_plan(self._source)
        self._traffic = draw_traffic(self._source, self._source.randrange(30, 70), self.plan.partitions)
        self._faults = draw_faults(self._source) if faults is None else dict(faults)
        self.passed: Counter[str] = Counter()
        self._broker = MemoryBroker(START_MS / 1000)
        for topic in TARGETS:
            self._broker.create(topic, self.plan.partitions)
        self._group = self._broker.group("engine", TARGETS.source, SESSION_S)
        self._group.on_commit = self._on_commit
        self._writing = random.Random(f"writes of {seed}")
        beside = random.Random(f"gaps of {seed}")
        self.catch_up_plan = draw_catch_up(beside)
        self._catch_up = CatchUpWorld(
            self._broker, TARGETS.source, beside, self.catch_up_plan, self.tell, self._note_catching_up
        )
        disks = {slot: 0 if self.plan.shared_disk else slot for slot in range(self.plan.slots)}
        self._disks = {name: Disk(f"disk {name}", self._on_written) for name in set(disks.values())}
        self._disk_of = {slot: self._disks[name] for slot, name in disks.items()}
        self._configs = [_config(self.plan, self.catch_up_plan, slot) for slot in range(self.plan.slots)]
        self._processes: list[Process] = []
        self._started = 0
        self._start_at_s = dict.fromkeys(range(self.plan.slots), self._broker.now_s)
        self._late: list[Callable[[], object]] = []
        self._upstream_epoch = self._broker.init_transactions("upstream", 1e9)
        self._in_transaction: list[Upstream] = []
        self._depth = 0

    def run(self) -> None:
        """Live through it.

        Raises:
            BrokenPromiseError: something happened that must not.
        """
        self.tell(f"{self.plan}, {self.catch_up_plan}, {len(self._traffic)} records, {len(self._faults)} faults")
        for _ in range(_MOST_STEPS):
            if not self._traffic and not self._in_transaction:
                break
            self._step()
        for _ in range(self._source.randrange(60)):
            self._step()
        self._drain()
        self._check_published()

    def tell(self, line: str) -> None:
        """Add to the story."""
        if self._tell is not None:
            self._tell(f"{self._broker.now_s - START_MS / 1000:8.2f} s {'  ' * self._depth}{line}")

    # What happens next

    def _step(self) -> None:
        self._catch_up.step()
        draw = self._source.random()
        if draw < 0.55:
            awake = [process for process in self._processes if process.alive and not process.asleep]
            if awake:
                self._turn(self._source.choice(awake))
        elif draw < 0.70:
            self._write_upstream()
        elif draw < 0.95:
            self._advance(self._source.choice(_STEPS_S))
        elif draw < 0.96:
            self._stop(self._source.choice(self._processes) if self._processes else None)
        elif self._late:
            self._arrive(self._late.pop(self._source.randrange(len(self._late))))
        self._start_missing()

    def _turn(self, process: Process) -> None:
        assert process.worker is not None
        self._guarded(process, process.worker.turn)

    def _guarded(self, process: Process, action: Callable[[], None]) -> None:
        """Let a process act; what ends it ends nothing else."""
        try:
            action()
            return
        except Crashed:
            pass
        except AssayError as error:
            self.tell(f"{process.name} ends: {error}")
            if process.worker is not None:
                with suppress(Crashed, AssayError):
                    process.worker.close()
        except Exception as error:
            raise BrokenPromiseError(f"{process.name} broke: {type(error).__name__}: {error}") from error
        self._bury(process)

    def _bury(self, process: Process) -> None:
        process.die()
        if process in self._processes:
            self._processes.remove(process)
        if not any(other.slot == process.slot for other in self._processes):
            self._start_at_s[process.slot] = self._broker.now_s + self._source.choice((0.0, 1.0, SESSION_S * 1.2))

    def _start_missing(self) -> None:
        for slot in range(self.plan.slots):
            if self._start_at_s.get(slot, math.inf) <= self._broker.now_s:
                del self._start_at_s[slot]
                self._start(slot)

    def _start(self, slot: int) -> None:
        self._started += 1
        process = Process(self._started, slot, self._disk_of[slot], self._request)
        self._processes.append(process)
        self.tell(f"{process.name} starts")
        self._guarded(process, lambda: self._open(process))

    def _open(self, process: Process) -> None:
        instance = f"engine-{process.slot}" if self.plan.static else None
        log = MemoryEventsLog(self._broker, TARGETS.source, self._group, instance, process.network)
        process.log = log
        publisher: Publisher
        if self.plan.exactly_once:
            publisher = MemoryTransactionalPublisher(
                self._broker, f"engine-{process.slot}", log, TRANSACTION_S, process.network
            )
        else:
            publisher = MemoryFlushingPublisher(self._broker, log, process.network)
        config, model, states = self._configs[process.slot], fragile_model(1), DiskStates(process)
        catch_up = self._catch_up.of(process)
        process.writer = WorldHelper(self._writing, self._note_writing)
        worker = Worker(
            config,
            model,
            open_fragile,
            log,
            publisher,
            states,
            lambda: self._broker.now_s,
            catch_up,
            process.writer,
            WorldProfiles(self._source),
        )
        process.worker = worker
        worker.join()

    def _stop(self, process: Process | None) -> None:
        """As `Worker.run` ends after SIGTERM."""
        if process is None or process.asleep:
            return
        self.tell(f"{process.name} is asked to stop")
        self.occurred["worker", "stopped"] += 1
        assert process.worker is not None
        self._guarded(process, process.worker.checkpoint)
        if process.alive:
            self._guarded(process, process.worker.close)
        self._bury(process)

    def _advance(self, seconds: float) -> None:
        self._broker.now_s += seconds
        for process in self._processes:
            if process.alive and not process.asleep and process.log is not None:
                process.log.heartbeat()
        self._broker.expire()

    def _write_upstream(self) -> None:
        """Some more records: at once, or in a transaction that stays open for a while and may be aborted."""
        if self._in_transaction:
            commit = self._source.random() < 0.6
            self._broker.end_transaction("upstream", self._upstream_epoch, commit=commit)
            if not commit:
                self._traffic[:0] = self._in_transaction
            self._in_transaction = []
            return
        count = self._source.choice((1, 3, 8, 20))
        records, self._traffic = self._traffic[:count], self._traffic[count:]
        in_transaction = self._source.random() < 0.3
        for record in records:
            message = Message(TARGETS.source, record.partition, record.key, record.value, None)
            if in_transaction:
                self._broker.produce("upstream", self._upstream_epoch, message, record.timestamp_ms)
            else:
                self._broker.append(message, timestamp_ms=record.timestamp_ms)
        if in_transaction:
            self._in_transaction = records

    # What goes wrong

    def _request(self, process: Process, point: str, send: Callable[[], Answer]) -> Answer:
        """An effect of a process on the world, and what the seed does to it."""
        if not process.alive:
            raise Crashed
        self.passed[point] += 1
        fault = self._faults.get((point, self.passed[point]))
        if fault is None or (fault.startswith("sleep") and self._depth == _DEEPEST):
            if point != "poll":
                self.tell(f"{process.name}: {point}")
            return send()
        self.occurred[point, fault] += 1
        self.tell(f"{process.name}: {point}: {fault}")
        if fault == "crash_before":
            process.die()
            raise Crashed
        if fault == "sleep_before":
            self._sleep(process)
        elif fault == "refused":
            raise RefusedError
        elif fault == "late":
            self._late.append(send)
            raise NoAnswerError
        elif fault == "never":
            raise NoAnswerError
        elif fault == "step_back":
            assert process.log is not None
            process.log.step_back(self._source.randint(1, 20))
        elif fault in ("disk_lost", "disk_older"):
            self._damage(process.disk, fault)
        answer = send()
        if fault == "crash_after":
            process.die()
            raise Crashed
        if fault == "sleep_after":
            self._sleep(process)
        elif fault == "lost_answer":
            raise NoAnswerError
        return answer

    def _sleep(self, process: Process) -> None:
        """The process stands still, and the rest of the world goes on."""
        wake_s = self._broker.now_s + self._source.choice(_NAPS_S)
        process.asleep = True
        self._depth += 1
        if process.slot not in self._start_at_s and self._source.random() < 0.3:
            self._start_at_s[process.slot] = self._broker.now_s + 1.0  # somebody thought that it was dead
            self.occurred["worker", "twin"] += 1
        while self._broker.now_s < wake_s:
            self._step()
        self._depth -= 1
        process.asleep = False
        self.tell(f"{process.name} goes on")

    def _damage(self, disk: Disk, fault: str) -> None:
        for partition in range(self.plan.partitions):
            if partition not in disk.holders:
                disk.lose(partition) if fault == "disk_lost" else disk.fall_back(partition)

    def _arrive(self, send: Callable[[], object]) -> None:
        self.tell("a request arrives late")
        with suppress(FencedError, StaleMemberError):
            send()

    def _note_catching_up(self, what: str) -> None:
        self.occurred["catch_up", what] += 1

    def _note_writing(self, what: str) -> None:
        self.occurred["checkpoint", what] += 1

    # What must hold

    def _on_commit(self, partition: int, offset: int) -> None:
        before = self._group.committed.get(partition, 0)
        if offset < before:
            raise BrokenPromiseError(f"partition {partition}: {before} was committed, now {offset}")

    def _on_written(self, partition: int, offset: int) -> None:
        committed = self._group.committed.get(partition, 0)
        if offset > committed:
            raise BrokenPromiseError(
                f"partition {partition}: state at {offset} is ahead of what is committed: {committed}"
            )

    def _drain(self) -> None:
        self.tell("faults are over")
        self._faults.clear()
        self._catch_up.crashes = False
        for send in self._late:
            if self._source.random() < 0.5:
                self._arrive(send)
        self._late.clear()
        for _ in range(_DRAIN_ROUNDS):
            if self._is_drained():
                break
            self._advance(2.5)
            self._start_missing()
            self._catch_up.step()
            for process in list(self._processes):
                self._turn(process)
        else:
            raise BrokenPromiseError(f"work does not end: committed {self._group.committed}")
        for process in list(self._processes):
            self._stop(process)

    def _is_drained(self) -> bool:
        if self._broker.has_open_transactions:  # of a process that is gone: what came after it is not visible yet
            return False
        visible = ((number, self._broker.read(TARGETS.source, number)) for number in range(self.plan.partitions))
        return all(
            not records or self._group.committed.get(number, 0) > records[-1].offset for number, records in visible
        )

    def _check_published(self) -> None:
        for number in range(self.plan.partitions):
            expected = expected_of(number, self._broker.read(TARGETS.source, number))
            verdicts = [record.value or b"" for record in self._broker.read(TARGETS.verdicts, number)]
            outcomes = [record.value or b"" for record in self._broker.read(TARGETS.outcomes, number)]
            dead = [dead_letter(record) for record in self._broker.read(TARGETS.dead_letters, number)]
            self._compare(number, "verdicts", verdicts, expected.verdicts)
            self._compare(number, "outcomes", outcomes, expected.outcomes)
            self._compare(number, "links", links_of(self._links_from(number)), expected.links)
            self._compare(number, "dead letters", dead, expected.dead)

    def _links_from(self, partition: int) -> list[bytes]:
        """What a partition told, in the only partition of its topic."""
        told = self._broker.read(TARGETS.links, 0)
        return [record.value or b"" for record in told if record.key == b"%d" % partition]

    def _compare(self, partition: int, what: str, found: list[Answer], expected: list[Answer]) -> None:
        same = found == expected if self.plan.exactly_once else set(found) == set(expected)
        if same:
            return
        more = [one for one, count in (Counter(found) - Counter(expected)).items() for _ in range(count)]
        fewer = [one for one, count in (Counter(expected) - Counter(found)).items() for _ in range(count)]
        raise BrokenPromiseError(
            f"partition {partition}: {len(found)} {what} instead of {len(expected)}; too many: {more[:2]}; "
            f"missing: {fewer[:2]}"
        )


def _config(plan: Plan, catch_up_plan: CatchUpPlan, slot: int) -> Config:
    return load_config(
        environment={},
        overrides={
            "topics.prefix": "world.",
            "kafka.slot": str(slot),
            "engine.batch_events": plan.batch_events,
            "engine.delivery": "exactly_once" if plan.exactly_once else "at_least_once",
            "engine.bad_share": 1.0,
            "engine.catch_up_records": catch_up_plan.least_records,
            "state.checkpoint_seconds": plan.checkpoint_seconds,
            "security.trust_internal": True,
        },
    )


def broken_promise(world: World) -> str | None:
    """What goes wrong in a world, None if nothing does."""
    try:
        world.run()
    except BrokenPromiseError as error:
        return f"{error}; to see it happen: python -m tests.world --seed {world.seed} -v"
    return None


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def main() -> int:
    """One world, or several, from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.world", description="Deterministic simulation.")
    parser.add_argument("--seed", type=int, default=0, help="the first world")
    parser.add_argument("--worlds", type=int, default=1, help="how many, with rising seeds")
    parser.add_argument("-v", "--verbose", action="store_true", help="tell the story, step by step")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)  # the story says it better
    broken = 0
    for seed in range(given.seed, given.seed + given.worlds):
        problem = broken_promise(World(seed, _say if given.verbose else None))
        if problem is not None:
            broken += 1
            _say(problem)
    _say(f"{given.worlds} worlds, {broken} broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
