"""How long a verdict takes: its record's timestamp minus its event's, for a sample of the newest verdicts. Pure."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

KEPT_MS: Final = 3_600_000
STEP_MS: Final = 10_000


class Landed(NamedTuple):
    """A verdict that was published: the place of its event, and when the topic took it."""

    partition: int
    event_offset: int
    published_ms: int


class LatencyStep(NamedTuple):
    """Latencies of a sample within ten seconds, milliseconds."""

    start_ms: int
    samples: int
    median_ms: float
    p99_ms: float


def latencies(landed: Sequence[Landed], taken_ms: Mapping[int, int]) -> list[tuple[int, int]]:
    """(moment of the verdict, milliseconds since its event was taken) of those whose event was read.

    Args:
        landed: verdicts of one partition.
        taken_ms: offset of an event to when the log took it.

    >>> latencies([Landed(0, 5, 1_045), Landed(0, 6, 1_050)], {5: 1_000})
    [(1045, 45)]
    """
    return [
        (one.published_ms, max(0, one.published_ms - taken_ms[one.event_offset]))
        for one in landed
        if one.event_offset in taken_ms
    ]


def percentile(values: Sequence[int], share: float) -> float:
    """The nearest-rank percentile of at least one value.

    >>> percentile([10, 20, 30, 40], 0.5), percentile([10, 20, 30, 40], 0.99)
    (20.0, 40.0)
    """
    ordered = sorted(values)
    return float(ordered[max(0, -(-int(share * 10_000) * len(ordered) // 10_000) - 1)])


class LatencyBook:
    """An hour of samples."""

    def __init__(self) -> None:
        self._samples: deque[tuple[int, int]] = deque(maxlen=100_000)

    def take(self, samples: Sequence[tuple[int, int]]) -> None:
        """Samples as `latencies` gives them."""
        self._samples.extend(samples)

    def steps(self, from_ms: int, to_ms: int) -> list[LatencyStep]:
        """By ten seconds, those with a sample; earliest first."""
        by_step: dict[int, list[int]] = {}
        for at_ms, took_ms in self._samples:
            if from_ms <= at_ms < to_ms:
                by_step.setdefault(at_ms // STEP_MS * STEP_MS, []).append(took_ms)
        return [
            LatencyStep(start, len(took), percentile(took, 0.5), percentile(took, 0.99))
            for start, took in sorted(by_step.items())
        ]

    def over(self, from_ms: int, to_ms: int) -> LatencyStep | None:
        """All samples of a stretch of time as one; None without any."""
        took = [took_ms for at_ms, took_ms in self._samples if from_ms <= at_ms < to_ms]
        return LatencyStep(from_ms, len(took), percentile(took, 0.5), percentile(took, 0.99)) if took else None
