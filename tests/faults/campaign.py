"""One engine under faults: its topics, its traffic, its workers, and the judgement when all is quiet again."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from models.model_store import ModelStore
from streams.admin import apply_topics, connect
from tests.faults.fork_server import ForkServer
from tests.faults.supervisor import Supervisor
from tests.faults.topics import PARTITIONS, Feed, Progress, describe_group, no_transaction_is_open, read_to_end
from tests.faults.truth import Differences, Published, differences, expected, found
from tests.streams.logs import keyed, mixed_log
from tests.streams.small_model import small_model
from tests.streams.workers import environment

PATIENCE_S = 120.0
"""For the engine to come back; only one that never will takes so long."""
_POLL_S = 0.05
STEP = 300
"""Events that a campaign sends at a time."""
SHORT = {
    "ASSAY_ENGINE_BATCH_EVENTS": "20",
    "ASSAY_ENGINE_TRANSACTION_TIMEOUT_MS": "6000",
    "ASSAY_KAFKA_SESSION_TIMEOUT_MS": "3000",
    "ASSAY_STATE_CHECKPOINT_SECONDS": "0.3",
}
"""Settings with which a fault and its end take seconds."""


class Judgement(NamedTuple):
    """What was found when all was quiet.

    Attributes:
        events: records of the log.
        wanted: what should have been published.
        got: what readers of committed records see.
        aborted: records of aborted transactions: those of workers that ended in the middle of one.
        differences: between `wanted` and `got`.
    """

    events: int
    wanted: Sequence[Published]
    got: Sequence[Published]
    aborted: int
    differences: Differences


class Campaign:
    """Topics, traffic and workers of one test. Use as ``with campaign(...) as it``.

    Attributes:
        feed: the traffic; nothing is sent by itself.
        supervisor: the workers; none is started by itself.
        progress: how far the group has come.
    """

    def __init__(
        self, bootstrap: str, prefix: str, directory: Path, log: list[bytes], supervisor: Supervisor, group: str
    ) -> None:
        self.bootstrap, self.prefix, self.directory = bootstrap, prefix, directory
        self.supervisor = supervisor
        self.group = group
        self.feed = Feed(bootstrap, f"{prefix}events", keyed(log))
        self.progress = Progress(bootstrap, group, f"{prefix}events")

    def wait(self, done: Callable[[], bool], what: str) -> None:
        """Wait for a condition, and keep the workers running meanwhile."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not done():
            self.supervisor.tend()
            if time.monotonic() > deadline_s:
                for run in self.supervisor.running.values():
                    run.say_where_it_is()
                said = "\n".join(f"{slot}: {run.said()[-3000:]}" for slot, run in self.supervisor.running.items())
                told = describe_group(self.bootstrap, self.group)
                raise AssertionError(f"{what}: not within {PATIENCE_S:g} s\n{told}\n{said}")
            time.sleep(_POLL_S)

    def wait_for(self, records: int) -> None:
        """Wait until `records` more of each partition are committed, or all that it has."""
        start: list[int] = []

        def further() -> bool:
            now = self.progress.committed()
            if now is None:
                return False
            start.extend(now if not start else ())
            return all(
                at >= min(first + records, end) for first, at, end in zip(start, now, self.feed.sent, strict=True)
            )

        self.wait(further, f"{records} more records of each partition")

    def finish(self, *, may_repeat: bool = False) -> Judgement:
        """Send what is left, wait until all of it is answered, stop the workers, judge."""
        self.feed.finish()
        self.wait(self._is_quiet, "every record answered")
        self.supervisor.stop()
        sys.stdout.write(f"ended by themselves: {dict(self.supervisor.ended_by_themselves)}\n")
        self.wait(lambda: no_transaction_is_open(self.bootstrap, self._outputs), "every transaction ended")
        return self._judge(may_repeat)

    def _judge(self, may_repeat: bool) -> Judgement:
        """Compare what was published with what the log, as the broker has it, asks for."""
        log: dict[int, list[bytes]] = {number: [] for number in range(PARTITIONS)}
        for message in read_to_end(self.bootstrap, [(f"{self.prefix}events", number) for number in log]):
            values = log[int(message.partition() or 0)]
            assert message.offset() == len(values), "the log has a gap"
            values.append(message.value() or b"")
        wanted = [
            record
            for number, values in log.items()
            for record in expected(values, number, self.directory / "undisturbed" / str(number))
        ]
        visible = read_to_end(self.bootstrap, self._outputs)
        everything = read_to_end(self.bootstrap, self._outputs, committed=False)
        got = found(visible)
        return Judgement(
            events=sum(map(len, log.values())),
            wanted=wanted,
            got=got,
            aborted=len(everything) - len(visible),
            differences=differences(log, wanted, got, may_repeat=may_repeat),
        )

    def _is_quiet(self) -> bool:
        return self.progress.committed() == self.feed.sent

    @property
    def _outputs(self) -> list[tuple[str, int]]:
        names = [f"{self.prefix}{name}" for name in ("verdicts", "outcomes", "events.dlq")]
        return [(name, number) for name in names for number in range(PARTITIONS)]


@contextmanager
def campaign(
    bootstrap: str,
    prefix: str,
    directory: Path,
    *,
    fork_server: ForkServer | None,
    seed: int,
    events: int,
    slots: Sequence[str] = ("0", "1"),
    own_states: bool = False,
    **settings: str,
) -> Iterator[Campaign]:
    """A campaign on fresh topics; whatever still runs at its end is killed.

    Args:
        bootstrap: the broker.
        prefix: of its topics; they are made.
        directory: for states, models and logs.
        fork_server: forks workers; None: fresh processes.
        seed: of the traffic.
        events: length of the traffic.
        slots: names of the workers.
        own_states: each worker keeps its states in a directory of its own, as on a machine of its own.
        settings: environment variables of every worker.
    """
    client, _ = connect({"bootstrap.servers": bootstrap})
    apply_topics(client, prefix, PARTITIONS)
    ModelStore(directory / "models").add(small_model(2).artefact.directory)
    log = mixed_log(events, seed, accounts=60, model_ids=(small_model(1).id, small_model(2).id))
    of_slots = {
        slot: environment(
            bootstrap,
            prefix,
            directory / (f"state-{slot}" if own_states else "state"),
            ASSAY_KAFKA_SLOT=slot,
            ASSAY_MODELS_DIRECTORY=str(directory / "models"),
            **settings,
        )
        for slot in slots
    }
    supervisor = Supervisor(fork_server, directory / "logs", of_slots)
    running = Campaign(bootstrap, prefix, directory, log, supervisor, of_slots[slots[0]]["ASSAY_KAFKA_GROUP"])
    try:
        yield running
    finally:
        supervisor.kill()
        running.progress.close()


def under_load(it: Campaign) -> None:
    """More is sent than is done at once, and the workers are in the middle of it."""
    it.feed.send(STEP)
    it.wait_for(STEP // 6)
