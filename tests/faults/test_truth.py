"""The checker itself: every kind of fault, planted, is found."""

import orjson
import pytest

from tests.faults.topics import PARTITIONS
from tests.faults.truth import DEAD_LETTER, OUTCOME, VERDICT, Differences, Published, differences, expected
from tests.streams.logs import keyed, mixed_log

Log = dict[int, list[bytes]]


@pytest.fixture(scope="module")
def log() -> Log:
    records = keyed(mixed_log(800, seed=3))
    return {number: [value for _, value, at in records if at == number] for number in range(PARTITIONS)}


@pytest.fixture(scope="module")
def wanted(log: Log, tmp_path_factory: pytest.TempPathFactory) -> list[Published]:
    directory = tmp_path_factory.mktemp("wanted")
    return [record for number in log for record in expected(log[number], number, directory / str(number))]


def test_what_should_be_published_is_right(log: Log, wanted: list[Published]) -> None:
    assert {record.identity.kind for record in wanted} == {VERDICT, OUTCOME, DEAD_LETTER}
    assert differences(log, wanted, wanted) == Differences()


@pytest.mark.parametrize("kind", [VERDICT, OUTCOME, DEAD_LETTER])
def test_a_planted_fault_is_found(log: Log, wanted: list[Published], kind: str) -> None:
    place = [record.identity.kind for record in wanted].index(kind) + 1
    record = wanted[place]
    assert record.identity.kind == kind
    without = wanted[:place] + wanted[place + 1 :]

    assert differences(log, wanted, without) == Differences(lost=1, unanswered=1)
    assert differences(log, wanted, [*wanted, record]) == Differences(doubled=1, disordered=1)
    assert differences(log, wanted, [*wanted, record], may_repeat=True) == Differences()
    flipped = Published(record.identity, record.content[:-1] + bytes([record.content[-1] ^ 1]))
    assert differences(log, wanted, [*without, flipped]) == Differences(differing=1, disordered=1)
    assert differences(log, wanted, [*wanted, flipped], may_repeat=True) == Differences(differing=1)
    stranger = Published(record.identity._replace(offset=10**6), record.content)
    assert differences(log, wanted, [*wanted, stranger]) == Differences(invented=1)


def test_what_is_missing_on_both_sides_is_found_without_the_fold(log: Log, wanted: list[Published]) -> None:
    """If the fold itself forgot an event, comparing two folds would not show it."""
    place = [record.identity.kind for record in wanted].index(VERDICT)
    forgetful = wanted[:place] + wanted[place + 1 :]
    assert differences(log, forgetful, forgetful) == Differences(unanswered=1)


def test_records_that_may_go_without_an_answer_are_few(log: Log, wanted: list[Published]) -> None:
    answered = {(record.identity.partition, record.identity.offset) for record in wanted}
    silent = [
        value
        for number, values in log.items()
        for offset, value in enumerate(values)
        if (number, offset) not in answered
    ]
    assert 0 < len(silent) < sum(map(len, log.values())) / 5
    assert "profile_change" in {orjson.loads(value)["type"] for value in silent}
