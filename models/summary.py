"""A telemetry summary: what one partition saw and decided in about a second, as counts that add up.

Counts are integers, so summaries of any partitions can be added in any order and give the same totals. A summary is
named by its partition and a number that grows along the partition; `models.minutes` applies each once.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.bins import SCORE_BINS, count_bins, count_scores, score_micro
from models.decision import OUTCOMES

_SPREADING = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: neighbouring offsets land far apart

Count = Annotated[int, msgspec.Meta(ge=0)]


class Counts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What adds up.

    Attributes:
        decisions: verdicts by decision, mildest first, as model and policy have it: while the breaker is open not what
            its action made of them, or nobody could tell when the model is well again.
        published: verdicts by decision, as they were published.
        without_model: verdicts that another model gave, because the one that the log asks for could not be opened.
        scores: scored verdicts in each of the 50 bins of the score.
        score_sum_micro: sum of the scores, in millionths.
        reasons: first reason code of verdicts that have one, to how many.
        flags: flag of a verdict to how many had it.
        sampled: rows of the sample that the next two describe.
        bins: per feature, sampled rows in each of its bins, see `models.bins`; empty without a sample.
        missing: per feature, sampled rows without a value; empty without a sample.
    """

    decisions: tuple[Count, Count, Count, Count] = (0, 0, 0, 0)
    published: tuple[Count, Count, Count, Count] = (0, 0, 0, 0)
    without_model: Count = 0
    scores: Annotated[tuple[Count, ...], msgspec.Meta(min_length=SCORE_BINS, max_length=SCORE_BINS)] = (0,) * SCORE_BINS
    score_sum_micro: Count = 0
    reasons: dict[str, Count] = {}
    flags: dict[str, Count] = {}
    sampled: Count = 0
    bins: tuple[tuple[Count, ...], ...] = ()
    missing: tuple[Count, ...] = ()

    @property
    def verdicts(self) -> int:
        """Verdicts of every decision."""
        return sum(self.decisions)

    @property
    def scored(self) -> int:
        """Verdicts with a score."""
        return sum(self.scores)

    @property
    def alerts(self) -> int:
        """Verdicts that are not approved."""
        return self.verdicts - self.decisions[0]

    @property
    def mean_score(self) -> float | None:
        """Mean of the scores; None without one."""
        return self.score_sum_micro / 1e6 / self.scored if self.scored else None

    @property
    def without_sample(self) -> "Counts":
        """What can be added to counts of another model too: bins of two models may be of different widths."""
        return msgspec.structs.replace(self, sampled=0, bins=(), missing=())

    def __add__(self, other: "Counts") -> "Counts":
        """Counts of both together; those of a sample are of one model, or one of them is empty.

        >>> one = Counts(decisions=(3, 0, 0, 1), flags={"late": 1})
        >>> both = one + one
        >>> both.decisions, both.flags, both.verdicts, both + Counts() == both
        ((6, 0, 0, 2), {'late': 2}, 8, True)
        """
        if self.bins and other.bins:
            bins = tuple(_added(mine, yours) for mine, yours in zip(self.bins, other.bins, strict=True))
            missing = _added(self.missing, other.missing)
        else:
            bins, missing = self.bins or other.bins, self.missing or other.missing
        return Counts(
            decisions=_of_four(_added(self.decisions, other.decisions)),
            published=_of_four(_added(self.published, other.published)),
            without_model=self.without_model + other.without_model,
            scores=_added(self.scores, other.scores),
            score_sum_micro=self.score_sum_micro + other.score_sum_micro,
            reasons=_joined(self.reasons, other.reasons),
            flags=_joined(self.flags, other.flags),
            sampled=self.sampled + other.sampled,
            bins=bins,
            missing=missing,
        )


class Summary(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="type", tag="summary"):
    """What a partition saw and decided since its last summary.

    Attributes:
        schema: version of this shape.
        partition: of the events.
        number: grows from summary to summary of a partition; with the partition it names the summary.
        time_ms: when the newest of the events was put into the log, epoch milliseconds.
        model: first 16 hex digits of the model's hash, as in a verdict: bins are those of its reference.
        counts: what was seen and decided.
    """

    schema: Literal[1] = 1
    partition: Count
    number: Count
    time_ms: int
    model: str
    counts: Counts


def count_batch(
    score: NDArray[np.float64],
    outcome: NDArray[np.uint8],
    published: NDArray[np.uint8],
    reasons: Sequence[str],
    flag_bits: NDArray[np.int64],
    flag_names: Sequence[str],
    sample: NDArray[np.float32],
    edges: Sequence[NDArray[np.float32]],
    *,
    without_model: bool = False,
) -> Counts:
    """Count what a batch of n verdicts shows.

    Args:
        score: float64[n], calibrated, NaN where there is none.
        outcome: uint8[n], index into `models.decision.OUTCOMES`, as model and policy have it.
        published: uint8[n], the same as it was published; another one where the breaker decided.
        reasons: first reason code of each verdict that has one.
        flag_bits: int64[n], bit i set where the verdict has the flag ``flag_names[i]``.
        flag_names: names of flags.
        sample: float32[s, f], feature rows of some of the events, as served; see `is_sampled`.
        edges: f arrays, of the reference of the model in force.
        without_model: the model that the log asks for could not be opened.

    >>> edges = [np.array([5], dtype=np.float32)]
    >>> sample = np.array([[3], [8], [np.nan]], dtype=np.float32)
    >>> by_model, published = np.array([0, 3], np.uint8), np.array([0, 1], np.uint8)
    >>> counts = count_batch(
    ...     np.array([0.2, np.nan]), by_model, published, ["VEL01"], np.array([0, 2]), ("late", "degraded"),
    ...     sample, edges
    ... )
    >>> counts.decisions, counts.published, counts.scored, counts.reasons, counts.flags, counts.bins, counts.missing
    ((1, 0, 0, 1), (1, 1, 0, 0), 1, {'VEL01': 1}, {'degraded': 1}, ((1, 1),), (1,))
    """
    micro = score_micro(score[~np.isnan(score)])
    set_bits = {name: int((flag_bits >> bit & 1).sum()) for bit, name in enumerate(flag_names)}
    bins, missing = [], []
    if len(sample):
        for column, its_edges in zip(sample.T, edges, strict=True):
            counts, without = count_bins(column, its_edges)
            bins.append(tuple(counts.tolist()))
            missing.append(without)
    return Counts(
        decisions=_of_four(np.bincount(outcome, minlength=len(OUTCOMES)).tolist()),
        published=_of_four(np.bincount(published, minlength=len(OUTCOMES)).tolist()),
        without_model=len(outcome) if without_model else 0,
        scores=tuple(count_scores(micro).tolist()),
        score_sum_micro=int(micro.sum()),
        reasons=dict(sorted(Counter(reasons).items())),
        flags={name: count for name, count in sorted(set_bits.items()) if count},
        sampled=len(sample),
        bins=tuple(bins),
        missing=tuple(missing),
    )


def is_sampled(offset: NDArray[np.int64], one_in: int) -> NDArray[np.bool_]:
    """Whether each event is of the sample: about one in `one_in`, by its offset in the log alone.

    So the sample does not depend on batches, and a second run takes the same one. The offset is spread by a
    multiplication first: markers of transactions take offsets too, and at regular distances.

    >>> int(is_sampled(np.arange(64_000), 64).sum())
    1000
    """
    assert one_in >= 1
    return (offset.astype(np.uint64) * _SPREADING) <= np.uint64(2**64 // one_in - 1)


def _added(mine: tuple[int, ...], yours: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(mine, yours, strict=True))


def _of_four(counts: Sequence[int]) -> tuple[int, int, int, int]:
    approve, step_up, review, decline = counts
    return approve, step_up, review, decline


def _joined(mine: dict[str, int], yours: dict[str, int]) -> dict[str, int]:
    return {name: mine.get(name, 0) + yours.get(name, 0) for name in sorted({*mine, *yours})}
