"""The catalogue as a page for people: ``python -m features.catalogue_docs > docs/features.md``."""

import math
import sys

from features.catalogue import FEATURES
from features.feature import Feature, FeatureSet

_GROUPS: dict[str, str] = {
    "CTX": "The event itself",
    "TIM": "Local time",
    "AMT": "Amounts",
    "VEL": "Velocity",
    "DEC": "Declined payments",
    "ATO": "Logins and profile changes",
    "DIV": "Distinct entities",
    "NEW": "Entities new to the account",
    "REC": "Time since",
    "GEO": "Position",
    "ACC": "The account's whole past",
    "ENT": "Entities, by what many accounts together show",
}
"""Letters of a reason code to the heading under which its features are listed, in the order of the page."""

_UNITS: dict[str, str] = {"minor": "minor units of the base currency", "std": "standard deviations", "s": "seconds"}
"""Units that read better in words; others are printed as they are."""

_INTRODUCTION = """\
# Features

<!-- Generated from features/catalogue.py: python -m features.catalogue_docs > docs/features.md -->

{count} features, version {version} of the set. A model is trained on exactly one set and refuses any other; this one is
`{hash}`.

For an event at time t, window W holds the account's events that arrived before it and whose time lies in (t - W, t].
The event itself is never inside. Events of the same millisecond that arrived earlier are; a late event is judged as of
its own time. Payments count with all attempts, declined ones included. Counts and sums over nothing are 0, everything
else over nothing is NaN: a model must see "not known", not "zero". Features are float32, rounded once from float64.

An account's 256 most recent events, at least, are held one by one and every window over them is exact. What is older is
held in tiles of an hour or a day: a window whose far edge cuts a tile takes the whole tile, and the verdict carries the
flag `approximate`.

What many accounts together show of an entity is worked out beside the engine ([entities.md](entities.md)). An event
knows it as far as the log before it says so, by a marker; a window of such a feature ends with the event's time, too.
"""


def markdown(feature_set: FeatureSet = FEATURES) -> str:
    """The page: one table for each group of reason codes, features in the order of the catalogue.

    Raises:
        AssertionError: a feature's reason code belongs to no group of this page; give it one in `_GROUPS`.

    >>> markdown().splitlines()[0]
    '# Features'
    """
    prefixes = {feature.reason_code.rstrip("0123456789") for feature in feature_set.features}
    assert prefixes <= _GROUPS.keys(), f"give {sorted(prefixes - _GROUPS.keys())} a heading in {__name__}"
    page = [
        _INTRODUCTION.format(count=len(feature_set), version=feature_set.version, hash=feature_set.hash),
    ]
    for prefix, heading in _GROUPS.items():
        rows = [_row(feature) for feature in feature_set.features if feature.reason_code.startswith(prefix)]
        if rows:
            page += [
                f"## {heading}",
                "",
                "| name | definition | unit | range | NaN when | reason code |",
                "|---|---|---|---|---|---|",
                *rows,
                "",
            ]
    return "\n".join(page).rstrip() + "\n"


def _row(feature: Feature) -> str:
    cells = (
        f"`{feature.name}`",
        feature.definition,
        _UNITS.get(feature.unit, feature.unit),
        _range(feature.low, feature.high),
        feature.nan or "never",
        feature.reason_code,
    )
    return f"| {' | '.join(cells)} |"


def _range(low: float, high: float) -> str:
    """In words, since a page may not know what infinity means for a count.

    >>> _range(0, 23), _range(0, math.inf), _range(-math.inf, math.inf)
    ('0 to 23', '0 or more', 'any')
    """
    if math.isinf(low) and math.isinf(high):
        return "any"
    if math.isinf(high):
        return f"{low:g} or more"
    return f"{low:g} to {high:g}"


if __name__ == "__main__":
    sys.stdout.write(markdown())
