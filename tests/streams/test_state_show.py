"""What is shown of an account: its state as stored and as rebuilt, and where to look for it."""

from pathlib import Path

import pytest
from confluent_kafka import Producer

from features.rocks_store import RocksStore
from features.store import MemoryStore
from models.wording import Money
from streams.account_at import account_at, account_in
from streams.account_place import expected_partition, murmur2, search_order
from streams.account_text import history_table, shown_text
from streams.account_view import view_of
from streams.broker import RunningBroker
from streams.partition import Partition
from streams.signature import everybody
from tests.streams.histories import machine_over
from tests.streams.logs import MINUTE_MS, START_MS, mixed_log, payment, records
from tests.streams.small_model import small_model
from tests.streams.test_engine import open_small
from tests.streams.workers import read_all

EUR = Money("EUR", 2)


def test_a_stored_account_and_a_rebuilt_one_are_the_same(tmp_path: Path) -> None:
    log = records(mixed_log(600, seed=4, accounts=5))
    partition = Partition(0, RocksStore(tmp_path / "state"), small_model(), open_small)
    partition.fold(log, everybody)
    partition.checkpoint()
    partition.close()
    store = RocksStore(tmp_path / "state", read_only=True)
    found = 0
    for account in (f"a{number}" for number in range(5)):
        stored = account_in(store, account, 0, "EUR")
        rebuilt = account_at(machine_over({0: log}), account, 0, 600)
        assert stored is not None
        assert rebuilt is not None
        assert stored.account == rebuilt.account
        assert (stored.next_offset, stored.model) == (rebuilt.next_offset, rebuilt.model) == (600, small_model().id)
        found += stored.account.event_count
    assert found > 300
    assert account_in(store, "nobody", 0, "EUR") is None
    store.close()
    assert account_in(MemoryStore(), "a1", 0, "EUR") is None


def test_an_account_at_an_offset_is_what_arrived_before_it() -> None:
    log = records([payment(number, "a1", START_MS + number) for number in range(9)])
    machine = machine_over({0: log})
    for offset in (1, 5, 9):
        told: list[tuple[int, int]] = []
        shown = account_at(machine, "a1", 0, offset, lambda *step, told=told: told.append(step))
        assert shown is not None
        assert [event.offset for event in shown.account.events] == list(range(offset))
        assert told[-1] == (offset, offset)
    assert account_at(machine, "a1", 0, 0) is None
    assert account_at(machine, "nobody", 0, 9) is None


def test_an_account_that_only_rubbish_named_has_no_past() -> None:
    assert view_of("a1", None).first_ms is None
    log = records([payment(1, "a1", START_MS, currency="XXX"), payment(2, "a2", START_MS)])
    assert account_at(machine_over({0: log}), "a1", 0, 2) is None


def test_the_text_shows_what_was_folded_away() -> None:
    log = records([payment(n, "a1", START_MS + n * MINUTE_MS, amount_minor=100 * n) for n in range(400)])
    shown = account_at(machine_over({0: log}), "a1", 0, 400)
    assert shown is not None
    assert shown.account.folded is not None
    text = "\n".join(shown_text(shown, most_events=2))
    assert "400 events, the first at 2025-06-15T15:06:40.000Z" in text
    assert f"folded away: {shown.account.folded.events} events" in text
    assert "and " + str(len(shown.account.events) - 2) + " older ones" in text
    assert "tiles, the newest first" in text
    assert text.count("399.00 EUR") == 1


def test_columns_that_are_empty_are_left_out() -> None:
    log = records([payment(1, "a1", START_MS)])
    shown = account_at(machine_over({0: log}), "a1", 0, 1)
    assert shown is not None
    head, row = history_table(shown.account.events, EUR, as_of_ms=START_MS + 60_000, most=5)
    assert head.split() == ["time", "age", "kind", "amount", "method", "decision", "score", "offset"]
    assert "60 seconds before" in row
    assert list(history_table([], EUR, as_of_ms=None, most=5)) == ["  (no events)"]


@pytest.mark.parametrize(
    ("key", "hashed"),
    [  # the test vectors of Kafka's own client
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_kafkas(key: bytes, hashed: int) -> None:
    assert murmur2(key) == hashed % 2**32


@pytest.mark.parametrize("topic", [5], indirect=True)
def test_the_expected_partition_is_where_a_producer_sends_the_account(broker: RunningBroker, topic: str) -> None:
    accounts = [f"account-{'x' * (number % 7)}{number}" for number in range(60)]
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "partitioner": "murmur2_random"})
    for account in accounts:
        producer.produce(f"{topic}events", b"{}", account.encode())
    assert producer.flush(30) == 0
    found = read_all(broker.bootstrap_servers, [f"{topic}events"], 5, len(accounts))
    assert {(message.key() or b"").decode(): message.partition() for message in found} == {
        account: expected_partition(account, 5) for account in accounts
    }


def test_the_expected_partition_is_searched_first() -> None:
    first = expected_partition("a5", 8)
    assert search_order("a5", range(8), 8) == [first, *(number for number in range(8) if number != first)]
    assert search_order("a5", [6, 7], 8)[-1] in (6, 7)
    assert sorted(search_order("a5", [2, 6, 7], 8)) == [2, 6, 7]
