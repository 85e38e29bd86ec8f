"""On a real broker: what partitions tell becomes profiles, and these become features of later events."""

import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from confluent_kafka import Message

from features.entity_profile import VALUES, profile_of
from features.store import MemoryStore
from streams.admin import apply_topics, connect
from streams.broker import RunningBroker
from streams.log import LogRecord
from streams.partition import Partition
from streams.shipped_model import SHIPPED
from streams.signature import signed_by
from streams.simulator import Scenario, simulate
from streams.simulator.writer import write
from streams.topic_profiles import TopicProfiles
from streams.topic_reader import TopicReader, records_of
from streams.warm.entity_step import EntityStep
from tests.streams.small_model import small_model
from tests.streams.test_engine import open_small
from tests.streams.test_engine_entities import shared_log
from tests.streams.warm.workers import KEY, Supervised, warm_environment, warm_worker
from tests.streams.workers import ASSAY, produce, read_all, stop, worker

PARTITIONS = 2
PATIENCE_S = 90.0
ATTEMPTS = 20
CAUGHT_AFTER = 10
DEVICE = "tester"


def everything(bootstrap: str, topic: str) -> list[LogRecord]:
    """Every record of a topic with one partition."""
    with TopicReader({"bootstrap.servers": bootstrap}) as reader:
        low, high = reader.bounds(topic, 0)
        return [record for records in reader.read(topic, 0, low, high) for record in records]


class Watcher:
    """Sees when every link that is there has become visible; reads each record once."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self._reader = TopicReader({"bootstrap.servers": bootstrap})
        self._prefix = prefix
        self._next: dict[tuple[str, int], int] = {}
        self._step = EntityStep("")
        self._told: set[tuple[bytes | None, bytes | None]] = set()
        self._profiles: set[tuple[bytes | None, bytes | None]] = set()
        self._newest = -1
        self._visible = [-1] * PARTITIONS

    def wait(self) -> None:
        """Until every partition sees every profile."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not self._is_visible():
            assert time.monotonic() < deadline_s, (len(self._told - self._profiles), self._newest, self._visible)

    def _is_visible(self) -> bool:
        for record in self._new("links", 0):
            messages = self._step.take(record.offset, record.value or b"")
            self._told.update((message.key, message.value) for message in messages)
        for record in self._new("entities", 0):
            self._profiles.add((record.key, record.value))
            self._newest = record.offset
        for number in range(PARTITIONS):
            for record in self._new("events", number):
                if record.value and b'"marker":"entities"' in record.value:
                    self._visible[number] = int(orjson.loads(record.value)["value"])
        return self._profiles >= self._told and min(self._visible) == self._newest

    def _new(self, topic: str, number: int) -> list[LogRecord]:
        name = f"{self._prefix}{topic}"
        low, high = self._reader.bounds(name, number)
        start = max(low, self._next.get((name, number), 0))
        self._next[name, number] = high
        return [record for records in self._reader.read(name, number, start, high) for record in records]


class Platform:
    """Accounts with a past, and a list of their cards in the wrong hands."""

    def __init__(self, directory: Path) -> None:
        write(simulate(Scenario(events=12_000, seed=5)), directory, "jsonl")
        sent = [orjson.loads(line) for line in (directory / "events.jsonl").open("rb")]
        self.past = list({event["event_id"]: event for event in sent}.values())  # some producers send one twice
        self.end_ms = max(event["time_ms"] for event in self.past)
        cards = {
            event["account_id"]: event
            for event in self.past
            if event["type"] == "payment" and event["method"] == "card" and "device_id" in event
        }
        self._last = list(cards.values())[-50:]

    def partition(self, account: str) -> int:
        return hash_of(account) % PARTITIONS

    def attempt(self, number: int) -> dict[str, Any]:
        """A small payment where the owner has bought before, from an address of his: only the device is another."""
        last = self._last[number]
        stolen = {"event_id": f"t{number}", "time_ms": self.end_ms + 60_000 + 40_000 * number, "device_id": DEVICE}
        return last | stolen | {"amount_minor": min(last["amount_minor"], 900), "authorization": "approved"}

    def passers_by(self, number: int) -> list[dict[str, Any]]:
        """An innocent login in each partition, two seconds later: live traffic never stands still."""
        time_ms = self.end_ms + 62_000 + 40_000 * number
        login = {"type": "login", "time_ms": time_ms, "success": True, "method": "passkey"}
        names = {self.partition(name): name for name in (f"by{place}" for place in range(20))}
        return [login | {"event_id": f"b{number}-{place}", "account_id": name} for place, name in names.items()]

    def records(self, events: Sequence[dict[str, Any]]) -> list[tuple[bytes | None, bytes, int]]:
        return [
            (event["account_id"].encode(), orjson.dumps(event), self.partition(event["account_id"])) for event in events
        ]


def hash_of(account: str) -> int:
    return sum(account.encode())


def decisions(bootstrap: str, prefix: str, expected: int) -> list[str]:
    """What was decided about each attempt, in order."""
    found = {}
    for message in read_all(bootstrap, [f"{prefix}verdicts"], PARTITIONS, expected):
        verdict = orjson.loads(message.value() or b"")
        if verdict["event_id"].startswith("t"):
            found[int(verdict["event_id"][1:])] = verdict["decision"]
    return [found[number] for number in sorted(found)]


def test_cards_tried_from_one_device_are_caught_and_without_the_warm_path_they_are_not(
    broker: RunningBroker, topic: str, tmp_path: Path
) -> None:
    """Fifty stolen cards on one device: no account by itself shows more than a new device."""
    bootstrap, events = broker.bootstrap_servers, f"{topic}events"
    settings = warm_environment(bootstrap, topic, tmp_path, ASSAY_MODELS_FIRST=str(SHIPPED))
    platform = Platform(tmp_path)
    judged = sum(event["type"] != "profile_change" for event in platform.past)
    produce(bootstrap, events, platform.records(platform.past))
    with worker(settings, tmp_path / "engine", program=(ASSAY,)), warm_worker(settings, tmp_path / "warm.log"):
        assert len(read_all(bootstrap, [f"{topic}verdicts"], PARTITIONS, judged)) == judged
        watcher = Watcher(bootstrap, topic)
        watcher.wait()
        for number in range(ATTEMPTS):
            produce(bootstrap, events, platform.records([platform.attempt(number), *platform.passers_by(number)]))
            judged += 1 + PARTITIONS
            watcher.wait()
        with_warm_path = decisions(bootstrap, topic, judged)
    assert len(with_warm_path) == ATTEMPTS
    assert "approve" not in with_warm_path[CAUGHT_AFTER:], with_warm_path

    without = f"{topic}without."
    apply_topics(connect({"bootstrap.servers": bootstrap})[0], without, PARTITIONS)
    alone = settings | {"ASSAY_TOPICS_PREFIX": without, "ASSAY_KAFKA_GROUP": f"{without}engine"}
    alone["ASSAY_STATE_DIRECTORY"] = str(tmp_path / "alone")
    attempts = [platform.attempt(number) for number in range(ATTEMPTS)]
    produce(bootstrap, f"{without}events", platform.records([*platform.past, *attempts]))
    with worker(alone, tmp_path / "engine-alone", program=(ASSAY,)):
        judged = sum(event["type"] != "profile_change" for event in [*platform.past, *attempts])
        alone_decisions = decisions(bootstrap, without, judged)
    assert alone_decisions[CAUGHT_AFTER:].count("approve") > (ATTEMPTS - CAUGHT_AFTER) / 2, alone_decisions


def told_by(links: Sequence[LogRecord]) -> list[tuple[bytes, bytes | None]]:
    """Profiles in the order in which an undisturbed fold tells them."""
    step = EntityStep("")
    messages = [message for record in links for message in step.take(record.offset, record.value or b"")]
    return [(message.key, message.value) for message in messages if message.key is not None]


def without_repetition(records: Sequence[LogRecord], told: Sequence[tuple[bytes, bytes | None]]) -> bool:
    """Whether a topic holds what was told, in order, where some of it may come again right behind."""
    place = 0
    seen: set[tuple[bytes, bytes | None]] = set()
    for record in records:
        said = (record.key or b"", record.value)
        if place < len(told) and said == told[place]:
            place += 1
        elif said not in seen:
            return False
        seen.add(said)
    return place == len(told)


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
def test_after_kills_every_verdict_is_what_the_log_says(
    broker: RunningBroker, topic: str, tmp_path: Path, delivery: str
) -> None:
    bootstrap, events = broker.bootstrap_servers, f"{topic}events"
    more = {"ASSAY_ENGINE_DELIVERY": delivery, "ASSAY_ENGINE_BATCH_EVENTS": "40", "ASSAY_WARM_ENTITIES_SECONDS": "1"}
    settings = warm_environment(bootstrap, topic, tmp_path, **more)
    log = [value for value in shared_log(900, seed=3) if is_event(value)]
    random = np.random.default_rng(1)
    with Supervised(settings, tmp_path / "warm.log") as warm, ExitStack() as engines:
        engine = engines.enter_context(worker(settings, tmp_path / "engine.0"))
        warm.start()
        for part in range(3):
            produce(bootstrap, events, keyed(log[part * 300 : (part + 1) * 300]))
            deadline_s = time.monotonic() + PATIENCE_S
            while sum(1 for _ in everything(bootstrap, f"{topic}entities")) < 10 * (part + 1):
                warm.tend()
                assert time.monotonic() < deadline_s, (tmp_path / "warm.log").read_text()
                time.sleep(0.05)
            time.sleep(float(random.uniform(0.0, 0.5)))
            warm.start()  # which kills it first
            if part == 1:
                engine.kill()
                engine.wait(timeout=60)
                engine = engines.enter_context(worker(settings, tmp_path / "engine.1"))
        Watcher(bootstrap, topic).wait()
        judged = len({orjson.loads(value)["event_id"] for value in log})
        verdicts = distinct(read_all(bootstrap, [f"{topic}verdicts"], PARTITIONS, judged))
        assert stop(engine) == 0, (tmp_path / "engine.1").read_text()
    links = everything(bootstrap, f"{topic}links")
    profiles = everything(bootstrap, f"{topic}entities")
    assert without_repetition(profiles, told_by(links))
    shared = [profile_of(record.value) for record in profiles if record.value]
    assert max(one["values"][0, VALUES.index("accounts_90d")] for one in shared) > 5
    messages = read_all(bootstrap, [events], PARTITIONS, len(log))
    reader = TopicProfiles({"bootstrap.servers": bootstrap}, f"{topic}entities")
    for number in range(PARTITIONS):
        fold = Partition(number, MemoryStore(), small_model(), open_small, profiles=reader)
        mine = records_of([one for one in messages if one.partition() == number])
        assert verdicts[number] == [verdict.value for verdict in fold.fold(mine, signed_by(KEY.encode())).verdicts]
        assert any(orjson.loads(verdict)["at"]["entities_offset"] > 0 for verdict in verdicts[number])


def test_another_machine_goes_on_where_the_first_stood(broker: RunningBroker, topic: str, tmp_path: Path) -> None:
    """The first one is gone with its disk; what it has folded is not folded again."""
    bootstrap, events, links = broker.bootstrap_servers, f"{topic}events", f"{topic}links"
    store = tmp_path / "store"
    more = {"ASSAY_SNAPSHOTS_URL": str(store), "ASSAY_SNAPSHOTS_EVERY_SECONDS": "1", "ASSAY_WARM_ENTITIES_SECONDS": "1"}
    settings = warm_environment(bootstrap, topic, tmp_path, **more)
    log = [value for value in shared_log(900, seed=3) if is_event(value)]
    watcher = Watcher(bootstrap, topic)
    with worker(settings, tmp_path / "engine") as engine:
        with warm_worker(settings, tmp_path / "first.log"):
            sent = 200
            produce(bootstrap, events, keyed(log[:sent]))
            deadline_s = time.monotonic() + PATIENCE_S
            while not everything(bootstrap, f"{topic}entities"):
                assert time.monotonic() < deadline_s, (tmp_path / "first.log").read_text()
                time.sleep(0.1)
            while not (copied := sorted(store.rglob("*.state"))):
                assert sent < len(log) - 200, (tmp_path / "first.log").read_text()
                produce(bootstrap, events, keyed(log[sent : sent + 4]))
                sent += 4
                time.sleep(0.3)  # a copy is made once links have come for some seconds
            watcher.wait()
        stood = int(copied[-1].name[:20])
        other = settings | {"ASSAY_WARM_DIRECTORY": str(tmp_path / "another machine")}
        with warm_worker(other, tmp_path / "second.log"):
            produce(bootstrap, events, keyed(log[sent:]))
            judged = len({orjson.loads(value)["event_id"] for value in log})
            read_all(bootstrap, [f"{topic}verdicts"], PARTITIONS, judged)
            watcher.wait()
        assert stop(engine) == 0, (tmp_path / "engine").read_text()
    assert without_repetition(everything(bootstrap, f"{topic}entities"), told_by(everything(bootstrap, links)))
    assert f"links from {stood} on" in (tmp_path / "second.log").read_text()


def is_event(value: bytes) -> bool:
    """Whether a record is an event of an account, and its first."""
    with suppress(orjson.JSONDecodeError):
        event = orjson.loads(value)
        return isinstance(event, dict) and event.get("type") in ("payment", "login") and "account_id" in event
    return False


def keyed(values: Sequence[bytes]) -> list[tuple[bytes | None, bytes, int]]:
    accounts = [orjson.loads(value)["account_id"] for value in values]
    return [
        (account.encode(), value, hash_of(account) % PARTITIONS)
        for account, value in zip(accounts, values, strict=True)
    ]


def distinct(messages: Sequence[Message]) -> dict[int, list[bytes]]:
    """Verdicts of each partition, each once: at least once may repeat some."""
    found: dict[int, dict[bytes, None]] = {number: {} for number in range(PARTITIONS)}
    for message in messages:
        found[message.partition() or 0][message.value() or b""] = None
    return {number: list(verdicts) for number, verdicts in found.items()}
