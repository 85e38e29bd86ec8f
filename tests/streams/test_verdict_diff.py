"""The difference of two files of verdicts: nothing is overlooked, and the money adds up to the minor unit."""

from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.identity import EventName
from features.records import Coordinates, Verdict, encode
from streams.diff_causes import Causes, KnownModels
from streams.log import LogRecord
from streams.verdict_diff import Diff, Group, Judgement, Pair, pairs
from tests.streams.small_model import small_model
from tests.streams.test_engine import open_small

verdicts = st.builds(
    Verdict,
    event_id=st.just("p"),
    account_id=st.just("a"),
    time_ms=st.just(0),
    decision=st.sampled_from(["approve", "step_up", "review", "decline"]),
    score=st.none() | st.floats(0, 1).map(lambda score: round(score, 6)),
    anomaly=st.none(),
    expected_loss_minor=st.none() | st.integers(0, 10**15),
    reasons=st.just([]),
    model=st.sampled_from(["0" * 16, "1" * 16]),
    policy=st.just("2" * 16),
    at=st.just(Coordinates(0, 0)),
    flags=st.just([]),
)
files = st.dictionaries(st.integers(0, 30), verdicts).map(
    lambda found: {
        offset: msgspec.structs.replace(verdict, event_id=f"p{offset}", at=Coordinates(0, offset))
        for offset, verdict in sorted(found.items())
    }
)
ATTACKS = {EventName(f"p{offset}", "a"): ("scam", "legit")[offset % 2] for offset in range(0, 30, 3)}


def compared(before: dict[int, Verdict], after: dict[int, Verdict]) -> tuple[Diff, list[tuple[int, str]]]:
    """What the product makes of two files."""
    diff, changes = Diff(), []
    causes = Causes(KnownModels(open_small))
    one, other = ([Judgement(offset, encode(v)) for offset, v in file.items()] for file in (before, after))
    for pair in pairs(one, other):
        diff.see(pair)
        if not pair.is_equal:
            changed = causes.changed(pair, None, 0, ATTACKS)
            diff.count(changed)
            changes.append((changed.offset, changed.change))
    return diff, changes


def loss(verdict: Verdict | None) -> int:
    return 0 if verdict is None else verdict.expected_loss_minor or 0


@given(files, files)
def test_the_money_adds_up_and_nothing_is_overlooked(before: dict[int, Verdict], after: dict[int, Verdict]) -> None:
    diff, changes = compared(before, after)
    assert diff.expected_loss_before_minor == sum(map(loss, before.values()))
    assert diff.expected_loss_after_minor == sum(map(loss, after.values()))
    assert sum(total.expected_loss_minor for total in diff.groups.values()) == (
        diff.expected_loss_after_minor - diff.expected_loss_before_minor
    )
    expected = {}
    groups: Counter[Group] = Counter()
    for offset in sorted(before.keys() | after.keys()):  # the slow, obvious way
        one, other = before.get(offset), after.get(offset)
        if one == other:
            continue
        expected[offset] = (
            "extra" if one is None else "missing" if other is None
            else "decision" if one.decision != other.decision else "other"
        )  # fmt: skip
        attack = ATTACKS.get(EventName(f"p{offset}", "a"), "unlabelled")
        groups[Group(one.decision if one else "", other.decision if other else "", attack)] += 1
    assert changes == list(expected.items())
    assert {group: total.count for group, total in diff.groups.items()} == groups
    assert diff.changed == len(expected)
    assert diff.equal == len(before.keys() | after.keys()) - len(expected)


@pytest.mark.parametrize(
    ("fields", "amount_minor"),
    [
        ({"requested_minor": 900, "currency": "EUR"}, 900),
        ({"requested_minor": 900, "currency": "ZWL"}, None),
        ({"currency": "ZWL"}, 0),
        ({"requested_minor": 900}, 0),
        ({}, 0),
    ],
)
def test_only_an_amount_without_a_rate_leaves_the_stake_unknown(
    fields: dict[str, object], amount_minor: int | None
) -> None:
    model = small_model()
    assert not model.rates.has("ZWL")
    at = Coordinates(0, 0)
    verdict = Verdict(
        event_id="p", account_id="a", time_ms=0, decision="review", score=0.5, anomaly=None, expected_loss_minor=1,
        reasons=[], model=model.id[:16], policy="2" * 16, at=at, flags=[],
    )  # fmt: skip
    event = {"event_id": "p", "type": "application", "account_id": "a", "time_ms": 0, **fields}
    causes = Causes(KnownModels(lambda _: model))
    pair = Pair(None, Judgement(0, encode(verdict)))
    changed = causes.changed(pair, LogRecord(0, msgspec.json.encode(event)), 0, {})
    assert changed.amount_minor == amount_minor


def test_a_byte_is_a_change() -> None:
    one = Judgement(3, b'{"expected_loss_minor":1}')
    assert Pair(one, one).is_equal
    assert not Pair(one, Judgement(3, b'{"expected_loss_minor":1 }')).is_equal
    assert not Pair(one, None).is_equal


@pytest.mark.parametrize(("before", "after"), [((), ()), ((1, 2), ()), ((), (1, 2)), ((1, 3, 5), (2, 3, 4, 5, 6))])
def test_every_event_is_paired_once(before: tuple[int, ...], after: tuple[int, ...]) -> None:
    found = list(pairs([Judgement(n, b"") for n in before], [Judgement(n, b"") for n in after]))
    assert [(p.before or p.after).offset for p in found] == sorted({*before, *after})  # type: ignore[union-attr]
    assert [p.before.offset for p in found if p.before] == list(before)
    assert [p.after.offset for p in found if p.after] == list(after)
