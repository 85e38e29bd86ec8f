"""The breaker: opens on what is bad, never flaps, is never silent, and lets a sale pass."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.breaker import BreakerInput, BreakerState, Transition, step
from models.seasonal import Band
from models.watch_limits import BREAKER_ACTIONS, BreakerAction, BreakerSettings

MINUTE_MS = 60_000
SETTINGS = BreakerSettings()
BAND = Band(0.01, 0.001)
GOOD, BAD, DARK, AWAY = "good", "bad", "dark", "away"


def minute(kind: str, number: int) -> BreakerInput:
    verdicts, declines = {GOOD: (1_000, 10), BAD: (1_000, 300), DARK: (10, 9), AWAY: (1_000, 10)}[kind]
    return BreakerInput(number * MINUTE_MS, verdicts, declines, 5, BAND, BAND, model_available=kind != AWAY)


def run(kinds: list[str], chosen: BreakerSettings = SETTINGS) -> tuple[list[BreakerState], list[Transition]]:
    state, states, transitions = BreakerState(), [], []
    for number, kind in enumerate(kinds):
        state, transition = step(state, minute(kind, number), chosen)
        states.append(state)
        transitions += [transition] if transition else []
    return states, transitions


def phases(kinds: list[str], chosen: BreakerSettings = SETTINGS) -> list[tuple[int, str]]:
    return [(one.minute_ms // MINUTE_MS, one.after) for one in run(kinds, chosen)[1]]


RUNS = st.lists(
    st.tuples(st.sampled_from([GOOD, GOOD, BAD, DARK, AWAY]), st.integers(1, 60)), min_size=1, max_size=40
).map(lambda runs: [kind for kind, length in runs for _ in range(length)])


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        ([BAD] * 4 + [GOOD] + [BAD] * 4, []),
        ([BAD] * 5, [(4, "open")]),
        ([BAD] * 3 + [DARK] * 50 + [BAD] * 2, [(54, "open")]),
        ([AWAY] * 2, [(1, "open")]),
        ([BAD] * 5 + [GOOD] * 10, [(4, "open"), (14, "probing")]),
        ([BAD] * 5 + [GOOD] * 9 + [BAD] + [GOOD] * 10, [(4, "open"), (24, "probing")]),
        ([BAD] * 5 + [GOOD] * 25, [(4, "open"), (14, "probing"), (29, "closed")]),
        ([BAD] * 5 + [GOOD] * 12 + [BAD] + [GOOD] * 19, [(4, "open"), (14, "probing"), (17, "open")]),
        ([BAD] * 5 + [GOOD] * 12 + [BAD] + [GOOD] * 20, [(4, "open"), (14, "probing"), (17, "open"), (37, "probing")]),
        ([DARK] * 100, []),
    ],
    ids=lambda value: str(value)[:40],
)
def test_stories(story: list[str], expected: list[tuple[int, str]]) -> None:
    assert phases(story) == expected


def test_a_trip_soon_after_closing_waits_longer_and_one_a_day_later_does_not() -> None:
    once = [BAD] * 5 + [GOOD] * 25
    soon = run(once + [GOOD] * 10 + [BAD] * 5)[0][-1]
    late = run(once + [GOOD] * 1_440 + [BAD] * 5)[0][-1]
    assert (soon.phase, soon.minutes_to_probe, late.phase, late.minutes_to_probe) == ("open", 20, "open", 10)


@settings(max_examples=150, deadline=None)
@given(RUNS)
def test_it_never_flaps(kinds: list[str]) -> None:
    """Whatever comes: out of each phase only after its minutes, and few openings in any day."""
    transitions = run(kinds)[1]
    for earlier, later in pairwise(transitions):
        minutes = (later.minute_ms - earlier.minute_ms) // MINUTE_MS
        assert earlier.after == later.before
        least = {"open": 10, "probing": 1 if later.after == "open" else 15, "closed": 2}[earlier.after]
        assert minutes >= least
    opened = [one.minute_ms // MINUTE_MS for one in transitions if one.after == "open"]
    for first in opened:
        assert len([at for at in opened if first <= at < first + 1_440]) <= 5 + 1_440 // 160


def worst_day() -> list[str]:
    """The answer that flaps most: bad as soon as the breaker leaves `open`, good as soon as it is in it."""
    state, kinds = BreakerState(), []
    for number in range(1_440):
        kinds.append(GOOD if state.phase == "open" else BAD)
        state, _ = step(state, minute(kinds[-1], number), SETTINGS)
    return kinds


def test_even_an_opponent_who_watches_it_opens_it_a_dozen_times_a_day() -> None:
    openings = [phase for _, phase in phases(worst_day()) if phase == "open"]
    assert 5 <= len(openings) <= 13


def test_a_breaker_without_hysteresis_would_flap() -> None:
    """The measure of flapping can fail."""
    hasty = BreakerSettings(
        minutes_to_trip=1, minutes_without_model=1, minutes_to_probe=1, minutes_to_return=1, most_minutes_to_probe=1
    )
    story = [BAD, GOOD, GOOD] * 200
    assert len(phases(story, hasty)) > 300 > len(phases(story))


@settings(max_examples=100, deadline=None)
@given(RUNS)
def test_it_is_never_silent(kinds: list[str]) -> None:
    state = BreakerState()
    for number, kind in enumerate(kinds):
        after, transition = step(state, minute(kind, number), SETTINGS)
        assert (transition is not None) == (after.phase != state.phase)
        if transition:
            assert (transition.before, transition.after) == (state.phase, after.phase)
            assert len(transition.reason) > 10
            assert (transition.action is None) == (after.phase != "open")
        state = after


@settings(max_examples=50, deadline=None)
@given(RUNS, st.integers(0, 100))
def test_minutes_that_come_again_change_nothing(kinds: list[str], seed: int) -> None:
    state = BreakerState()
    for number, kind in enumerate(kinds):
        state, _ = step(state, minute(kind, number), SETTINGS)
        assert step(state, minute(BAD, number), SETTINGS) == (state, None)
        assert step(state, minute(AWAY, max(number - seed, 0)), SETTINGS) == (state, None)
    assert state == run(kinds)[0][-1]


def test_a_sale_of_five_times_the_volume_does_not_trip_it() -> None:
    state = BreakerState()
    for number in range(600):
        busy = BreakerInput(number * MINUTE_MS, 5_000, 50 + number % 7, 25, BAND, Band(0.005, 0.0005))
        state, transition = step(state, busy, SETTINGS)
        assert transition is None


def test_fewer_declines_than_usual_do_not_trip_it() -> None:
    state = BreakerState()
    for number in range(20):
        state, transition = step(state, BreakerInput(number * MINUTE_MS, 10_000, 0, 0, BAND, BAND), SETTINGS)
        assert transition is None


def test_reasons_name_each_fault() -> None:
    state = BreakerState()
    for number in range(2):
        both = BreakerInput(number * MINUTE_MS, 1_000, 100, 500, BAND, None, False, False)
        state, transition = step(state, both, SETTINGS)
    assert transition is not None
    assert transition.reason == (
        "for 2 minutes: the model in force is not available; the feed behind the features is silent"
    )
    state = BreakerState()
    for number in range(5):
        state, transition = step(state, BreakerInput(number * MINUTE_MS, 1_000, 100, 500, BAND, None), SETTINGS)
    assert transition is not None
    assert transition.reason == (
        "for 5 minutes: 10.0% of 1,000 events would be declined, usually 1.0% at this hour (27.3 spreads); "
        "50.0% of 1,000 events would be reviewed, at most 20.0% while there is no seasonal band"
    )


@pytest.mark.parametrize("action", BREAKER_ACTIONS)
def test_the_action_is_that_of_the_settings(action: BreakerAction) -> None:
    chosen = BreakerSettings(action=action)
    assert run([BAD] * 5, chosen)[1][0].action == action


def test_a_state_survives_json() -> None:
    for state in run([BAD] * 7 + [GOOD] * 12)[0]:
        assert msgspec.json.decode(msgspec.json.encode(state), type=BreakerState) == state
