"""A member of a group that can fall asleep: in a process of its own on Kafka, where SIGSTOP stops its threads too.

As a program: `python -m tests.streams.sleeper BOOTSTRAP PREFIX`; one command per line in, one line of JSON out.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Protocol

from features.errors import AssayError
from streams.publisher import AbortedError, Publisher
from tests.streams.log_sides import KafkaSide, MemorySide, Reader, Side

SLOT = "sleeper"


class Sleeper(Protocol):
    """The only member of its group until it sleeps."""

    def poll(self) -> list[list[object]]:
        """Poll once; its story so far, as (what, partitions)."""

    def publish(self) -> str:
        """Publish a verdict and an offset of partition 0; `published`, or the name of the error."""

    def sleep(self) -> None:
        """Stand still, without heartbeats."""

    def wake(self) -> None:
        """Go on."""


class SleeperInMemory:
    """On the broker in memory."""

    def __init__(self, side: MemorySide) -> None:
        self._side = side
        self._log = side.log(SLOT)
        self._act = _actions(side, Reader(side, self._log), side.publisher(self._log, SLOT))

    def poll(self) -> list[list[object]]:
        return self._act["poll"]()  # type: ignore[return-value]

    def publish(self) -> str:
        return str(self._act["publish"]())

    def sleep(self) -> None:
        self._side.awake.remove(self._log)

    def wake(self) -> None:
        self._side.awake.append(self._log)


class SleeperOnKafka:
    """In a process of its own."""

    def __init__(self, side: KafkaSide) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.streams.sleeper", side.bootstrap, side.prefix],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def poll(self) -> list[list[object]]:
        return self._ask("poll")  # type: ignore[return-value]

    def publish(self) -> str:
        return str(self._ask("publish"))

    def sleep(self) -> None:
        os.kill(self._process.pid, signal.SIGSTOP)

    def wake(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _ask(self, command: str) -> object:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def _actions(side: Side, reader: Reader, publisher: Publisher) -> dict[str, Callable[[], object]]:
    def poll() -> object:
        reader.poll()
        return [[what, list(partitions)] for _, what, partitions in reader.story]

    def publish() -> object:
        try:
            publisher.publish([side.verdict(b"from the sleeper")], {0: 1})
        except (AbortedError, AssayError) as error:
            return type(error).__name__
        return "published"

    return {"poll": poll, "publish": publish}


def main() -> None:
    """See the head of this file."""
    side = KafkaSide(sys.argv[1], sys.argv[2])
    log = side.log(SLOT)
    actions = _actions(side, Reader(side, log), side.publisher(log, SLOT))
    for line in sys.stdin:
        sys.stdout.write(json.dumps(actions[line.strip()]()) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
