"""Verdicts written by the kernel against the encoder, byte for byte."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.keys import Texts, texts_of
from features.records import Coordinates, Reason, Verdict, encode
from features.verdict_bytes import NO_NUMBER, Numbers, template, verdict_bytes
from features.words import SLACK_BYTES

DECISIONS = ("approve", "step_up", "review", "decline")
FLAGS: tuple[tuple[str, ...], ...] = ((), ("cold_start",), ("late",), ("cold_start", "late", "approximate", "degraded"))
MODEL, POLICY = "0123456789abcdef", "fedcba9876543210"
REASON = Reason(
    code="VEL01", feature="f", value=7.0, baseline=None, contribution=1.25, text='7 "payments" in 10 \u00fc'
)

numbers = st.integers(-(2**63) + 1, 2**63 - 1)
micro = st.none() | st.integers(0, 10**6)
verdicts = st.builds(
    Verdict,
    event_id=st.text(min_size=1, max_size=64).filter(lambda text: text.isprintable()),
    account_id=st.text(min_size=1, max_size=64).filter(lambda text: text.isprintable()),
    time_ms=numbers,
    decision=st.sampled_from(DECISIONS),
    score=micro.map(lambda number: None if number is None else number / 10**6),
    anomaly=micro.map(lambda number: None if number is None else number / 10**6),
    expected_loss_minor=st.none() | st.integers(0, 2**63 - 1),
    reasons=st.lists(st.just(REASON), max_size=2),
    model=st.just(MODEL),
    policy=st.just(POLICY),
    at=st.builds(
        Coordinates, partition=st.just(3), offset=st.integers(0, 2**63 - 1), entities_offset=st.integers(-1, 2**53)
    ),
    flags=st.sampled_from(FLAGS),
)


def json_texts(texts: list[str]) -> Texts:
    return texts_of([msgspec.json.encode(text)[1:-1] for text in texts], bytes(SLACK_BYTES))


def millionths(numbers: list[float | None]) -> Any:
    return np.array([NO_NUMBER if number is None else round(number * 10**6) for number in numbers], dtype=np.int64)


def written(those: list[Verdict]) -> list[bytes]:
    return verdict_bytes(
        template(3, MODEL, POLICY, DECISIONS, FLAGS),
        len(DECISIONS),
        json_texts([each.event_id for each in those]),
        json_texts([each.account_id for each in those]),
        [msgspec.json.encode(each.reasons) for each in those],
        Numbers(
            time_ms=np.array([each.time_ms for each in those], dtype=np.int64),
            offset=np.array([each.at.offset for each in those], dtype=np.int64),
            entities_offset=np.array([each.at.entities_offset for each in those], dtype=np.int64),
            decision=np.array([DECISIONS.index(each.decision) for each in those], dtype=np.uint8),
            score_micro=millionths([each.score for each in those]),
            anomaly_micro=millionths([each.anomaly for each in those]),
            expected_loss_minor=np.array(
                [NO_NUMBER if each.expected_loss_minor is None else each.expected_loss_minor for each in those],
                dtype=np.int64,
            ),
            flags=np.array([FLAGS.index(tuple(each.flags)) for each in those], dtype=np.uint8),
        ),
    )


@given(st.lists(verdicts, max_size=20))
@settings(max_examples=300)
def test_any_verdicts(those: list[Verdict]) -> None:
    assert written(those) == [encode(each) for each in those]


def one(score: float, anomaly: float) -> Verdict:
    at = Coordinates(3, 5)
    return Verdict(
        event_id="e", account_id="a", time_ms=1, decision="approve", score=score, anomaly=anomaly,
        expected_loss_minor=0, reasons=[], model=MODEL, policy=POLICY, at=at, flags=(),
    )  # fmt: skip


def test_every_score_that_can_be_published() -> None:
    """All 1,000,001 of them, each in both places."""
    for start in range(0, 1_000_001, 50_000):
        numbers = range(start, min(start + 50_000, 1_000_001))
        those = [one(number / 10**6, (10**6 - number) / 10**6) for number in numbers]
        assert written(those) == [encode(each) for each in those]


def test_the_comparison_has_two_sides() -> None:
    with pytest.raises(AssertionError):
        assert written([one(0.5, 0.5)]) == [encode(one(0.5, 0.500001))]
