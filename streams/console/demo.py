"""Everything that the console shows, on one machine: a real broker, topics, lasting traffic, a worker, the warm path.

The traffic is the simulator's, with its attacks and labels: most of it at once, so that accounts have a past, the rest
record by record. A few records are broken on purpose, so that there are dead letters to look at. All of it ends with
the console; its directory stays and is used again.
"""

import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from confluent_kafka import Producer

from features.errors import AssayError
from streams import broker
from streams.admin import apply_topics, connect
from streams.config import Config, Value, load_config
from streams.simulator.broadcast import PRODUCER_SETTINGS, Message, broadcast, messages
from streams.simulator.scenario import DEFAULT_START, Scenario, parse_start
from streams.simulator.timeline import simulate

PREFIX: Final = "demo."
PARTITIONS: Final = 3
RECORDS: Final = 40_000
AT_ONCE: Final = 15_000
RATE: Final = 25.0
"""Records a second once the first are in."""
_END_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class DemoStack:
    """What runs.

    Attributes:
        bootstrap: address of the broker.
        token: lets `demo` act.
        directory: holds everything.
    """

    bootstrap: str
    token: str
    directory: Path

    @property
    def environment(self) -> dict[str, str]:
        """Settings of everything that runs here, as environment variables."""
        return {
            "ASSAY_KAFKA_BOOTSTRAP": self.bootstrap,
            "ASSAY_TOPICS_PREFIX": PREFIX,
            "ASSAY_STATE_DIRECTORY": str(self.directory / "state"),
            "ASSAY_WARM_DIRECTORY": str(self.directory / "warm"),
            "ASSAY_MODELS_DIRECTORY": str(self.directory / "artefacts"),
            "ASSAY_SECURITY_TRUST_INTERNAL": "true",
            "ASSAY_HTTP_PORT": "-1",
            "ASSAY_WARM_HTTP_PORT": "-1",
            "ASSAY_CONSOLE_TOKEN": f"demo:{self.token}",
        }

    def config(self, overrides: Mapping[str, Value | None]) -> Config:
        """Settings of the console; the token is the demo's own."""
        return load_config(None, self.environment, {**overrides, "kafka.bootstrap": None, "console.token_file": None})

    def greeting(self, url: str) -> str:
        """Where to look, and with which token to act."""
        return f"the console is at {url}\nto act, log in with the token {self.token}\nCtrl-C ends everything"


@contextmanager
def demo_stack(directory: Path, say: Callable[[str], None]) -> Iterator[DemoStack]:
    """Start everything but the console; everything ends with the block.

    Args:
        directory: holds broker, states and logs; one that an earlier demo left is used again.
        say: told what happens, line by line.

    Raises:
        AssayError: there is no Java or Maven, or something did not start.
    """
    directory.mkdir(parents=True, exist_ok=True)
    directory = directory.resolve()
    with ExitStack() as stack:
        say("starting a real Apache Kafka (the first time, Maven fetches it)")
        running = stack.enter_context(broker.start(directory / "broker"))
        client, _ = connect(running.client_settings)
        is_new = any(step.outcome == "create" for step in apply_topics(client, PREFIX, PARTITIONS))
        demo = DemoStack(running.bootstrap_servers, secrets.token_urlsafe(18), directory)
        for command in ("run", "warm"):
            say(f"starting assay {command}, its log is {directory / command}.log")
            stack.enter_context(_process(demo, command))
        over = threading.Event()
        traffic = threading.Thread(target=_send, args=(running.client_settings, is_new, over, say), daemon=True)
        traffic.start()
        try:
            yield demo
        finally:
            over.set()
            traffic.join(_END_S)


@contextmanager
def _process(demo: DemoStack, command: str) -> Iterator[None]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ASSAY_") or name == "ASSAY_CACHE"}
    with (demo.directory / f"{command}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "streams.cli", command], env={**kept, **demo.environment}, stdout=log, stderr=log
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _send(settings: dict[str, str], is_new: bool, over: threading.Event, say: Callable[[str], None]) -> None:
    """Traffic until it is over; a topic that has records already gets the slow part only."""
    seed = 7 if is_new else int(time.time())  # other accounts and events than those that are there
    scenario = Scenario(
        events=RECORDS, seed=seed, accounts=0, days=60, start_ms=parse_start(DEFAULT_START), fraud_share=0.02
    )
    stream = messages(simulate(scenario), f"{PREFIX}events", f"{PREFIX}labels", time.time_ns() // 1_000_000)

    def until_over() -> Iterator[Message]:
        for message in stream:
            if over.is_set():
                return
            yield message

    producer = Producer({**PRODUCER_SETTINGS, **settings})
    try:
        if is_new:
            broadcast(broken(islice(until_over(), AT_ONCE)), producer)
            say(f"{AT_ONCE:,} records are in, more come at {RATE:g} a second")
        broadcast(broken(until_over()), producer, rate=RATE)
    except AssayError as error:
        say(f"the traffic has ended: {error}")


def broken(stream: Iterator[Message]) -> Iterator[Message]:
    """The stream, and beside one payment in a thousand a copy that breaks the contract, each time in another way.

    >>> good = [Message("t.events", "a1", b'{"event_id":"e1","type":"payment","amount_minor":5}', 0)] * 1_000
    >>> [message.value for message in broken(iter(good)) if message.value != good[0].value]
    [b'{"event_id":"e1","type":"payment","amount_minor":-5}']
    """
    ways = (
        (b'"amount_minor":', b'"amount_minor":-'),
        (b'"type":"payment"', b'"type":"paymint"'),
        (b'"amount_minor":', b'"amount_minor":"twelve","was":'),
        (b"}", b""),
    )
    payments = 0
    for message in stream:
        yield message
        if b'"type":"payment"' in message.value:
            payments += 1
            if payments % 1_000 == 500:
                good, bad = ways[payments // 1_000 % len(ways)]
                yield message._replace(value=message.value.replace(good, bad))
