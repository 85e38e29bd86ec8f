"""Which label is in force when."""

from hypothesis import given
from hypothesis import strategies as st

from features.events import LabelIntake
from features.identity import EventName
from models.labels import known_labels

labels_in_any_order = st.lists(
    st.builds(
        LabelIntake,
        judged_event_id=st.sampled_from(["p1", "p2", "p3"]),
        account_id=st.sampled_from(["a1", "a2"]),
        label=st.sampled_from(["fraud", "legit"]),
        known_at_ms=st.integers(0, 5),
        source=st.sampled_from(["chargeback", "analyst", "reversal"]),
    )
)


@given(labels_in_any_order, st.none() | st.integers(0, 5))
def test_the_last_label_known_by_the_cut_off_is_in_force(labels, cutoff_ms):
    known = known_labels(labels, cutoff_ms)
    for event in (EventName(event_id, account_id) for event_id in ("p1", "p2", "p3") for account_id in ("a1", "a2")):
        past = [
            (label.known_at_ms, place)
            for place, label in enumerate(labels)
            if (label.judged_event_id, label.account_id) == event
            and (cutoff_ms is None or label.known_at_ms <= cutoff_ms)
        ]
        if past:
            assert known[event] is labels[max(past)[1]]
        else:
            assert event not in known


@given(labels_in_any_order, labels_in_any_order, st.integers(0, 5))
def test_what_is_learnt_after_the_cut_off_changes_nothing(past, future, cutoff_ms):
    later = [label for label in future if label.known_at_ms > cutoff_ms]
    assert known_labels(past + later, cutoff_ms) == known_labels(past, cutoff_ms)
