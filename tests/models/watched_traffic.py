"""Traffic as telemetry shows it, from a seed: a daily course, hours that vary more than chance, and planted trouble."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.bins import SCORE_EDGES_MICRO, count_scores, score_micro
from models.minutes import MINUTE_MS, Minute
from models.reference import Reference, reference_of
from models.summary import Counts

MODEL = "0123456789abcdef"
WEEK_MINUTES = 7 * 24 * 60
FEATURES = ("amount", "ratio", "count", "is_new", "distance", "constant")
SHARES = np.array([0.955, 0.025, 0.012, 0.008])
BIN_MICRO = np.concatenate([[3], (SCORE_EDGES_MICRO[:-1] + SCORE_EDGES_MICRO[1:]) // 2, [999_995]])


def feature_rows(rows: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Values of six features of different kinds, a third of the distances missing."""
    distance = random.gamma(0.5, 100.0, rows)
    distance[random.random(rows) < 0.33] = np.nan
    columns = [
        random.lognormal(3.0, 1.0, rows),
        random.normal(0.0, 1.0, rows),
        random.poisson(2.0, rows),
        random.random(rows) < 0.02,
        distance,
        np.ones(rows),
    ]
    return np.column_stack(columns).astype(np.float32)


def scores(rows: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Calibrated-looking scores: most far below 1 per cent."""
    return np.clip(1.0 / (1.0 + np.exp(-random.normal(-5.5, 1.3, rows))), 1e-6, 1.0 - 1e-6)


def training(rows: int = 40_000, seed: int = 100) -> Reference:
    random = np.random.default_rng(seed)
    outcome = random.choice(4, rows, p=SHARES).astype(np.uint8)
    return reference_of(FEATURES, feature_rows(rows, random), scores(rows, random), outcome)


def _shares(counts: tuple[int, ...]) -> NDArray[np.float64]:
    return np.array(counts) / sum(counts)


def _moved_up(counts: list[int], by: int) -> list[int]:
    """Every value some bins higher; those that would leave are in the highest."""
    moved = [0] * len(counts)
    for place, count in enumerate(counts):
        moved[min(place + by, len(counts) - 1)] += count
    return moved


@dataclass
class Traffic:
    """One minute after the other.

    Attributes:
        seed: of everything random.
        one_in: of how many events one is sampled.
        volume: times as many events.
        alerts: times as many that are not approved.
        nulls: feature to the share of its values that is lost.
        shift: feature to the bins by which its values move up.
    """

    seed: int
    one_in: int = 8
    volume: float = 1.0
    alerts: float = 1.0
    nulls: dict[str, float] = field(default_factory=dict)
    shift: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        self.reference = training()
        self._scores = _shares(tuple(count_scores(score_micro(scores(200_000, np.random.default_rng(100)))).tolist()))
        self._hour, self._mood = -1, np.ones(4)

    def minute(self, minute_ms: int, minutes: int = 1) -> Minute:
        """What came in the minute, or in that many minutes at once."""
        of_day = minute_ms % 86_400_000 / 86_400_000
        rate = 600.0 * minutes * self.volume * (1.0 + 0.6 * np.sin(2.0 * np.pi * (of_day - 0.4)))
        if minute_ms // 3_600_000 != self._hour:
            self._hour = minute_ms // 3_600_000
            self._mood = self.random.lognormal(0.0, 0.03, 4)
        shares = SHARES * self._mood * np.array([1.0, *(self.alerts * (1.0 + 0.3 * np.sin(2.0 * np.pi * of_day)),) * 3])
        shares[0] = 1.0 - shares[1:].sum()
        verdicts = int(self.random.poisson(rate))
        approve, step_up, review, decline = self.random.multinomial(verdicts, shares).tolist()
        score_counts = self.random.multinomial(verdicts, self._scores)
        sampled = int(self.random.binomial(verdicts, 1.0 / self.one_in))
        bins, missing = [], []
        for feature in self.reference.features:
            lost = feature.missing_share + (1.0 - feature.missing_share) * self.nulls.get(feature.name, 0.0)
            without = int(self.random.binomial(sampled, lost))
            seen = self.random.multinomial(sampled - without, _shares(feature.counts))
            bins.append(tuple(_moved_up(seen.tolist(), self.shift.get(feature.name, 0))))
            missing.append(without)
        counts = Counts(
            decisions=(approve, step_up, review, decline),
            scores=tuple(score_counts.tolist()),
            score_sum_micro=int((score_counts * BIN_MICRO).sum()),
            sampled=sampled,
            bins=tuple(bins),
            missing=tuple(missing),
        )
        return Minute(minute_ms=minute_ms, model=MODEL, counts=counts)


def minutes_from(start_ms: int, count: int) -> range:
    """Beginnings of that many minutes."""
    return range(start_ms, start_ms + count * MINUTE_MS, MINUTE_MS)
