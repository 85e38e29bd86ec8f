"""From labelled feature rows to a model: pure, and the same inputs give the same bytes.

Rows are cut by time, never at random, because the model will judge what comes after what it learnt from:

    | 70 % trees | 15 % when to stop | 15 % calibration |   -> time

The trees minimise plain log-loss without reweighting: rebalancing classes buys no ranking and costs the meaning of the
probability, which the policy multiplies with money.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import lightgbm
import numpy as np
from numpy.typing import NDArray

from features.feature import FeatureSet
from models.calibration import Calibration, fit_platt
from models.detector import DetectorSpec, fit_limits

MOST_ROUNDS = 400
"""Trees at most; early stopping usually ends before."""
LEAST_ROUNDS = 40
"""Trees at least: with few frauds the first handful of trees can look best by luck."""
PATIENCE_ROUNDS = 60
"""Trees without a better average precision on the next block after which training stops."""
LEAST_OF_EACH = 10
"""Each block needs so many frauds and so many legitimate events: fewer say nothing."""

_TREES_SHARE, _STOPPING_SHARE = 0.70, 0.15
_ACCOUNT_RELATIVE_UNITS = ("ratio", "std")


class Blocks(NamedTuple):
    """Rows of each part of training, int64, ordered by time; rows of the same millisecond keep their order."""

    trees: NDArray[np.int64]
    stopping: NDArray[np.int64]
    calibration: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class TrainedModel:
    """What training gives; `models.artefact.write_artefact` makes files of it.

    Attributes:
        model_text: the trees in LightGBM's own text.
        calibration: from raw scores to probabilities.
        detector: inputs and frozen limits of the online detector.
        baselines: float64[f], median of each feature over legitimate events of the first block, NaN where there is
            none.
        blocks: which rows served what.
        tree_count: trees kept.
        held_out_score: float64, calibrated scores of the rows of `blocks.calibration`, rounded to 6 digits.
    """

    model_text: str
    calibration: Calibration
    detector: DetectorSpec
    baselines: NDArray[np.float64]
    blocks: Blocks
    tree_count: int
    held_out_score: NDArray[np.float64]


_UNKNOWN_SHARE = 0.15
"""Of the rows that trees are trained on."""


def train(
    features: NDArray[np.float32],
    labels: NDArray[np.uint8],
    time_ms: NDArray[np.int64],
    *,
    feature_set: FeatureSet,
    seed: int = 0,
    weights: NDArray[np.float64] | None = None,
    rounds: int = MOST_ROUNDS,
    kept_negative_share: float = 1.0,
    threads: int = 1,
    on_round: Callable[[int], None] | None = None,
) -> TrainedModel:
    """Train trees, calibration and detector limits.

    Args:
        features: float32[n, f] as served, in the column order of `feature_set`; NaN where a value is not known.
        labels: uint8[n], 1 = fraud, as known at the training cut-off.
        time_ms: int64[n], event time.
        feature_set: what the columns are.
        seed: of everything random.
        weights: float64[n], weight of each row for the trees; None: all the same.
        rounds: trees at most.
        kept_negative_share: share of legitimate events that is in `features`, if they were downsampled; see
            `Calibration`.
        threads: more of them only pay off on idle cores; the model is the same bytes with any number.
        on_round: called with the number of trees after each, for a progress bar.

    Raises:
        ValueError: a block has too few frauds or legitimate events, or the model ranks the last block backwards.
    """
    blocks = time_blocks(time_ms)
    for name, rows in blocks._asdict().items():
        _check_block(name, labels[rows])
    parameters = _parameters(len(blocks.trees), seed, threads)
    booster, tree_count = _fit_trees(parameters, features, labels, weights, blocks, feature_set, rounds, on_round)
    held_out = booster.predict(
        features[blocks.calibration], raw_score=True, num_iteration=tree_count, num_threads=threads
    )
    calibration = fit_platt(held_out, labels[blocks.calibration], kept_negative_share=kept_negative_share)
    legitimate = blocks.trees[labels[blocks.trees] == 0]
    return TrainedModel(
        model_text=_without_threads(booster.model_to_string(num_iteration=tree_count)),
        calibration=calibration,
        detector=_detector(features, legitimate, feature_set, seed),
        baselines=_medians(features, legitimate),
        blocks=blocks,
        tree_count=tree_count,
        held_out_score=np.round(calibration.apply(held_out), 6),
    )


def time_blocks(time_ms: NDArray[np.int64]) -> Blocks:
    """Cut rows by time into 70, 15 and 15 per cent.

    >>> [rows.tolist() for rows in time_blocks(np.array([50, 10, 20, 30, 40, 60, 70]))]
    [[1, 2, 3, 4], [0], [5, 6]]
    """
    order = np.argsort(time_ms, kind="stable")
    first = int(len(order) * _TREES_SHARE)
    second = int(len(order) * (_TREES_SHARE + _STOPPING_SHARE))
    return Blocks(order[:first], order[first:second], order[second:])


def detector_inputs(feature_set: FeatureSet) -> tuple[str, ...]:
    """Names of the features that compare an account with itself: ratios and distances in standard deviations.

    Absolute amounts and counts would make every rich or busy account an anomaly.
    """
    return tuple(feature.name for feature in feature_set.of_accounts if feature.unit in _ACCOUNT_RELATIVE_UNITS)


def _check_block(name: str, labels: NDArray[np.uint8]) -> None:
    frauds = int(labels.sum())
    legitimate = len(labels) - frauds
    if min(frauds, legitimate) < LEAST_OF_EACH:
        raise ValueError(
            f"expected {LEAST_OF_EACH} frauds and {LEAST_OF_EACH} legitimate events in the {name} block, "
            f"got {frauds} and {legitimate} of {len(labels)}"
        )


def _without_threads(model_text: str) -> str:
    """LightGBM notes the number of threads in the model's text, where it changes nothing but the hash."""
    return re.sub(r"^\[num_threads: \d+\]$", "[num_threads: 0]", model_text, flags=re.MULTILINE)


def _parameters(rows: int, seed: int, threads: int) -> dict[str, Any]:
    """LightGBM's parameters; `deterministic` with one way of building histograms fixes the trees."""
    return {
        "objective": "binary",
        # Ranking is what trees are for, calibration comes after them. On a simulated log cut at five times, stopping by
        # average precision ranked later events better than stopping by log-loss each time (mean .269 against .262).
        "metric": "average_precision",
        "learning_rate": 0.05,
        "num_leaves": 31,
        "min_data_in_leaf": min(max(rows // 500, 20), 500),
        "feature_fraction": 0.5,
        "lambda_l2": 10.0,
        "max_bin": 255,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": threads,
        "seed": seed,
        "verbosity": -1,
    }


def _fit_trees(
    parameters: dict[str, Any],
    features: NDArray[np.float32],
    labels: NDArray[np.uint8],
    weights: NDArray[np.float64] | None,
    blocks: Blocks,
    feature_set: FeatureSet,
    rounds: int,
    on_round: Callable[[int], None] | None,
) -> tuple[lightgbm.Booster, int]:
    """The trees, and how many of them to keep."""
    datasets = [
        lightgbm.Dataset(
            values,
            labels[rows],
            weight=None if weights is None else weights[rows],
            feature_name=list(feature_set.names),
            params=parameters,
        )
        for rows, values in (
            (blocks.trees, _with_some_unknown(features[blocks.trees], feature_set, parameters["seed"])),
            (blocks.stopping, features[blocks.stopping]),
        )
    ]
    datasets[1].set_reference(datasets[0])
    measured: dict[str, dict[str, list[float]]] = {}
    callbacks = [lightgbm.early_stopping(PATIENCE_ROUNDS, verbose=False), lightgbm.record_evaluation(measured)]
    if on_round is not None:
        callbacks.append(lambda environment: on_round(environment.iteration + 1))
    booster = lightgbm.train(
        parameters,
        datasets[0],
        num_boost_round=rounds,
        valid_sets=[datasets[1]],
        valid_names=["next"],
        callbacks=callbacks,
    )
    precision = np.array(measured["next"]["average_precision"])
    skipped = min(LEAST_ROUNDS, len(precision)) - 1
    return booster, skipped + int(precision[skipped:].argmax()) + 1


def _with_some_unknown(features: NDArray[np.float32], feature_set: FeatureSet, seed: int) -> NDArray[np.float32]:
    """The rows, in some of which nothing is known of any entity.

    That is how events look while profiles are away. Trees that never saw it would take what is not known for what is
    not given, and judge everybody by it.
    """
    unknown = np.random.default_rng(seed).random(len(features)) < _UNKNOWN_SHARE
    features[np.ix_(unknown, np.arange(len(feature_set.of_accounts), len(feature_set)))] = np.nan
    return features


def _detector(
    features: NDArray[np.float32], legitimate: NDArray[np.int64], feature_set: FeatureSet, seed: int
) -> DetectorSpec:
    names = detector_inputs(feature_set)
    columns = np.array([feature_set.index[name] for name in names], dtype=np.int64)
    limits = fit_limits(features[np.ix_(legitimate, columns)].astype(np.float64))
    return DetectorSpec(names=names, limits=limits, seed=seed, n_trees=50, height=8, window_size=2_000)


def _medians(features: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Median of each column over `rows` without NaN; a column at a time, so that memory stays small."""
    medians = np.full(features.shape[1], np.nan)
    for column in range(features.shape[1]):
        values = features[rows, column]
        values = values[~np.isnan(values)]
        if len(values):
            medians[column] = np.median(values.astype(np.float64))
    return medians
