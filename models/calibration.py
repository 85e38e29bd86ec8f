"""From a model's raw score (a log-odds) to a probability that can be multiplied with money.

A boosted model ranks well but its log-odds are off once it is stopped early or drifts; a cost policy needs p to mean
"of events scored p, a share p is fraud". Two or three parameters are fitted on events that the model never saw.
"""

from typing import Annotated, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled
from models.elementary import exp, log1p

LOWEST_SCORE = 1e-6
"""Scores are clipped to [LOWEST_SCORE, 1 - LOWEST_SCORE]: six published digits never say that fraud is impossible."""

_LARGEST_RAW = 40.0  # beyond it the clip decides anyway
_NEWTON_STEPS = 100
_SMALLEST_STEP = 1e-10


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Monotone map from a raw log-odds z to a probability.

    With s = 1 / (1 + e**-z) the calibrated log-odds are
    ``low_slope * ln(s) - high_slope * ln(1 - s) + intercept``. Equal slopes are Platt scaling of z, separate ones are
    beta calibration (Kull, Silva Filho and Flach, 2017), 1, 1 and 0 are the identity.

    Attributes:
        kind: how the numbers came about.
        low_slope: slope of the log-odds where z is very negative.
        high_slope: slope of the log-odds where z is very positive.
        intercept: shift of the log-odds.
        kept_negative_share: share of legitimate training events that was kept when they were downsampled; the odds are
            multiplied by it, so that probabilities mean the stream and not the sample.

    >>> identity = Calibration(kind="none")
    >>> identity.apply(np.array([0.0, -40.0, 40.0])).round(6).tolist()
    [0.5, 1e-06, 0.999999]
    """

    kind: Literal["none", "platt", "beta"]
    low_slope: Annotated[float, msgspec.Meta(ge=0.0)] = 1.0
    high_slope: Annotated[float, msgspec.Meta(ge=0.0)] = 1.0
    intercept: float = 0.0
    kept_negative_share: Annotated[float, msgspec.Meta(gt=0.0, le=1.0)] = 1.0

    def apply(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities float64[n] in [1e-6, 1 - 1e-6] of raw log-odds float64[n]; rounding is left to the caller.

        Each row depends on itself alone, and the bits are the same on every machine (`models/elementary.py`): a
        verdict that is computed again elsewhere has to be the same bytes.
        """
        score = np.empty(len(raw), dtype=np.float64)
        _apply(self.low_slope, self.high_slope, self.intercept, self.kept_negative_share, raw, score)
        return score


def fit_platt(raw: NDArray[np.float64], labels: NDArray[np.uint8], *, kept_negative_share: float = 1.0) -> Calibration:
    """Fit slope and intercept of the log-odds (Platt, 1999): robust with few frauds.

    Args:
        raw: float64[n], the model's log-odds of events it was not trained on.
        labels: uint8[n], 1 = fraud.
        kept_negative_share: see `Calibration`; give it if these rows were downsampled too.

    Raises:
        ValueError: only one class among the labels, or the model ranks these events backwards.
    """
    slope, intercept = _fit([raw], labels)
    if slope <= 0.0:
        raise ValueError(f"expected frauds to score higher than legitimate events, got a slope of {slope:.3g}")
    return Calibration(
        kind="platt",
        low_slope=slope,
        high_slope=slope,
        intercept=intercept,
        kept_negative_share=kept_negative_share,
    )


def fit_beta(raw: NDArray[np.float64], labels: NDArray[np.uint8], *, kept_negative_share: float = 1.0) -> Calibration:
    """Fit separate slopes for low and high scores: better than Platt with some hundred frauds and more.

    A slope that comes out negative is set to 0 and the other fitted again, so that the map stays monotone.
    Arguments and errors are those of `fit_platt`.
    """
    shared = np.log1p(np.exp(-np.abs(raw)))  # ln(1 + e**-|z|)
    low = -(shared + np.maximum(-raw, 0.0))  # ln(s)
    high = shared + np.maximum(raw, 0.0)  # -ln(1 - s)
    low_slope, high_slope, intercept = _fit([low, high], labels)
    if low_slope < 0.0:
        low_slope, (high_slope, intercept) = 0.0, _fit([high], labels)
    elif high_slope < 0.0:
        high_slope, (low_slope, intercept) = 0.0, _fit([low], labels)
    if low_slope + high_slope <= 0.0:
        raise ValueError("expected frauds to score higher than legitimate events, got the opposite order")
    return Calibration(
        kind="beta",
        low_slope=low_slope,
        high_slope=high_slope,
        intercept=intercept,
        kept_negative_share=kept_negative_share,
    )


def _fit(columns: list[NDArray[np.float64]], labels: NDArray[np.uint8]) -> list[float]:
    """Logistic regression by Newton's method: one slope per column, then the intercept.

    Targets are Platt's (a little inside 0 and 1) and each slope has a prior of 1 with the weight of one observation, so
    that separable and constant columns have an answer too. The result is rounded to 9 significant digits, so that the
    last bits of a machine's sums do not show in an artefact.
    """
    frauds = int(labels.sum())
    legitimate = len(labels) - frauds
    if frauds == 0 or legitimate == 0:
        raise ValueError(f"expected frauds and legitimate events, got {frauds} and {legitimate}")
    targets = np.where(labels == 1, (frauds + 1.0) / (frauds + 2.0), 1.0 / (legitimate + 2.0))
    design = np.column_stack(
        [*(np.clip(column, -_LARGEST_RAW, _LARGEST_RAW) for column in columns), np.ones(len(labels))]
    )
    prior = np.ones(design.shape[1])
    prior[-1] = 0.0

    def loss(weights: NDArray[np.float64]) -> float:
        log_odds = design @ weights
        distance = float((prior * (weights - prior) ** 2).sum())
        return float((np.logaddexp(0.0, log_odds) - targets * log_odds).sum()) + 0.5 * distance

    # From slopes of 0, where every row has a say; from slopes of 1 a far-off intercept would leave no curvature.
    weights = np.zeros_like(prior)
    weights[-1] = np.log(targets.mean() / (1.0 - targets.mean()))
    for _ in range(_NEWTON_STEPS):
        probability = np.exp(-np.logaddexp(0.0, -(design @ weights)))
        gradient = design.T @ (probability - targets) + prior * (weights - prior)
        curvature = (design * (probability * (1.0 - probability))[:, None]).T @ design + np.diag(prior)
        step = -np.linalg.solve(curvature, gradient)
        highest = loss(weights) * (1.0 + 1e-12)  # a sum of many rows is not exact to the last bit
        while np.abs(step).max() > _SMALLEST_STEP and loss(weights + step) > highest:
            step *= 0.5  # overshot
        weights = weights + step
        if np.abs(step).max() <= _SMALLEST_STEP:
            break
    return [float(f"{weight:.9g}") for weight in weights]


@compiled
def _apply(
    low_slope: float,
    high_slope: float,
    intercept: float,
    kept_negative_share: float,
    raw: NDArray[np.float64],
    score: NDArray[np.float64],
) -> None:
    for row in range(len(raw)):
        z = min(max(raw[row], -_LARGEST_RAW), _LARGEST_RAW)
        if low_slope == high_slope:
            log_odds = low_slope * z + intercept
        else:
            shared = log1p(exp(-abs(z)))
            log_odds = high_slope * (shared + max(z, 0.0)) - low_slope * (shared + max(-z, 0.0)) + intercept
        log_odds = min(max(log_odds, -_LARGEST_RAW), _LARGEST_RAW)
        probability = 1.0 / (1.0 + exp(-log_odds) / kept_negative_share)
        score[row] = min(max(probability, LOWEST_SCORE), 1.0 - LOWEST_SCORE)
