"""What `assay train` says a model met: counted again by hand, and good enough to watch the model with."""

from bisect import bisect_left
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from features.catalogue import FEATURES
from features.events import LabelIntake
from models.artefact import Artefact, load_artefact
from models.bins import SCORE_EDGES_MICRO
from models.decision import OUTCOMES, decide, explain_costs
from models.finding import Finding
from models.minutes import Minute
from models.reference import Reference
from models.scorer import Scorer
from models.seasonal import HOUR_MS
from models.stability import psi
from models.summary import Counts, count_batch
from models.watch import Watch
from models.watch_limits import WatchLimits
from streams.train import TrainRequest, train_files
from tests.models.labelled import labelled_rows
from tests.streams.test_train_command import write_features, write_labels

ROWS = labelled_rows(8_000, seed=5)
BY_TIME = np.argsort(ROWS.time_ms, kind="stable")
TESTED = BY_TIME[6_800:]
"""The last 15 per cent."""
COUNT, RATIO = "account_payment_count_1h", "account_amount_to_mean_ratio_30d"


def fraud(row: int) -> LabelIntake:
    known_at_ms = int(ROWS.time_ms[row]) + 1
    return LabelIntake(
        judged_event_id=f"e{row}", account_id="a1", label="fraud", known_at_ms=known_at_ms, source="analyst"
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    directory: Path = tmp_path_factory.mktemp("train")
    frauds = [fraud(row) for row in np.flatnonzero(ROWS.labels).tolist()]
    request = TrainRequest(
        features=write_features(directory / "features.parquet", ROWS),
        labels=write_labels(directory / "labels.jsonl", frauds),
        out=directory / "model",
    )
    return load_artefact(train_files(request).directory, FEATURES)


def cheapest(model: Artefact, score: float, row: int) -> int:
    costs = explain_costs(model.policy, score, int(ROWS.amount_minor[row]), int(ROWS.kind[row]))
    offered = {place: cost for place, name in enumerate(OUTCOMES) if (cost := costs[name]) is not None}
    return min(offered, key=lambda place: offered[place])


def counted_slowly(model: Artefact, rows: NDArray[np.int64]) -> Reference:
    """The model's reference with every count made anew over `rows`, one value after another."""
    features = []
    for column, feature in enumerate(model.reference.features):
        counts, missing = [0] * len(feature.counts), 0
        for value in ROWS.features[rows, column].tolist():
            if value != value:
                missing += 1
            else:
                counts[bisect_left(feature.edges, value)] += 1
        features.append(msgspec.structs.replace(feature, counts=tuple(counts), missing=missing))
    scores, decisions = [0] * len(model.reference.score_counts), [0] * len(OUTCOMES)
    edges = SCORE_EDGES_MICRO.tolist()
    for row, score in zip(rows.tolist(), Scorer(model).score(ROWS.features[rows]).tolist(), strict=True):
        scores[bisect_left(edges, round(score * 1e6))] += 1
        decisions[cheapest(model, score, row)] += 1
    approve, step_up, review, decline = decisions
    return Reference(
        features=tuple(features), score_counts=tuple(scores), decision_counts=(approve, step_up, review, decline)
    )


def seen_by_the_engine(model: Artefact, features: NDArray[np.float32]) -> Counts:
    """What telemetry would count if the events of the test period came with these features."""
    score = Scorer(model).score(features)
    no_anomaly = np.full(len(score), np.nan)
    outcome = decide(model.policy, score, no_anomaly, ROWS.amount_minor[TESTED], ROWS.kind[TESTED]).outcome
    no_flags = np.zeros(len(score), dtype=np.int64)
    return count_batch(score, outcome, outcome, [], no_flags, (), features, model.reference.edges())


def found(model: Artefact, counts: Counts) -> dict[str, Finding]:
    """All that the watch finds by the end of an hour with these counts, by name."""
    watch = Watch(model.id[:16], model.reference, WatchLimits())
    minute = Minute(minute_ms=0, model=model.id[:16], counts=counts)
    findings = watch.judge(0, [minute]).findings + watch.judge(HOUR_MS, []).findings
    return {finding.name: finding for finding in findings}


def test_the_reference_counts_the_test_period(model: Artefact) -> None:
    assert model.reference.names == FEATURES.names
    assert model.reference.rows == len(TESTED)
    assert model.reference == counted_slowly(model, TESTED)
    assert sum(count > 0 for count in model.reference.decision_counts) > 1, "more than one decision is counted"


def test_rows_that_the_trees_were_fitted_on_would_be_told_from_it(model: Artefact) -> None:
    fitted_on = counted_slowly(model, BY_TIME[: len(TESTED)])
    assert fitted_on.features != model.reference.features
    assert fitted_on.score_counts != model.reference.score_counts


def test_a_model_watches_its_own_test_period_without_a_finding(model: Artefact) -> None:
    counts = seen_by_the_engine(model, ROWS.features[TESTED])
    assert counts.sampled >= WatchLimits().stability.least_rows
    assert found(model, counts) == {}
    assert counts.decisions == model.reference.decision_counts
    indices = [psi(feature.counts, seen) for feature, seen in zip(model.reference.features, counts.bins, strict=True)]
    indices.append(psi(model.reference.score_counts, counts.scores))
    compared = [index.value for index in indices if index is not None]
    assert len(compared) == 6, "five features of these rows ever have a value, and there are scores"
    assert max(compared) == pytest.approx(0.0, abs=1e-12)


def test_a_planted_shift_is_found_and_named_with_the_scores_that_it_moves(model: Artefact) -> None:
    moved = ROWS.features[TESTED]
    moved[:, FEATURES.index[COUNT]] += 3
    findings = found(model, seen_by_the_engine(model, moved))
    assert set(findings) == {f"psi:{COUNT}", "psi:score"}
    assert findings[f"psi:{COUNT}"].level == "act"


def test_a_feature_that_comes_without_values_is_found_and_named(model: Artefact) -> None:
    lost = ROWS.features[TESTED]
    lost[:, FEATURES.index[RATIO]] = np.nan
    findings = found(model, seen_by_the_engine(model, lost))
    assert findings[f"missing:{RATIO}"].level == "act"
    assert findings[f"missing:{RATIO}"].expected == pytest.approx(0.1, abs=0.03)
