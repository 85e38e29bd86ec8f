"""A process that folds the gap of one partition: from where its state stands to what the group has committed.

`python -m streams.catch_up`, started by a worker (`streams/catch_up_processes.py`), which has closed the state and
waits for the end of this process before it opens it again. It reads without a group, publishes and commits nothing. It
never stores a state that is ahead of what was committed when the worker asked; what is committed only grows, so that
holds whoever has the partition meanwhile.

It is told what to do by one line of JSON on its standard input: secrets belong neither into arguments nor into the
environment. That input stays open for as long as the worker lives; when it ends, this process leaves at once.
"""

import gc
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from features.errors import AssayError
from features.rocks_store import RocksStore
from streams.careful import UnprocessableError
from streams.config import Config
from streams.history import History
from streams.intake import Trust
from streams.partition import Partition
from streams.time_machine import batches

_log = logging.getLogger("assay.catch_up")
_TELL_EVERY_S = 1.0
_ASK_LOG_END_EVERY_S = 10.0


class Task(msgspec.Struct, frozen=True):
    """What one process has to do.

    Attributes:
        settings: of the worker, by name; secrets are among them.
        first_model: directory of the model in force at the beginning of the log.
        topic: of the events.
        topic_id: its id, which the state has to hold too.
        partition: which.
        directory: of the state.
        start: where it stands.
        end: what the group has committed.
        hot_bytes: memory for accounts.
    """

    settings: dict[str, str | int | float | bool]
    first_model: str
    topic: str
    topic_id: str
    partition: int
    directory: str
    start: int
    end: int
    hot_bytes: int

    def __repr__(self) -> str:
        """Without the settings: secrets are among them."""
        return f"Task(topic={self.topic!r}, partition={self.partition}, start={self.start}, end={self.end})"

    @property
    def config(self) -> Config:
        """The settings as the worker has them."""
        return Config(self.settings, {})


def fold_gap(
    partition: Partition, history: History, end: int, trusted: Trust, *, clock: Callable[[], float], checkpoint_s: float
) -> Iterator[int]:
    """Fold what the log holds below `end`, a batch at each step; each yields how far that is.

    Checkpoints when memory is full, when `checkpoint_s` have passed since the last time, and at the end.

    Raises:
        AssayError: the log, the state or a model cannot be read.
        UnprocessableError: a record breaks the fold; the worker knows what to do (`streams/careful.py`).
    """
    written_s = clock()
    for records in history.read(partition.engine.partition, partition.next_offset, end):
        for batch in batches(records):
            partition.fold(batch, trusted, publishing=False)
            if partition.is_full or clock() - written_s >= checkpoint_s:
                partition.checkpoint()
                written_s = clock()
            yield partition.next_offset
    partition.checkpoint()


def catch_up(task: Task, tell: Callable[[int, int], None]) -> None:
    """Do a task; `tell` is told, about every second, how far that is and where the log ends.

    Raises:
        AssayError: the state is not the one that was meant, or see `fold_gap`.
        UnprocessableError: see `fold_gap`.
    """
    # heavy, or in need of a broker: after the lifeline is watched
    from streams.commands.models import open_models
    from streams.kafka_clients import connection
    from streams.signature import trust
    from streams.topic_identity import topic_id_of
    from streams.topic_profiles import TopicProfiles
    from streams.topic_reader import TopicHistory, TopicReader

    config = task.config
    first_model, open_model = open_models(task.first_model, Path(config.text("models.directory")))
    gc.disable()  # it lives for minutes, a fold makes no cycles, and looking for them takes up to a tenth of the time
    store = RocksStore(Path(task.directory))
    try:
        profiles = TopicProfiles(connection(config), f"{config.text('topics.prefix')}entities")
        partition = Partition(
            task.partition, store, first_model, open_model, hot_bytes=task.hot_bytes, profiles=profiles
        )
        if (partition.next_offset, topic_id_of(store)) != (task.start, task.topic_id):
            raise AssayError(
                f"state in {task.directory}: expected the one that stands at {task.start}, it stands at "
                f"{partition.next_offset}, or is of another topic; somebody changed it after the worker had looked"
            )
        trusted = trust(config.secret("security.internal_key"), config.flag("security.trust_internal"))
        with TopicReader(connection(config)) as reader:
            history = TopicHistory(reader, task.topic)
            log_end = history.bounds(task.partition).high
            told_s = asked_s = time.monotonic()
            every_s = config.number("state.checkpoint_seconds")
            for offset in fold_gap(partition, history, task.end, trusted, clock=time.monotonic, checkpoint_s=every_s):
                now_s = time.monotonic()
                if now_s - asked_s >= _ASK_LOG_END_EVERY_S:
                    log_end, asked_s = history.bounds(task.partition).high, now_s
                if now_s - told_s >= _TELL_EVERY_S:
                    told_s = now_s
                    tell(offset, log_end)
    finally:
        store.close()


def main() -> int:
    """Do what standard input says; 0 when the state stands at the end of the gap."""
    line = sys.stdin.buffer.readline()
    threading.Thread(target=_leave_with_the_worker, name="lifeline", daemon=True).start()
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True
    )
    if not line.endswith(b"\n"):
        return 1
    task = msgspec.json.decode(line, type=Task)
    try:
        catch_up(task, _tell)
    except (AssayError, UnprocessableError) as error:
        _log.error("partition %d: catching up stops: %s", task.partition, error)
        return 1
    return 0


def _tell(offset: int, log_end: int) -> None:
    os.write(1, b"%d %d\n" % (offset, log_end))


def _leave_with_the_worker() -> None:
    """Wait until the worker has gone, however it went; a crash of this process at any instruction is harmless."""
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
