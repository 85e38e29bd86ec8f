"""The features and scores of one judged event for people: what each was, what is usual, and what it added."""

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.wording import value_text
from streams.model_in_force import ModelInForce


class FeatureLine(msgspec.Struct, frozen=True, kw_only=True):
    """One feature as it was served.

    Attributes:
        name: see `docs/features.md`.
        definition: what it is, in one sentence.
        unit: of the numbers.
        value: as served (float32); null if it was not known.
        not_known: why it was not; empty if it was.
        text: the value in words.
        usual: the account's own usual value, where the feature declares one and it is known.
        typical: the median over legitimate training events; null if there is none.
        contribution: what it added to the raw score, in log-odds.
    """

    name: str
    definition: str
    unit: str
    value: float | None
    not_known: str
    text: str
    usual: float | None
    typical: float | None
    contribution: float


class DetectorInput(msgspec.Struct, frozen=True, kw_only=True):
    """One input of the online detector: `value` is mapped from [`low`, `high`] to [0, 1] and cut there."""

    name: str
    value: float | None
    low: float
    high: float


class ScoresView(msgspec.Struct, frozen=True, kw_only=True):
    """From features to the two scores.

    Attributes:
        bias: log-odds before anything is known of the event.
        contributions: sum over all features; bias and this are the raw score, up to rounding.
        raw: the trees' own sum, log-odds.
        calibration: how the raw score becomes a probability.
        score: that probability, 6 digits, as published.
        anomaly: the detector's score as published; null while it is not warm.
        detector: its kind.
        detector_inputs: what it looked at.
    """

    bias: float
    contributions: float
    raw: float
    calibration: dict[str, str | float]
    score: float
    anomaly: float | None
    detector: str
    detector_inputs: list[DetectorInput]


def feature_lines(model: ModelInForce, features: NDArray[np.float32]) -> list[FeatureLine]:
    """Every feature of one event, those that moved the score most first, the others in the order of the set.

    Args:
        model: in force.
        features: float32[f], as served.
    """
    contributions = model.scorer.contributions(features[np.newaxis]).values[0]
    values = features.astype(np.float64)
    lines = []
    for column, feature in enumerate(model.feature_set.features):
        value = float(values[column])
        is_known = not math.isnan(value)
        usual = None
        if feature.usual is not None:
            name, scale = feature.usual
            usual = _known(float(values[model.feature_set.index[name]]) * scale)
        lines.append(
            FeatureLine(
                name=feature.name,
                definition=feature.definition,
                unit=feature.unit,
                value=_known(value),
                not_known="" if is_known else feature.nan,
                text=value_text(value, feature.unit, feature.name, model.money) if is_known else "not known",
                usual=usual,
                typical=_known(float(model.baselines[column])),
                contribution=float(contributions[column]),
            )
        )
    return sorted(lines, key=lambda line: -abs(line.contribution))


def scores_view(
    model: ModelInForce, detecting: ModelInForce, features: NDArray[np.float32], anomaly: float | None
) -> ScoresView:
    """From the features of one event to its scores.

    Args:
        model: that decided.
        detecting: whose detector runs: the same, unless another model stood in for it.
        features: float32[f], as served.
        anomaly: as published.
    """
    row = features[np.newaxis]
    contributions = model.scorer.contributions(row)
    calibration = model.artefact.manifest.calibration
    spec = detecting.detector
    inputs = [
        DetectorInput(name=name, value=_known(float(features[column])), low=low, high=high)
        for name, column, (low, high) in zip(spec.names, detecting.detector_columns.tolist(), spec.limits, strict=True)
    ]
    return ScoresView(
        bias=contributions.bias,
        contributions=float(contributions.values[0].sum()),
        raw=float(model.scorer.raw(row)[0]),
        calibration=msgspec.structs.asdict(calibration),
        score=float(model.scorer.score(row)[0]),
        anomaly=anomaly,
        detector=spec.kind,
        detector_inputs=inputs,
    )


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
