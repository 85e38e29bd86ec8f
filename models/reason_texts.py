"""The reason that one feature tells: its value, what is usual, and one line for an analyst.

Everything that a reason takes from the feature alone is looked up once, when the model is opened.
"""

import math
from collections.abc import Callable
from string import Formatter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.feature import Feature, FeatureSet
from features.records import Reason
from features.windows import WINDOW_TEXTS
from models.reason_codes import REASON_CODES
from models.wording import Money, words_of

_PLURALS = {"s": "s", "es": "es", "ies": "ies"}
_SINGULARS = {"s": "", "es": "", "ies": "y"}
_POWERS = {exponent: 10.0 ** (5 - exponent) for exponent in range(-4, 6)}


class _Sentence(NamedTuple):
    """A registered text with everything filled in but the value.

    Attributes:
        before: what stands before the value, or the whole text if it does not tell the value.
        after: what stands behind a value.
        after_one: what stands behind a value of 1.
        tells_value: whether it has the value in words.
        tells_percent: whether it has the value as a percentage.
        tells_usual: whether it ends with what is usual.
    """

    before: str
    after: str
    after_one: str
    tells_value: bool
    tells_percent: bool
    tells_usual: bool


class _Column(NamedTuple):
    """What is known of a feature before its value is.

    Attributes:
        name: of the feature.
        code: its reason code.
        sentence: for a value other than 0.
        sentence_of_zero: for 0.
        unknown: the text where the value is not known.
        words: puts a value into words.
        baseline: median of legitimate events, NaN where there is none.
        own: where the account's own usual value stands, -1: there is none.
        own_scale: what that is multiplied by.
        own_before: what stands before the own usual value in words.
        own_after: what stands behind it.
    """

    name: str
    code: str
    sentence: _Sentence
    sentence_of_zero: _Sentence
    unknown: str
    words: Callable[[float], str]
    baseline: float
    own: int
    own_scale: float
    own_before: str
    own_after: str


class FeatureReasons:
    """What the features of one model tell.

    Args:
        feature_set: declarations, in column order.
        baselines: float64[f], median of each feature over legitimate training events, NaN where there is none.
        money: base currency.
    """

    def __init__(self, feature_set: FeatureSet, baselines: NDArray[np.float64], money: Money) -> None:
        self._feature_set = feature_set
        self._columns = [
            _column(feature_set, feature, baseline, money)
            for feature, baseline in zip(feature_set.features, baselines.tolist(), strict=True)
        ]

    def reason_of(self, values: NDArray[np.float32], name: str) -> Reason:
        """What the feature of that name tells where no model counts."""
        return self.reason(values, self._feature_set.index[name], 0.0)

    def reason(self, values: NDArray[np.float32], column: int, contribution: float) -> Reason:
        """What the feature of that column tells on behalf of its code.

        Args:
            values: float32[f], the event's features as served.
            column: of the feature.
            contribution: of the code, in log-odds.
        """
        known = self._columns[column]
        baseline, own, words = known.baseline, known.own, known.words
        value = values.item(column)
        usual_before, usual_after = ", across accounts typically ", ""
        if own >= 0:
            usual = values.item(own) * known.own_scale
            if not math.isnan(usual):
                baseline, usual_before, usual_after = usual, known.own_before, known.own_after
        is_usual_known = not math.isnan(baseline)
        is_known = not math.isnan(value)
        text = known.unknown
        if is_known:
            before, after, after_one, tells_value, tells_percent, tells_usual = (
                known.sentence if value != 0.0 else known.sentence_of_zero
            )
            text = before
            if tells_value:
                told = words(value)
                text = f"{before}{told}{after_one if told == '1' else after}"
            elif tells_percent:
                text = f"{before}{value:.0%}{after}"
            if tells_usual and is_usual_known:
                text = f"{text}{usual_before}{words(baseline)}{usual_after}"
        return Reason(
            code=known.code,
            feature=known.name,
            value=six_digits(value) if is_known else None,
            baseline=six_digits(baseline) if is_usual_known else None,
            contribution=six_digits(contribution),
            text=text,
        )


def _column(feature_set: FeatureSet, feature: Feature, baseline: float, money: Money) -> _Column:
    own, own_scale, own_before, own_after = -1, 1.0, ", usually ", ""
    if feature.usual is not None:
        name, own_scale = feature.usual
        own = feature_set.index[name]
        window = feature_set.features[own].window
        if own_scale == 1.0 and feature.window is not None and window is not None:  # a longer window, told as it is
            own_before, own_after = ", ", f" in {WINDOW_TEXTS[window]}"
    registered = REASON_CODES[feature.reason_code]
    return _Column(
        name=feature.name,
        code=feature.reason_code,
        sentence=_sentence(registered.template(feature.name, feature.unit, 1.0), feature),
        sentence_of_zero=_sentence(registered.template(feature.name, feature.unit, 0.0), feature),
        unknown=f"{feature.definition}: not known ({feature.nan})",
        words=words_of(feature.unit, feature.name, money),
        baseline=baseline,
        own=own,
        own_scale=own_scale,
        own_before=own_before,
        own_after=own_after,
    )


def _sentence(template: str, feature: Feature) -> _Sentence:
    """Fill in what does not depend on the value.

    Raises:
        AssertionError: the text tells the value twice, a plural without a value in words, or anything behind what is
            usual.
    """
    body, usual, rest = template.partition("{usual}")
    fields = [field for _, field, _, _ in Formatter().parse(body) if field is not None]
    told = [field for field in fields if field in ("value", "percent")]
    assert not rest, f"{feature.reason_code}: expected {{usual}} at the end, got {template!r}"
    assert len(told) <= 1, f"{feature.reason_code}: expected the value once, got {template!r}"
    assert told == ["value"] or not _PLURALS.keys() & set(fields), (
        f"{feature.reason_code}: expected {{value}} beside a plural ending, got {template!r}"
    )
    before, _, after = body.partition(f"{{{told[0]}}}") if told else (body, "", "")
    fixed = {
        "window": "" if feature.window is None else WINDOW_TEXTS[feature.window],
        "definition": feature.definition,
    }
    return _Sentence(
        before=before.format(**fixed, **_PLURALS),
        after=after.format(**fixed, **_PLURALS),
        after_one=after.format(**fixed, **_SINGULARS),
        tells_value=told == ["value"],
        tells_percent=told == ["percent"],
        tells_usual=usual != "",
    )


def six_digits(value: float) -> float:
    """The number to 6 significant digits, as ``float(f"{value:.6g}")``.

    Of usual size it is moved by a power of ten and rounded to a whole number. Both that number and the power are exact,
    so that their quotient is the float64 nearest to the decimal number. The move may round: where that could matter,
    near a half, the digits decide.

    >>> six_digits(12345.678), six_digits(7.0), six_digits(1e300 / 3)
    (12345.7, 7.0, 3.33333e+299)
    """
    size = abs(value)
    if 0.001 <= size < 999_999.0:
        power = _POWERS[math.floor(math.log10(size))]
        moved = value * power
        whole = round(moved)
        if abs(moved - whole) < 0.499 and 100_000 <= abs(whole) < 1_000_000:
            return whole / power
    return float(f"{value:.6g}")
