"""Links of a partition: part of its state, published once, and never a reason for another verdict."""

import pytest

from features.links import Flushes, flushes_of, joined
from features.store import MemoryStore
from streams.log import LogRecord, Output
from streams.outbound import messages_of, targets_of
from streams.partition import Partition
from streams.signature import everybody
from tests.streams.logs import START_MS, TRACE, mixed_log, model_marker, payment, records
from tests.streams.small_model import small_model
from tests.streams.test_engine import new_partition, open_small


def flushes_in(outputs: list[Output]) -> Flushes:
    return joined([flushes_of(value)[1] for output in outputs for value in output.links])


def links(outputs: list[Output]) -> list[list[object]]:
    """Every row of every table, with the number of its flush first."""
    return [table.tolist() for table in flushes_in(outputs)]


@pytest.mark.parametrize("cut", [50, 250, 333, 490])
def test_a_state_goes_on_with_what_was_not_yet_flushed(cut: int) -> None:
    log = records(mixed_log(500, seed=31))
    whole = links([new_partition().fold(log, everybody)])
    store = MemoryStore()
    first = Partition(3, store, small_model(), open_small)
    before = links([first.fold(log[:cut], everybody)])
    first.checkpoint()
    after = links([Partition(3, store, small_model(), open_small).fold(log[cut:], everybody)])
    assert [one + other for one, other in zip(before, after, strict=True)] == whole


def test_a_record_of_trouble_leaves_the_links_of_the_others() -> None:
    """A batch that is folded again record by record gives the flushes of one that is not."""
    log = records(mixed_log(200, seed=32))
    careful = Partition(3, MemoryStore(), small_model(), open_small, careful_until=10**9)
    assert links([careful.fold(log, everybody)]) == links([new_partition().fold(log, everybody)])


def test_a_marker_closes_a_flush() -> None:
    log = records([payment(1, "a1", START_MS, device_id="d1"), model_marker(2, small_model(2).id, START_MS + 5_000)])
    flushes = flushes_in([new_partition().fold(log, everybody)])
    assert (flushes.flushes.tolist(), len(flushes.links)) == ([(0, 1, START_MS)], 1)


def test_links_go_to_their_only_partition() -> None:
    log = [
        LogRecord(offset, value, b"a1", START_MS, [TRACE])
        for offset, value in enumerate(
            [payment(1, "a1", START_MS, device_id="d1"), payment(2, "a1", START_MS + 2_000, device_id="d1")]
        )
    ]
    output = new_partition().fold(log, everybody)
    targets = targets_of("t.")
    (message,) = [one for one in messages_of(output, log, 3, targets, None) if one.topic == targets.links]
    assert (message.topic, message.partition, message.key, message.headers) == ("t.links", 0, b"3", None)
    assert [message.value] == output.links
