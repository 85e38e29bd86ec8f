"""What the judged rows of a segment came to, with their reasons, and what an outcome says of one of them. Pure."""

from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.columns import NO_SCORE, NOT_JUDGED, Events
from features.records import Judged, Reason
from features.verdict_bytes import NO_NUMBER
from models.decision import OUTCOMES
from models.reasons import Explained
from models.rule_reasons import rule_reason
from models.ruling import Ruling
from streams.model_in_force import ModelInForce

MICRO = 1_000_000
NO_LOSS = NO_NUMBER
_encode = msgspec.json.Encoder().encode


class Scores(NamedTuple):
    """The judged rows of a segment.

    Attributes:
        rows: intp[k], their places in the segment.
        features: float32[k, f].
        kind: uint8[k], codes of `features.columns`.
        amount_minor: int64[k], base currency.
        score: float64[k], as published; NaN where no score counted.
        anomaly: float64[k], as published; NaN while the detector is not yet warm.
        tails: see `models.detector.Anomalies`.
        score_micro: int64[k], millionths, `NO_SCORE` for NaN.
        anomaly_micro: int64[k], millionths, `NO_SCORE` for NaN.
        asked_score: float64[k], of the model that the log asks for, whoever decided.
        by_asked: uint8[k], what it and its policy would decide, index into `models.decision.OUTCOMES`.
        by_model: uint8[k], what the model that verdicts name and its policy decide, likewise.
        ruling: what the rules decide; None where no rules were asked.
        outcome: uint8[k], as published: by the rules, or what the breaker makes of `by_model`.
        expected_loss_minor: int64[k], `NO_LOSS` where no score counted.
    """

    rows: NDArray[np.intp]
    features: NDArray[np.float32]
    kind: NDArray[np.uint8]
    amount_minor: NDArray[np.int64]
    score: NDArray[np.float64]
    anomaly: NDArray[np.float64]
    tails: NDArray[np.float64] | None
    score_micro: NDArray[np.int64]
    anomaly_micro: NDArray[np.int64]
    asked_score: NDArray[np.float64]
    by_asked: NDArray[np.uint8]
    by_model: NDArray[np.uint8]
    ruling: Ruling | None
    outcome: NDArray[np.uint8]
    expected_loss_minor: NDArray[np.int64]


def reasons_of(
    model: ModelInForce, detector_columns: NDArray[np.int64], scores: Scores
) -> tuple[list[bytes], list[str]]:
    """JSON of the reasons of each judged event, an empty list where it is approved; first codes of the others.

    They are the reasons of what the model decides, also where the breaker put something milder in its place; or those
    of the rules, where these decided.

    Args:
        model: that verdicts name.
        detector_columns: int64[d], columns of the detector's inputs.
        scores: of the segment.
    """
    texts = [b"[]"] * len(scores.rows)
    decided = scores.by_model if scores.ruling is None else scores.outcome
    explained = np.flatnonzero(decided)  # everything but approve
    if not len(explained):
        return texts, []
    given = _reasons(model, detector_columns, scores, explained)
    for place, reasons in zip(explained.tolist(), given, strict=True):
        texts[place] = _encode(reasons)
    return texts, [reasons[0].code for reasons in given]


def _reasons(
    model: ModelInForce, detector_columns: NDArray[np.int64], scores: Scores, explained: NDArray[np.intp]
) -> list[list[Reason]]:
    if scores.ruling is not None:
        return [[_of_rules(model, scores, scores.ruling, place)] for place in explained.tolist()]
    values = scores.features[explained]
    events = Explained(
        values=values,
        contributions=model.scorer.contributions(values).values,
        outcome=scores.by_model[explained],
        score=scores.score[explained],
        anomaly=scores.anomaly[explained],
        tails=None if scores.tails is None else scores.tails[explained],
        detector_columns=detector_columns,
    )
    return model.explainer.reasons(events, model.policy)


def _of_rules(model: ModelInForce, scores: Scores, ruling: Ruling, place: int) -> Reason:
    return rule_reason(
        model.explainer.told,
        model.money,
        model.policy,
        int(ruling.rule[place]),
        int(scores.kind[place]),
        scores.features[place],
        int(scores.amount_minor[place]),
    )


def judged_of(found: Events, scores: Scores, place: int | None) -> Judged:
    """What an outcome says of the judged event; `place` is its row in `scores` if it was judged in this segment."""
    if place is None:
        decision, score, anomaly = int(found["decision"]), int(found["score_micro"]), int(found["anomaly_micro"])
    else:
        decision = int(scores.outcome[place])
        score, anomaly = int(scores.score_micro[place]), int(scores.anomaly_micro[place])
    return Judged(
        time_ms=int(found["time_ms"]),
        offset=int(found["offset"]),
        decision=None if decision == NOT_JUDGED else OUTCOMES[decision],
        score=None if score == NO_SCORE else score / MICRO,
        anomaly=None if anomaly == NO_SCORE else anomaly / MICRO,
        amount_base_minor=int(found["amount_minor"]),
    )
