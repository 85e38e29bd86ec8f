"""To which log a state belongs: the rules, and what says so in files."""

from itertools import product
from pathlib import Path

import pytest

from features.errors import AssayError
from features.rocks_store import RocksStore
from features.store import MemoryStore
from streams.score import ScoreRequest, score
from streams.topic_identity import NOT_A_TOPIC, OtherLogError, claim, log_text, topic_id_of, topic_id_value
from tests.streams.logs import START_MS, payment
from tests.streams.small_model import small_model
from tests.streams.states import NUMBER, fold, open_partition
from tests.streams.test_engine import open_small

ONE, OTHER = "8k-athHsTQuB79KXk46wbw", "KfhwaOnVuB5rpcfDbsvs6A"
LOGS = (NOT_A_TOPIC, ONE, OTHER)


def folded(topic_id: str) -> MemoryStore:
    """A state of a log."""
    store = MemoryStore()
    store.write([], topic_id_value(topic_id))
    partition = open_partition(store)
    fold(partition, 0, 20)
    partition.checkpoint()
    return store


@pytest.mark.parametrize(("made_from", "goes_on_with"), list(product(LOGS, LOGS)))
def test_a_state_goes_on_with_its_own_log_and_no_other(made_from: str, goes_on_with: str) -> None:
    store = folded(made_from)
    if made_from == goes_on_with:
        claim(store, NUMBER, goes_on_with, state="the state here", do="do this")
    else:
        with pytest.raises(OtherLogError, match="^the state here .* do this$") as refused:
            claim(store, NUMBER, goes_on_with, state="the state here", do="do this")
        assert f"expected {log_text(goes_on_with)}, got {log_text(made_from)}" in str(refused.value)
    assert topic_id_of(store) == made_from


@pytest.mark.parametrize(("before", "after"), list(product((None, *LOGS), LOGS)))
def test_a_state_in_which_nothing_was_folded_becomes_that_of_the_log(before: str | None, after: str) -> None:
    store = MemoryStore()
    if before is not None:
        store.write([], topic_id_value(before))
    claim(store, NUMBER, after, state="", do="")
    assert topic_id_of(store) == after


def test_a_state_that_holds_no_id_is_of_no_topic() -> None:
    store = MemoryStore()
    partition = open_partition(store)
    fold(partition, 0, 20)
    partition.checkpoint()
    assert topic_id_of(store) == NOT_A_TOPIC
    claim(store, NUMBER, NOT_A_TOPIC, state="", do="")
    with pytest.raises(OtherLogError):
        claim(store, NUMBER, ONE, state="", do="")


def test_a_state_of_another_version_says_so_first() -> None:
    store = folded(ONE)
    store.write([], {"fold": b'{"schema": 99}'})
    with pytest.raises(AssayError, match="expected schema"):
        claim(store, NUMBER, OTHER, state="", do="")


def test_a_file_is_not_folded_onto_the_state_of_a_topic(tmp_path: Path) -> None:
    """The directory of a worker, named by mistake."""
    events = tmp_path / "events.jsonl"
    events.write_bytes(payment(1, "a1", START_MS) + b"\n")
    request = ScoreRequest(
        events=events, out=tmp_path / "verdicts", dead_letters=tmp_path / "dead", state=tmp_path / "states"
    )
    score(request, small_model(), open_small)
    score(request, small_model(), open_small)  # its own state goes on
    store = RocksStore(tmp_path / "states" / "fraud.events-0")
    store.write([], topic_id_value(ONE))
    store.close()
    before = (tmp_path / "verdicts").read_bytes()
    with pytest.raises(AssayError, match=f"fraud.events-0 .*topic id {ONE}.*name another --state"):
        score(request, small_model(), open_small)
    assert (tmp_path / "verdicts").read_bytes() == before
