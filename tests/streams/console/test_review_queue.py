"""The review queue: worth, one entry an account, capacity, and what drops out."""

from hypothesis import given
from hypothesis import strategies as st

from features.records import Verdict
from models.policy import Costs, Policy
from streams.console.review_queue import review_queue, value_of_a_look
from tests.streams.console.makers import verdict

COSTS = Policy.default().payment  # review: 4.00, lets 5 % pass; step-up: lets 15 % pass


def costs_of(_: Verdict) -> Costs:
    return COSTS


def queue(verdicts: list[Verdict], labelled: frozenset[str] = frozenset(), capacity: int = 10, looked_at: int = 0):  # type: ignore[no-untyped-def]
    return review_queue(
        verdicts, lambda each: each.event_id in labelled, costs_of, capacity=capacity, looked_at=looked_at
    )


STORY = [
    # event  account  decision  expected loss   what a look saves
    ("e1", "a1", "review", 10_000, 10_000 * 0.95 - 400),
    ("e2", "a1", "review", 4_000, 4_000 * 0.95 - 400),
    ("e3", "a2", "step_up", 50_000, 50_000 * 0.10 - 400),
    ("e4", "a3", "review", 300, 300 * 0.95 - 400),  # costs more than it saves
    ("e5", "a4", "decline", 90_000, 0.0),  # nothing passes
    ("e6", "a5", "approve", 90_000, 0.0),
]
VERDICTS = [verdict(event, account, decision, expected_loss_minor=loss) for event, account, decision, loss, _ in STORY]


def test_a_look_is_worth_what_it_stops_beyond_the_decision_minus_its_cost() -> None:
    for each, (*_, worth) in zip(VERDICTS, STORY, strict=True):
        assert round(value_of_a_look(each, COSTS), 6) == round(worth, 6)


def test_the_most_valuable_first_one_entry_an_account() -> None:
    found = queue(VERDICTS)
    assert [(entry.verdict.event_id, entry.others) for entry in found.entries] == [("e1", 1), ("e3", 0)]
    assert (found.waiting, found.worthless) == (2, 1)


def test_what_is_labelled_drops_out_and_the_next_of_the_account_moves_up() -> None:
    found = queue(VERDICTS, frozenset({"e1"}))
    assert [entry.verdict.event_id for entry in found.entries] == ["e3", "e2"]


def test_what_was_looked_at_today_takes_from_the_capacity() -> None:
    found = queue(VERDICTS, capacity=3, looked_at=2)
    assert [entry.verdict.event_id for entry in found.entries] == ["e1"]
    assert found.beyond_minor == 50_000 * 0.10 - 400
    assert queue(VERDICTS, capacity=3, looked_at=9).entries == []


def test_a_review_that_a_rule_asked_for_comes_last_but_is_not_lost() -> None:
    """Nobody knows what a look is worth where no score counted."""
    ruled = [verdict(f"r{number}", "a9", "review", score=None, expected_loss_minor=None) for number in range(2)]
    found = queue([*ruled, verdict("s1", "a8", "step_up", score=None, expected_loss_minor=None), *VERDICTS])
    assert [entry.verdict.account_id for entry in found.entries] == ["a1", "a2", "a9"]
    assert (found.entries[-1].others, found.entries[-1].value_minor, found.worthless) == (1, 0.0, 2)


def test_without_a_review_in_the_policy_no_look_is_worth_anything() -> None:
    costs = Policy.default().login
    assert costs.review is None
    assert value_of_a_look(VERDICTS[0], costs) == 0.0


many = st.lists(
    st.builds(
        verdict,
        st.uuids().map(str),
        st.sampled_from(["a1", "a2", "a3"]),
        st.sampled_from(["approve", "step_up", "review", "decline"]),
        expected_loss_minor=st.one_of(st.none(), st.integers(0, 100_000)),
    ),
    max_size=15,
)


@given(many, st.integers(1, 4))
def test_no_choice_of_one_event_an_account_is_worth_more(verdicts: list[Verdict], capacity: int) -> None:
    found = queue(verdicts, capacity=capacity)
    accounts = [entry.verdict.account_id for entry in found.entries]
    assert len(set(accounts)) == len(accounts) <= capacity
    best_of_each: dict[str, float] = {}
    for each in verdicts:
        worth = value_of_a_look(each, COSTS)
        best_of_each[each.account_id] = max(worth, best_of_each.get(each.account_id, 0.0))
    best = sorted((worth for worth in best_of_each.values() if worth > 0), reverse=True)
    worths = [entry.value_minor for entry in found.entries]
    assert [worth for worth in worths if worth > 0] == best[:capacity]
    assert worths == sorted(worths, reverse=True)


@given(many, st.randoms(use_true_random=False))
def test_the_order_in_which_verdicts_came_does_not_matter(verdicts: list[Verdict], random) -> None:  # type: ignore[no-untyped-def]
    shuffled = verdicts[:]
    random.shuffle(shuffled)
    assert queue(shuffled) == queue(verdicts)
