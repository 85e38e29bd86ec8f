"""Reasons of one event as they are defined, step by step: what the compiled and prepared ones are compared with."""

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.feature import Feature, FeatureSet
from features.records import Reason
from features.windows import WINDOW_TEXTS
from models.decision import OUTCOMES
from models.elementary import exp
from models.leading_codes import MOST_REASONS, SMALLEST_CONTRIBUTION
from models.policy import Policy
from models.reason_codes import ANOMALY, GENERAL, REASON_CODES, UNUSUAL
from models.reasons import Tail
from models.wording import Money, number_text, value_text

_STEP_UP = OUTCOMES.index("step_up")


def reasons_for(
    feature_set: FeatureSet,
    baselines: NDArray[np.float64],
    values: NDArray[np.float32],
    contributions: NDArray[np.float64],
    *,
    outcome: int,
    score: float,
    anomaly: float,
    policy: Policy,
    money: Money,
    tails: Sequence[Tail] = (),
) -> list[Reason]:
    """The reasons of one event, strongest first.

    Features that raise the score are grouped by reason code: a code counts with the sum of its features' positive
    contributions and is told by the strongest of them. Ties keep the order of the features. What kind of event it is
    (CTX01) is a reason only where there is no other. A step-up that the anomaly score asks for begins with that, and
    with the inputs that are far out if the detector can tell; their contribution is 0 because the detector is no part
    of the score, and the model does not tell the same feature again. Where nothing else is to be said (the amount at
    stake alone decided) there is one general reason.

    Args:
        feature_set: declarations, in column order.
        baselines: float64[f], median of each feature over legitimate training events, NaN where there is none.
        values: float32[f], the event's features as served.
        contributions: float64[f], log-odds that each feature adds to the raw score.
        outcome: index into `models.decision.OUTCOMES`.
        score: probability of fraud as published.
        anomaly: anomaly score as published, NaN where the detector is not yet warm.
        policy: what was in force.
        money: base currency, for the texts.
        tails: inputs of the detector that are far out, see `leading_tails`.

    Returns:
        1 to 4 reasons; numbers rounded to 6 significant digits, None for a value or a baseline that is not known.
    """
    reasons = []
    threshold = policy.anomaly_step_up_at
    if outcome == _STEP_UP and threshold is not None and anomaly >= threshold:
        reasons.append(_score_reason(ANOMALY, "anomaly", anomaly, threshold))
        reasons += [_tail_reason(feature_set, baselines, values, tail, money) for tail in tails]
    named = {reason.feature for reason in reasons}

    totals: dict[str, float] = {}
    speakers: dict[str, int] = {}
    added: list[float] = contributions.tolist()
    for column, feature in enumerate(feature_set.features):
        contribution = added[column]
        if contribution > 0.0:
            code = feature.reason_code
            totals[code] = totals.get(code, 0.0) + contribution
            if code not in speakers or contribution > added[speakers[code]]:
                speakers[code] = column
    strongest = sorted(
        (
            code
            for code in totals
            if totals[code] >= SMALLEST_CONTRIBUTION and feature_set.names[speakers[code]] not in named
        ),
        key=lambda code: (-totals[code], speakers[code]),
    )
    telling = [code for code in strongest if not REASON_CODES[code].only_if_alone]
    told = (telling if telling or reasons else strongest)[: MOST_REASONS - len(reasons)]
    reasons += [_feature_reason(feature_set, baselines, values, speakers[code], totals[code], money) for code in told]
    return reasons or [_score_reason(GENERAL, "score", score, None)]


def _score_reason(code: str, name: str, value: float, baseline: float | None) -> Reason:
    """A reason that is about the whole event and not about one feature."""
    text = REASON_CODES[code].template(name, "score", value).format(value=number_text(value))
    return Reason(
        code=code,
        feature=name,
        value=_six_digits(value),
        baseline=None if baseline is None else _six_digits(baseline),
        contribution=0.0,
        text=text,
    )


def _feature_reason(
    feature_set: FeatureSet,
    baselines: NDArray[np.float64],
    values: NDArray[np.float32],
    column: int,
    contribution: float,
    money: Money,
) -> Reason:
    """The reason that one feature tells on behalf of its code."""
    feature = feature_set.features[column]
    value = float(values[column])
    own = math.nan  # the account's own usual value
    if feature.usual is not None:
        name, scale = feature.usual
        own = float(values[feature_set.index[name]]) * scale
    baseline = float(baselines[column]) if math.isnan(own) else own
    if math.isnan(value):
        text = f"{feature.definition}: not known ({feature.nan})"
    else:
        text = _text(feature, value, _usual_text(feature_set, feature, own, baseline, money), money)
    return Reason(
        code=feature.reason_code,
        feature=feature.name,
        value=_known(value),
        baseline=_known(baseline),
        contribution=_six_digits(contribution),
        text=text,
    )


def _tail_reason(
    feature_set: FeatureSet, baselines: NDArray[np.float64], values: NDArray[np.float32], tail: Tail, money: Money
) -> Reason:
    """What the feature's own code would tell, and how rare that is."""
    told = _feature_reason(feature_set, baselines, values, tail.column, 0.0, money)
    share = exp(-abs(tail.depth))
    share_text = f"{100.0 * share:.2g}%" if share >= 0.0001 else "less than 0.01%"
    text = REASON_CODES[UNUSUAL].analyst["high" if tail.depth > 0.0 else "low"]
    return msgspec.structs.replace(told, code=UNUSUAL, text=text.format(told=told.text, share=share_text))


def _text(feature: Feature, value: float, usual: str, money: Money) -> str:
    """The registered analyst text, filled in."""
    words = value_text(value, feature.unit, feature.name, money)
    one = words == "1"
    return (
        REASON_CODES[feature.reason_code]
        .template(feature.name, feature.unit, value)
        .format(
            value=words,
            percent=f"{value:.0%}",
            s="" if one else "s",
            es="" if one else "es",
            ies="y" if one else "ies",
            window="" if feature.window is None else WINDOW_TEXTS[feature.window],
            definition=feature.definition,
            usual=usual,
        )
    )


def _usual_text(feature_set: FeatureSet, feature: Feature, own: float, baseline: float, money: Money) -> str:
    """ ", usually 0.4", ", 8 in 30 days" (a longer window told as it is) or ", across accounts typically 2"."""
    if math.isnan(baseline):
        return ""
    words = value_text(baseline, feature.unit, feature.name, money)
    if math.isnan(own) or feature.usual is None:
        return f", across accounts typically {words}"
    name, scale = feature.usual
    window = feature_set.features[feature_set.index[name]].window
    if scale == 1.0 and feature.window is not None and window is not None:
        return f", {words} in {WINDOW_TEXTS[window]}"
    return f", usually {words}"


def _six_digits(value: float) -> float:
    return float(f"{value:.6g}")


def _known(value: float) -> float | None:
    return None if math.isnan(value) else _six_digits(value)
