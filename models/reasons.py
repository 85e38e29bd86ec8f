"""From a model's contributions to the few reasons that a verdict gives."""

from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.feature import FeatureSet
from features.records import Reason
from models.decision import OUTCOMES
from models.elementary import exp
from models.leading_codes import leading_codes
from models.policy import Policy
from models.reason_codes import ANOMALY, GENERAL, REASON_CODES, UNUSUAL
from models.reason_texts import FeatureReasons, six_digits
from models.tail_kernels import IN_TAIL
from models.wording import Money, number_text

MOST_TAILS = 2
"""So many of them say what the detector found unusual: the others stay for what the model found."""

_STEP_UP = OUTCOMES.index("step_up")


class Tail(NamedTuple):
    """An input of the online detector that is far out.

    Attributes:
        column: of the feature.
        depth: -ln of the share of recent events that lie as far out; negative where the value is low.
    """

    column: int
    depth: float


def leading_tails(tails: NDArray[np.float64] | None, row: int, columns: NDArray[np.int64]) -> list[Tail]:
    """The inputs of a row that are farthest out, at most `MOST_TAILS`, the farthest first; ties keep their order.

    Args:
        tails: float64 (n, k), see `models.detector.Anomalies`; None from a detector that cannot tell.
        row: which of the n.
        columns: int64 (k,), columns of the inputs in the feature set.
    """
    if tails is None:
        return []
    inputs = zip(columns.tolist(), tails[row].tolist(), strict=True)
    far_out = [Tail(column, depth) for column, depth in inputs if abs(depth) > IN_TAIL]
    return sorted(far_out, key=lambda tail: -abs(tail.depth))[:MOST_TAILS]


class Explained(NamedTuple):
    """Events that are not approved, and what was found out about them.

    Attributes:
        values: float32[n, f], features as served.
        contributions: float64[n, f], log-odds that each feature adds to the raw score.
        outcome: uint8[n], index into `models.decision.OUTCOMES`.
        score: float64[n], probability of fraud as published.
        anomaly: float64[n], as published, NaN where the detector is not yet warm.
        tails: float64[n, k], see `models.detector.Anomalies`; None from a detector that cannot tell.
        detector_columns: int64[k], columns of the detector's inputs; the detector need not be the model's own.
    """

    values: NDArray[np.float32]
    contributions: NDArray[np.float64]
    outcome: NDArray[np.uint8]
    score: NDArray[np.float64]
    anomaly: NDArray[np.float64]
    tails: NDArray[np.float64] | None
    detector_columns: NDArray[np.int64]


class Explainer:
    """Gives the reasons of one model.

    Args:
        feature_set: declarations, in column order.
        baselines: float64[f], median of each feature over legitimate training events, NaN where there is none.
        money: base currency, for the texts.

    Attributes:
        told: what each feature tells.
    """

    def __init__(self, feature_set: FeatureSet, baselines: NDArray[np.float64], money: Money) -> None:
        self.told = FeatureReasons(feature_set, baselines, money)
        codes, code_of_column = np.unique(
            [feature.reason_code for feature in feature_set.features], return_inverse=True
        )
        self._code_of_column = code_of_column.astype(np.int64)
        self._only_if_alone = np.array([REASON_CODES[code].only_if_alone for code in codes.tolist()], dtype=np.bool_)

    def reasons(self, events: Explained, policy: Policy) -> list[list[Reason]]:
        """1 to 4 reasons of each event, strongest first; their numbers have 6 significant digits.

        Features that raise the score are grouped by reason code, see `models.leading_codes`. What kind of event it is
        (CTX01) is a reason only where there is no other. A step-up that the anomaly score asks for begins with that,
        and with the inputs that are far out if the detector can tell; their contribution is 0 because the detector is
        no part of the score, and the model does not tell the same feature again. Where nothing else is to be said (the
        amount at stake alone decided) there is one general reason.
        """
        reasons: list[list[Reason]] = [[] for _ in events.score]
        told_before = np.zeros(len(reasons), dtype=np.int64)
        already_told = np.full((len(reasons), MOST_TAILS), -1, dtype=np.int64)
        threshold = policy.anomaly_step_up_at
        if threshold is not None:
            for row in np.flatnonzero((events.outcome == _STEP_UP) & (events.anomaly >= threshold)).tolist():
                reasons[row].append(_score_reason(ANOMALY, "anomaly", float(events.anomaly[row]), threshold))
                tails = leading_tails(events.tails, row, events.detector_columns)
                reasons[row] += [self._tail_reason(events.values[row], tail) for tail in tails]
                told_before[row] = 1 + len(tails)
                already_told[row, : len(tails)] = [tail.column for tail in tails]
        speakers, sums = leading_codes(
            events.contributions, self._code_of_column, self._only_if_alone, told_before, already_told
        )
        leading = zip(reasons, events.values, speakers.tolist(), sums.tolist(), events.score.tolist(), strict=True)
        for given, values, columns, totals, score in leading:
            for column, total in zip(columns, totals, strict=True):
                if column >= 0:
                    given.append(self.told.reason(values, column, total))
            if not given:
                given.append(_score_reason(GENERAL, "score", score, None))
        return reasons

    def _tail_reason(self, values: NDArray[np.float32], tail: Tail) -> Reason:
        """What the feature's own code would tell, and how rare that is."""
        told = self.told.reason(values, tail.column, 0.0)
        share = exp(-abs(tail.depth))
        share_text = f"{100.0 * share:.2g}%" if share >= 0.0001 else "less than 0.01%"
        text = REASON_CODES[UNUSUAL].analyst["high" if tail.depth > 0.0 else "low"]
        return msgspec.structs.replace(told, code=UNUSUAL, text=text.format(told=told.text, share=share_text))


def _score_reason(code: str, name: str, value: float, baseline: float | None) -> Reason:
    """A reason that is about the whole event and not about one feature."""
    text = REASON_CODES[code].template(name, "score", value).format(value=number_text(value))
    return Reason(
        code=code,
        feature=name,
        value=six_digits(value),
        baseline=None if baseline is None else six_digits(baseline),
        contribution=0.0,
        text=text,
    )
