"""Models in force beside each other, and whether what they meet is what they were trained on. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from features.catalogue import FEATURES
from models.artefact import Artefact
from models.bins import SCORE_BINS, SCORE_EDGES_MICRO
from models.decision import OUTCOMES
from models.reference import FeatureReference, Reference
from models.stability import CLOCK_FEATURES, psi
from models.summary import Counts
from models.wording import duration_text, number_text
from streams.console import words
from streams.console.charts import Chart, bars_chart

MOST_DRIFTED: Final = 12
LEAST_ROWS: Final = 200
"""Fewer sampled events than this say nothing about a distribution."""
WARN, ACT = 0.1, 0.25
_IN_SECONDS: Final = frozenset(feature.name for feature in FEATURES.features if feature.unit == "s")

OpenArtefact = Callable[[str], Artefact | None]
"""A model by the first digits of its id; None if its files are not on this machine."""


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model that judged within the last hour.

    Attributes:
        id: first 16 digits.
        name: of its manifest; empty if its files are not here.
        verdicts: how many.
        part: of all verdicts.
        mean_score: in words.
        mix: decision, its class, and its share in words.
        trained: on what, in words.
        policy: first 16 digits of its id.
    """

    id: str
    name: str
    verdicts: int
    part: str
    mean_score: str
    mix: list[tuple[str, str, str]]
    trained: str
    policy: str


@dataclass(frozen=True, slots=True)
class Compared:
    """One line of a comparison of two models."""

    what: str
    one: str
    other: str
    difference: str


@dataclass(frozen=True, slots=True)
class DriftRow:
    """One feature.

    Attributes:
        name: of the feature.
        index: population stability index beyond chance.
        index_text: in words.
        missing: share without a value, now and in training.
        state: ``good``, ``behind`` (from 0.1) or ``losing`` (from 0.25).
        chart: distributions now and in training.
    """

    name: str
    index: float
    index_text: str
    missing: str
    state: str
    chart: Chart


@dataclass(frozen=True, slots=True)
class ModelsView:
    """What the page shows."""

    models: list[ModelRow]
    compared: list[Compared]
    compared_said: str
    score_chart: Chart | None
    drift: list[DriftRow]
    drift_said: str
    sampled: int


def models_view(by_model: dict[str, Counts], open_artefact: OpenArtefact) -> ModelsView:
    """The page.

    Args:
        by_model: counts of the last hour, the model with most verdicts first.
        open_artefact: see there.
    """
    whole = sum(counts.verdicts for counts in by_model.values())
    rows = [_row(model, counts, whole, open_artefact(model)) for model, counts in by_model.items()]
    first = next(iter(by_model), None)
    if first is None:
        return ModelsView([], [], "No model has judged within the last hour.", None, [], "", 0)
    artefact, counts = open_artefact(first), by_model[first]
    reference = None if artefact is None else artefact.reference
    drift, said = drift_rows(reference, counts)
    return ModelsView(
        models=rows,
        compared=_compared(by_model),
        compared_said=_compared_said(by_model),
        score_chart=score_chart(counts, reference),
        drift=drift,
        drift_said=said,
        sampled=counts.sampled,
    )


def score_chart(counts: Counts, reference: Reference | None) -> Chart:
    """Scores now and in training, in bins of half a unit of log-odds."""
    trained = None if reference is None else _shares(reference.score_counts)
    edges = [0, *SCORE_EDGES_MICRO.tolist(), 1_000_000]
    labels = [_score_label(edges[place], edges[place + 1]) for place in range(SCORE_BINS)]
    said = "Share of verdicts by score within the last hour; bins are half a unit of log-odds wide."
    return bars_chart(
        "scores", "Scores", said, _shares(counts.scores), trained, labels, lambda value: f"{100 * value:.3g} %",
        label_every=12,
    )  # fmt: skip


def drift_rows(reference: Reference | None, counts: Counts) -> tuple[list[DriftRow], str]:
    """Features that moved most, and what is to be said about them."""
    if reference is None:
        return [], "What this model was trained on is not on this machine (models.directory): nothing to compare with."
    if not counts.bins or counts.sampled < LEAST_ROWS:
        return [], f"{counts.sampled:,} events were sampled within the last hour; {LEAST_ROWS} are needed to compare."
    rows = []
    for feature, seen, missing in zip(reference.features, counts.bins, counts.missing, strict=True):
        index = None if feature.name in CLOCK_FEATURES else psi(feature.counts, seen)
        if index is not None:
            rows.append(_drift(feature, seen, missing, counts.sampled, index.excess))
    rows.sort(key=lambda row: (-row.index, row.name))
    moved = sum(row.index >= WARN for row in rows)
    said = (
        f"{moved} of {len(rows)} features are not distributed as in training (index of {WARN} or more beyond chance), "
        f"by {counts.sampled:,} sampled events of the last hour. Shown are the {min(len(rows), MOST_DRIFTED)} that "
        "moved most."
    )
    return rows[:MOST_DRIFTED], said


def _drift(feature: FeatureReference, seen: Sequence[int], missing: int, sampled: int, index: float) -> DriftRow:
    state = "losing" if index >= ACT else "behind" if index >= WARN else "good"
    labels = _bin_labels(feature.name, feature.edges)
    usual = feature.missing_share
    chart = bars_chart(
        f"drift-{feature.name}", feature.name, f"Values of {feature.name} now and in training, by bin.",
        _shares(seen), _shares(feature.counts), labels, lambda value: f"{100 * value:.3g} %",
        label_every=max(1, -(-len(labels) // 3)),
    )  # fmt: skip
    known = f"{words.share(missing, sampled)}, in training {'–' if usual is None else words.share(usual, 1)}"
    return DriftRow(feature.name, index, f"{index:.3f}", known, state, chart)


def _row(model: str, counts: Counts, whole: int, artefact: Artefact | None) -> ModelRow:
    trained = policy = name = ""
    if artefact is not None:
        about, name = artefact.manifest.trained, artefact.manifest.name
        policy = artefact.policy_id[:16]
        until = words.moment(about.last_time_ms)
        trained = f"{about.event_count:,} events until {until}, {about.fraud_count:,} of them fraud"
    mean = counts.mean_score
    return ModelRow(
        id=model[:16],
        name=name,
        verdicts=counts.verdicts,
        part=words.share(counts.verdicts, whole),
        mean_score="–" if mean is None else f"{mean:.4f}",
        mix=[
            (words.DECISION_WORDS[name], name, words.share(count, counts.verdicts))
            for name, count in zip(OUTCOMES, counts.decisions, strict=True)
        ],
        trained=trained,
        policy=policy,
    )


def _compared(by_model: dict[str, Counts]) -> list[Compared]:
    if len(by_model) < 2:
        return []
    (_, one), (_, other) = list(by_model.items())[:2]
    lines = [Compared("verdicts", f"{one.verdicts:,}", f"{other.verdicts:,}", "")]
    if one.mean_score is not None and other.mean_score is not None:
        change = other.mean_score - one.mean_score
        lines.append(Compared("mean score", f"{one.mean_score:.4f}", f"{other.mean_score:.4f}", f"{change:+.4f}"))
    for number, name in enumerate(OUTCOMES):
        shares = [each.decisions[number] / each.verdicts if each.verdicts else 0.0 for each in (one, other)]
        texts = [words.share(share, 1) for share in shares]
        lines.append(
            Compared(words.DECISION_WORDS[name], texts[0], texts[1], f"{100 * (shares[1] - shares[0]):+.2f} points")
        )
    index = psi(one.scores, other.scores)
    if index is not None:
        lines.append(Compared("distribution of scores", "", "", f"index {index.excess:.3f} beyond chance"))
    return lines


def _compared_said(by_model: dict[str, Counts]) -> str:
    if len(by_model) < 2:
        return (
            "One model judged everything within the last hour. To see how another one would have decided, replay a "
            "range with it: the difference is shown verdict by verdict."
        )
    return (
        "Two models judged within the last hour, each its own events: differences may be those of the events. A replay "
        "judges the same events with both."
    )


def _shares(counts: Sequence[int]) -> list[float]:
    whole = sum(counts)
    return [count / whole if whole else 0.0 for count in counts]


def _score_label(low_micro: int, high_micro: int) -> str:
    middle = (low_micro + high_micro) / 2e6
    return f"{middle:.3f}" if middle >= 0.0005 else f"{middle:.1g}"


def _bin_labels(name: str, edges: Sequence[float]) -> list[str]:
    """What is in each bin: above one edge, up to the next.

    >>> _bin_labels("account_age_seconds", [86_400.0, 864_000.0])
    ['≤ 24 hours', '≤ 10 days', '> 10 days']
    """
    if not edges:
        return ["all"]
    in_seconds = name in _IN_SECONDS
    texts = [duration_text(edge) if in_seconds and edge >= 0 else number_text(edge) for edge in edges]
    return [*(f"≤ {text}" for text in texts), f"> {texts[-1]}"]
