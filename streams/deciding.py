"""Who decides: the model that the log asks for, the last good one, or the rules of the policy. Pure.

The model that the log asks for is asked in every case: what it would decide is what the watch closes the breaker by.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.columns import NO_SCORE
from models.decision import decide
from models.detector import Anomalies
from models.ruling import Ruling, decide_by_rules
from models.substitution import substituted
from models.watch_limits import LAST_GOOD_MODEL, RULES_ONLY, STEP_UP, InForce
from streams.model_in_force import ModelInForce
from streams.scores import MICRO, NO_LOSS, Scores


class Deciding(NamedTuple):
    """Who decides.

    Attributes:
        acts: what acts; `step_up` also where a last good model is wanted and there is none.
        asked: the model that the log asks for, or the one before it where that could not be opened.
        model: the one whose policy decides and whose name verdicts carry; `asked` unless another stands in.
    """

    acts: InForce
    asked: ModelInForce
    model: ModelInForce

    @property
    def by_rules(self) -> bool:
        """Whether no score counts."""
        return self.acts == RULES_ONLY


def deciding(breaker: InForce, asked: ModelInForce, stand_in: ModelInForce | None) -> Deciding:
    """Who decides under what the log has put in force; `stand_in`: the last good model, if one is wanted and here."""
    if breaker != LAST_GOOD_MODEL:
        return Deciding(breaker, asked, asked)
    return Deciding(STEP_UP, asked, asked) if stand_in is None else Deciding(breaker, asked, stand_in)


def judge(
    who: Deciding,
    rows: NDArray[np.intp],
    features: NDArray[np.float32],
    anomalies: Anomalies,
    amount_minor: NDArray[np.int64],
    kind: NDArray[np.uint8],
) -> Scores:
    """Score and decide the judged rows of a segment.

    Args:
        who: decides.
        rows: intp[k], their places in the segment.
        features: float32[k, f].
        anomalies: of the partition's detector, which is that of the model that the log asks for.
        amount_minor: int64[k], base currency, at that model's rates.
        kind: uint8[k], codes of `features.columns`.
    """
    anomaly = np.round(anomalies.score, 6)
    asked_score = who.asked.scorer.score(features)
    by_asked = decide(who.asked.policy, asked_score, anomaly, amount_minor, kind)
    score, decided, ruling = asked_score, by_asked, None
    if who.by_rules:
        ruling = decide_by_rules(who.model.policy, who.model.feature_set.index, features, amount_minor, kind)
        score = np.full(len(rows), np.nan)
    elif who.model is not who.asked:
        score = who.model.scorer.score(features)
        decided = decide(who.model.policy, score, anomaly, amount_minor, kind)
    return Scores(
        rows=rows,
        features=features,
        kind=kind,
        amount_minor=amount_minor,
        score=score,
        anomaly=anomaly,
        tails=anomalies.tails,
        score_micro=_micro(score),
        anomaly_micro=_micro(anomaly),
        asked_score=asked_score,
        by_asked=by_asked.outcome,
        by_model=decided.outcome,
        ruling=ruling,
        outcome=_outcome(who, decided.outcome, ruling, kind),
        expected_loss_minor=decided.expected_loss_minor if ruling is None else np.full(len(rows), NO_LOSS),
    )


def _outcome(
    who: Deciding, by_model: NDArray[np.uint8], ruling: Ruling | None, kind: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    return substituted(who.acts, who.model.policy, by_model, kind) if ruling is None else ruling.outcome


def _micro(score: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.where(np.isnan(score), NO_SCORE, np.rint(score * MICRO)).astype(np.int64)
