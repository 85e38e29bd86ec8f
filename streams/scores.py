"""What the judged rows of a segment came to, with their reasons, and what an outcome says of one of them. Pure."""

from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.columns import NO_SCORE, NOT_JUDGED, Events
from features.records import Judged
from models.decision import OUTCOMES
from models.reasons import Explained
from streams.model_in_force import ModelInForce

MICRO = 1_000_000
_encode = msgspec.json.Encoder().encode


class Scores(NamedTuple):
    """The judged rows of a segment.

    Attributes:
        rows: intp[k], their places in the segment.
        features: float32[k, f].
        score: float64[k], as published.
        anomaly: float64[k], as published; NaN while the detector is not yet warm.
        tails: see `models.detector.Anomalies`.
        score_micro: int64[k], millionths.
        anomaly_micro: int64[k], millionths, `NO_SCORE` for NaN.
        by_model: uint8[k], what model and policy decide, index into `models.decision.OUTCOMES`.
        outcome: uint8[k], as published: what the breaker makes of that.
        expected_loss_minor: int64[k].
    """

    rows: NDArray[np.intp]
    features: NDArray[np.float32]
    score: NDArray[np.float64]
    anomaly: NDArray[np.float64]
    tails: NDArray[np.float64] | None
    score_micro: NDArray[np.int64]
    anomaly_micro: NDArray[np.int64]
    by_model: NDArray[np.uint8]
    outcome: NDArray[np.uint8]
    expected_loss_minor: NDArray[np.int64]


def reasons_of(model: ModelInForce, scores: Scores) -> tuple[list[bytes], list[str]]:
    """JSON of the reasons of each judged event, an empty list where it is approved; first codes of the others.

    They are the reasons of what the model decides, also where the breaker put something milder in its place.
    """
    texts = [b"[]"] * len(scores.rows)
    explained = np.flatnonzero(scores.by_model)  # everything but approve
    if not len(explained):
        return texts, []
    values = scores.features[explained]
    events = Explained(
        values=values,
        contributions=model.scorer.contributions(values).values,
        outcome=scores.by_model[explained],
        score=scores.score[explained],
        anomaly=scores.anomaly[explained],
        tails=None if scores.tails is None else scores.tails[explained],
    )
    reasons = model.explainer.reasons(events, model.policy)
    for place, given in zip(explained.tolist(), reasons, strict=True):
        texts[place] = _encode(given)
    return texts, [given[0].code for given in reasons]


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
