"""What the log has put in force, against a reading of the whole past."""

from typing import Literal

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from features.events import Marker
from streams.standing import MOST_TENURES, Standing, stand_ins


def said(kind: Literal["model", "breaker", "entities"], value: str) -> Marker:
    return Marker(event_id="m", time_ms=0, marker=kind, value=value)


MODELS = ("a", "b", "c", "d")
markers = st.lists(
    st.one_of(
        st.sampled_from(MODELS).map(lambda model: ("model", model)),
        st.sampled_from(["closed", "closed", "step_up", "last_good_model", "rules_only", "nonsense"]).map(
            lambda breaker: ("breaker", breaker)
        ),
        st.just(("entities", "7")),
    ),
    max_size=30,
).map(lambda those: [said(kind, value) for kind, value in those])


def naive(past: list[Marker]) -> tuple[str, str | None]:
    """The breaker, and the last good model: walks the past, then looks for it from its end."""
    breaker, model = "closed", "a"
    asked, bad = ["a"], set()
    for marker in past:
        if marker.marker == "model":
            model = marker.value
            asked.append(model)
        elif marker.marker == "breaker" and marker.value != "nonsense":
            breaker = marker.value
        if breaker != "closed":
            bad.add(model)
    good = [earlier for earlier in reversed(asked) if earlier != model and earlier not in bad]
    return breaker, good[0] if good else None


@given(markers)
def test_it_is_what_the_past_says(past: list[Marker]) -> None:
    standing = Standing.at_start("a")
    for marker in past:
        standing = standing.after(marker)
    breaker, last_good = naive(past)
    assert (standing.breaker, standing.last_good) == (breaker, last_good)
    assert standing.stand_in == (last_good if breaker == "last_good_model" else None)
    assert standing.wants_in_vain == (breaker == "last_good_model" and last_good is None)
    assert msgspec.json.decode(msgspec.json.encode(standing), type=Standing) == standing


@given(markers)
def test_the_models_that_a_batch_needs_are_those_behind_its_markers(past: list[Marker]) -> None:
    wanted = set()
    for end in range(1, len(past) + 1):
        breaker, last_good = naive(past[:end])
        if past[end - 1].value == "nonsense" or past[end - 1].marker == "entities":
            continue
        if breaker == "last_good_model" and last_good is not None:
            wanted.add(last_good)
    assert stand_ins(Standing.at_start("a"), past) == wanted


def test_a_model_that_came_while_it_was_open_is_no_good_one() -> None:
    standing = Standing.at_start("a").after(said("breaker", "step_up")).after(said("model", "b"))
    standing = standing.after(said("breaker", "closed")).after(said("model", "c"))
    assert standing.last_good is None
    assert standing.after(said("model", "d")).last_good == "c"


def test_no_more_than_so_many_are_remembered() -> None:
    standing = Standing.at_start("0")
    for number in range(1, 3 * MOST_TENURES):
        standing = standing.after(said("model", str(number)))
    assert len(standing.tenures) == MOST_TENURES
    assert standing.last_good == str(3 * MOST_TENURES - 2)
