"""A console with everything behind it: a broker, a worker that judges simulated traffic, broken records, an alert."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from features.records import encode
from models.finding import Finding
from models.model_store import ModelStore
from streams.alert_book import AlertBook
from streams.broker import RunningBroker
from streams.config import load_config
from streams.console.console import Console
from streams.console.server import application
from streams.kafka_clients import connection
from streams.simulator.broadcast import messages
from streams.simulator.scenario import DEFAULT_START, Scenario, parse_start
from streams.simulator.timeline import simulate
from streams.topic_reader import TopicReader
from tests.streams.console.makers import HOSTILE, TOKEN
from tests.streams.small_model import small_model_directory
from tests.streams.workers import environment, produce, worker

EVENTS = 3_000
PATIENCE_S = 120.0
PARTITIONS = 2


@dataclass
class Site:
    """A console that is served.

    Attributes:
        url: where.
        console: its inside.
        prefix: of the topics.
        bootstrap: of the broker.
    """

    url: str
    console: Console
    prefix: str
    bootstrap: str

    def values(self, topic: str) -> list[Any]:
        """Records of a topic, decoded, by partition."""
        return [orjson.loads(value) for value in self.raw_values(topic)]

    def raw_values(self, topic: str) -> list[bytes]:
        """Records of a topic, by partition."""
        found: list[bytes] = []
        with TopicReader(connection(self.console.config)) as reader:
            name = self.prefix + topic
            for number in reader.partitions(name):
                for records in reader.read(name, number, *reader.bounds(name, number)):
                    found += [record.value or b"" for record in records]
        return found


def wait_for(what: str, condition: Callable[[], object]) -> None:
    """Until a condition holds."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, f"waited {PATIENCE_S:g} s for {what}"
        time.sleep(0.05)


@contextmanager
def site(broker: RunningBroker, prefix: str, directory: Path) -> Iterator[Site]:
    """Start worker and console; both end with the block."""
    bootstrap = broker.bootstrap_servers
    ModelStore(directory / "artefacts").add(small_model_directory())
    settings = environment(
        bootstrap,
        prefix,
        directory / "state",
        ASSAY_MODELS_FIRST="",
        ASSAY_MODELS_DIRECTORY=str(directory / "artefacts"),
        ASSAY_TELEMETRY_SAMPLE_ONE_IN="2",
        ASSAY_TELEMETRY_EVERY_SECONDS="0",
        ASSAY_CONSOLE_TOKEN=f"ana:{TOKEN}",
        ASSAY_CONSOLE_PORT="0",
    )
    judged = _send(bootstrap, prefix)
    log = directory / "worker.log"
    with worker(settings, log) as process, _served(Console(load_config(None, settings))) as (url, console):

        def all_are_judged() -> bool:
            assert process.poll() is None, log.read_text()
            return len(console.picture.verdicts) >= judged

        wait_for("the verdicts", all_are_judged)
        wait_for("telemetry", lambda: console.picture.telemetry.newest_ms)
        wait_for("the links", lambda: len(console.picture.links))
        wait_for("where the group stands", lambda: sum(lag.lag for lag in console.picture.engine_lag.now()) == 0)
        wait_for("alerts", console.picture.alerts.in_force)
        yield Site(url, console, prefix, bootstrap)


def _send(bootstrap: str, prefix: str) -> int:
    """Simulated traffic, two events with a hostile id, broken records, an alert; how many verdicts there will be."""
    scenario = Scenario(events=EVENTS, seed=7, days=60, start_ms=parse_start(DEFAULT_START), fraud_share=0.05)
    events = [each for each in messages(simulate(scenario), "events", "labels", 2**62) if each.topic == "events"]
    seen: set[tuple[str, str]] = set()
    records, judged = [], 0
    for each in events:
        event = orjson.loads(each.value)
        name = (event["account_id"], event["event_id"])
        judged += event["type"] != "profile_change" and name not in seen
        seen.add(name)
        records.append((each.key.encode(), each.value, _partition(each.key)))
    hostile = {"type": "payment", "time_ms": events[-1].at_ms, "currency": "EUR", "method": "p2p", "channel": "app"}
    for number, amount in enumerate((100, 950_000)):
        account = f"{HOSTILE[:40]}"
        event = {
            **hostile,
            "event_id": f"{HOSTILE}{number}",
            "account_id": account,
            "amount_minor": amount,
            "device_id": "d",
        }
        records.append((account.encode(), orjson.dumps(event), 0))
    broken = [b"{", b'{"event_id":"x","type":"payment"}', b'{"event_id":"<b>","type":"pay","account_id":"a"}']
    records += [(b"a", value, 1) for value in broken]
    produce(bootstrap, f"{prefix}events", records)
    finding = Finding(name="volume", level="act", value=9.0, expected=500.0, text="9 verdicts, usually 500 <b>")
    alerts = AlertBook().observe([finding], now_ms=time.time_ns() // 1_000_000)
    produce(bootstrap, f"{prefix}alerts", [(alert.alert.encode(), encode(alert), 0) for alert in alerts])
    return judged + 2


def _partition(account_id: str) -> int:
    return sum(account_id.encode()) % PARTITIONS


@contextmanager
def _served(console: Console) -> Iterator[tuple[str, Console]]:
    """The console on a free port, in a thread with a loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def begin() -> tuple[web.AppRunner, str]:
        runner = web.AppRunner(application(console), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"

    runner, url = asyncio.run_coroutine_threadsafe(begin(), loop).result(PATIENCE_S)
    try:
        yield url, console
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(PATIENCE_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
