"""Warm workers as processes, and records for them."""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Self

import orjson
from confluent_kafka import Message

from tests.streams.logs import START_MS
from tests.streams.workers import Running, environment, worker

KEY = "the key of the engine"


def warm_environment(bootstrap: str, prefix: str, directory: Path, **more: str) -> dict[str, str]:
    """Settings of a warm worker as environment variables; one that dies is missed after two seconds."""
    return environment(
        bootstrap,
        prefix,
        directory / "state",
        ASSAY_WARM_GROUP=f"{prefix}warm",
        ASSAY_WARM_DIRECTORY=str(directory / "warm"),
        ASSAY_WARM_HTTP_PORT="-1",
        ASSAY_SECURITY_INTERNAL_KEY=KEY,
        ASSAY_SECURITY_TRUST_INTERNAL="false",
        ASSAY_KAFKA_SESSION_TIMEOUT_MS="2000",
        **more,
    )


warm_worker = partial(worker, command="warm")
"""A running `assay warm`; killed at the end if it still runs."""


class Supervised:
    """A warm worker that is started again when it has ended because its commits stood still, and killed at the end."""

    def __init__(self, settings: dict[str, str], log: Path) -> None:
        self._settings = settings
        self._log = log
        self._running = ExitStack()
        self._process: Running | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def start(self) -> None:
        self._running.close()
        self._process = self._running.enter_context(warm_worker(self._settings, self._log))

    def tend(self) -> None:
        if self._process is not None and self._process.poll() is not None:
            said = self._log.read_text()
            assert "the worker leaves, nothing is lost" in said, said
            self.start()


def label(number: int, account: str, partition: int, judged: str = "fraud") -> tuple[bytes, bytes, int]:
    """Key, value and partition of a label record."""
    value = {
        "judged_event_id": f"p{number}",
        "account_id": account,
        "label": judged,
        "known_at_ms": START_MS + number,
        "source": "analyst",
    }
    return account.encode(), orjson.dumps(value), partition


def labels_of(messages: Sequence[Message]) -> dict[int, list[str]]:
    """By partition the events that label records among `messages` judge, in their order."""
    found: dict[int, list[str]] = {}
    for message in messages:
        value = orjson.loads(message.value() or b"{}")
        if value.get("type") == "label":
            found.setdefault(message.partition(), []).append(value["judged_event_id"])
    return found
