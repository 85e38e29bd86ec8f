"""Online detectors: half-space trees against River's, row by row and in batches, and the tail detector beside them."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmarks.anomalies import payments
from benchmarks.report import circumstances
from models.detector import DetectorKind, DetectorSpec, build, fit_limits

TREES, HEIGHT, WINDOW_ROWS, FEATURES = 25, 8, 1_000, 30
MANY_WINDOWS_ROWS = 60
"""Windows as short as this turn over 25 times in what River scores, to see that scores stay equal."""
BATCH_ROWS = 1_000
COUNT, RIVER_COUNT, SINGLE_COUNT = 20_000, 1_500, 2_000
TAIL_INPUTS = 12
_QUALITY_COUNT, _FITTED_COUNT, _QUALITY_SEEDS = 40_000, 4_000, 3


def forest(seed: int, repeats: int) -> dict[str, Any]:
    """Compare speed with River's, see that every score is equal, and compare what the detectors find.

    Both sides run in turn, `repeats` times; a ratio is the median of the ratios of the single rounds. River scores and
    learns a row with `score_one` and `learn_one`; ours has the same rows as a matrix, in batches of 1,000 or as 1 row a
    call.
    """
    facts: dict[str, Any] = circumstances(
        f"{COUNT} varied rows of {FEATURES} features in [0, 1], {TREES} trees of height {HEIGHT}, windows of "
        f"{WINDOW_ROWS} rows",
        "River gets dicts that are made before, ours a matrix; a thousand rows a call are a busy partition",
    )
    facts |= {"seed": seed, "repeats": repeats, "equal": True}
    for suffix, missing in (("", 0.0), ("_missing_10_percent", 0.1)):
        measured = _against_river(seed, repeats, missing)
        facts["equal"] &= measured.pop("equal")
        facts |= {f"{name}{suffix}": value for name, value in measured.items()}
    facts["tails_us"] = _tail_detector_us(seed, repeats)
    facts |= _found(seed)
    return facts


def _against_river(seed: int, repeats: int, missing: float) -> dict[str, Any]:
    from river.anomaly import HalfSpaceTrees as RiverTrees

    from models.half_space_trees import HalfSpaceTrees

    names = [f"feature_{number:02}" for number in range(FEATURES)]
    random = np.random.default_rng(seed)
    rows = random.beta(2, 5, (COUNT, FEATURES))
    rows[1:][random.random((COUNT - 1, FEATURES)) < missing] = np.nan
    known = [
        {name: value for name, value in zip(names, row, strict=True) if value == value}
        for row in rows[:RIVER_COUNT].tolist()
    ]

    def river(stock: Any) -> list[float]:
        scores = []
        for row in known:
            scores.append(stock.score_one(row))
            stock.learn_one(row)
        return scores

    def batched(ours: Any) -> NDArray[np.float64]:
        starts = range(0, COUNT, BATCH_ROWS)
        return np.concatenate([ours.score_learn_many(rows[start : start + BATCH_ROWS]) for start in starts])

    def single(ours: Any) -> list[float]:
        return [float(ours.score_learn_many(rows[row : row + 1])[0]) for row in range(SINGLE_COUNT)]

    equal = True
    for window_rows in (MANY_WINDOWS_ROWS, WINDOW_ROWS):  # what it makes with the last serves as warm-up
        stock = RiverTrees(TREES, HEIGHT, window_rows, seed=seed)
        fast, slow = (HalfSpaceTrees(TREES, HEIGHT, window_rows, seed=seed, features=names) for _ in range(2))
        expected = river(stock)
        equal &= batched(fast)[:RIVER_COUNT].tolist() == expected == single(slow)[:RIVER_COUNT]
    rounds = []
    for _ in range(repeats):
        river_us = _us(lambda: river(stock), RIVER_COUNT)
        batched_us = _us(lambda: batched(fast), COUNT)
        single_us = _us(lambda: single(slow), SINGLE_COUNT)
        rounds.append((river_us, batched_us, single_us, river_us / batched_us, river_us / single_us))
    medians = [statistics.median(values) for values in zip(*rounds, strict=True)]
    names_of = ("river_us", "batched_us", "single_row_us", "ratio", "ratio_single_row")
    return dict(zip(names_of, medians, strict=True)) | {"equal": equal}


def _tail_detector_us(seed: int, repeats: int) -> float:
    """Microseconds that the tail detector takes for a row of 12 inputs, in batches, scaling included."""
    rows = payments(seed, COUNT, TAIL_INPUTS, bursts=False)[0]
    detector = _detector("tail_log_probability", rows)
    columns, learn = np.arange(TAIL_INPUTS), np.ones(BATCH_ROWS, dtype=np.bool_)

    def judge() -> None:
        for start in range(0, COUNT, BATCH_ROWS):
            detector.anomalies(rows[start : start + BATCH_ROWS], columns, learn)

    judge()
    return statistics.median(_us(judge, COUNT) for _ in range(repeats))


def _found(seed: int) -> dict[str, float]:
    """Average precision and area under the ROC curve of planted anomalies, mean of three logs of each shape."""
    kinds: tuple[DetectorKind, ...] = ("half_space_trees", "tail_log_probability")
    facts = {}
    for shape in ("spread", "bursts"):
        logs = [
            payments(seed + number, _QUALITY_COUNT, bursts=shape == "bursts", missing=0.1)
            for number in range(_QUALITY_SEEDS)
        ]
        for kind in kinds:
            measures = []
            for rows, anomalous in logs:
                usual = rows[:_FITTED_COUNT][~anomalous[:_FITTED_COUNT]]
                score = _detector(kind, usual).score_learn_many(rows, np.ones(len(rows), dtype=np.bool_))
                judged = (anomalous[_FITTED_COUNT:], score[_FITTED_COUNT:])
                measures.append((average_precision_score(*judged), roc_auc_score(*judged)))
            precision, area = np.mean(measures, axis=0)
            facts |= {f"{kind}_{shape}_average_precision": float(precision), f"{kind}_{shape}_roc_auc": float(area)}
    return facts


def _detector(kind: DetectorKind, usual: NDArray[np.float32]) -> Any:
    """The detector of this kind as training would choose it, with limits fitted on usual rows."""
    names = tuple(f"input_{number:02}" for number in range(usual.shape[1]))
    limits = fit_limits(usual.astype(np.float64))
    if kind == "half_space_trees":
        return build(DetectorSpec(names=names, limits=limits, n_trees=50, window_size=2_000))
    return build(DetectorSpec(kind=kind, names=names, limits=limits))


def _us(side: Callable[[], object], rows: int) -> float:
    started = time.perf_counter()
    side()
    return (time.perf_counter() - started) / rows * 1e6
