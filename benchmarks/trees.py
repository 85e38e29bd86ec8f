"""Raw scores of a LightGBM model: the compiled forest against LightGBM's own predict, by the size of a batch."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from benchmarks.report import circumstances
from models.forest import forest_of, raw_scores
from models.trees import Trees, parse_trees

TREES, LEAVES, FEATURES = 300, 31, 200
TRAINING_ROWS, ROWS = 10_000, 100_000
SIZES = (1, 16, 64, 256, 2_048)
LARGE = 256
"""Batches of at least this size count as many rows."""

Predict = Callable[[NDArray[np.float32]], NDArray[np.float64]]


def trees(seed: int, repeats: int) -> dict[str, Any]:
    """Train a model of 300 trees, compare all bits on 100,000 rows, and measure batches of several sizes.

    Args:
        seed: of the rows and of the training.
        repeats: how often each size is measured; the median of the ratios counts.
    """
    generator = np.random.default_rng(seed)
    text = _train(generator, seed)
    parsed = parse_trees(text, "the model of the benchmark")
    assert isinstance(parsed, Trees)
    started_s = time.perf_counter()
    forest = forest_of(parsed)
    compile_s = time.perf_counter() - started_s
    booster = lightgbm.Booster(model_str=text)

    def theirs(rows: NDArray[np.float32]) -> NDArray[np.float64]:
        scores: NDArray[np.float64] = booster.predict(rows, raw_score=True, num_threads=1)
        return scores

    def ours(rows: NDArray[np.float32]) -> NDArray[np.float64]:
        return raw_scores(forest, rows)

    rows = _rows(generator, ROWS)
    facts = {
        **circumstances(
            f"{TREES} trees of {LEAVES} leaves over {FEATURES} features, trained on {TRAINING_ROWS} rows; {ROWS} other "
            "rows of counts, amounts and ratios, 10 % NaN, 1 % infinite, 5 % zeros of either sign",
            "both get the same C-contiguous float32 array, which LightGBM takes without a copy and turns value by "
            "value to float64 inside; both pay for their Python call and for the array that they return; one thread; "
            "the two sides alternate, and no row comes twice within a round",
        ),
        "seed": seed,
        "compile_s": compile_s,
        "few_rows": forest.few_rows,
        "leaves_per_tree": len(parsed.leaf_value) / parsed.tree_count,
        "compared_rows": ROWS,
        "equal": _equal_bits(forest_scores=_in_batches(ours, rows), library_scores=_in_batches(theirs, rows)),
    }
    ratios = {}
    for size in SIZES:
        library_us, forest_us, ratios[size] = _measure(theirs, ours, rows, size, repeats)
        facts |= {
            f"lightgbm_us_per_row_{size}": library_us,
            f"forest_us_per_row_{size}": forest_us,
            f"ratio_{size}": ratios[size],
        }
    large = min(ratio for size, ratio in ratios.items() if size >= LARGE)
    return facts | {"ratio": large, "ratio_single_row": ratios[1]}


def _train(generator: np.random.Generator, seed: int) -> str:
    rows = _rows(generator, TRAINING_ROWS)
    strength = generator.normal(size=FEATURES)
    values = np.where(np.isnan(rows), -1.0, np.tanh(rows))
    labels = generator.random(len(rows)) < 1.0 / (1.0 + np.exp(3.0 - values @ strength / 4.0))
    parameters = {
        "objective": "binary",
        "num_leaves": LEAVES,
        "min_data_in_leaf": 20,
        "learning_rate": 0.05,
        "verbosity": -1,
        "num_threads": 1,
        "deterministic": True,
        "seed": seed,
    }
    text: str = lightgbm.train(parameters, lightgbm.Dataset(rows, labels), TREES).model_to_string()
    return text


def _rows(generator: np.random.Generator, count: int) -> NDArray[np.float32]:
    """float32[count, features]: a third counts, a third amounts, a third ratios."""
    rows = generator.standard_normal((count, FEATURES), dtype=np.float32)
    rows[:, ::3] = np.floor(np.abs(rows[:, ::3]) * 3.0)
    rows[:, 1::3] = np.exp(rows[:, 1::3] * 2.0)
    kind = generator.random(rows.shape, dtype=np.float32)
    for value, below in ((0.0, 0.16), (-0.0, 0.135), (np.inf, 0.11), (-np.inf, 0.105), (np.nan, 0.1)):
        rows[kind < below] = value
    return rows


def _in_batches(predict: Predict, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Scores of all rows, in batches of every size that is measured."""
    parts, start, turn = [], 0, 0
    while start < len(rows):
        parts.append(predict(rows[start : start + SIZES[turn % len(SIZES)]]))
        start, turn = start + SIZES[turn % len(SIZES)], turn + 1
    return np.concatenate(parts)


def _equal_bits(*, forest_scores: NDArray[np.float64], library_scores: NDArray[np.float64]) -> bool:
    return np.array_equal(forest_scores.view(np.int64), library_scores.view(np.int64))


def _measure(
    theirs: Predict, ours: Predict, rows: NDArray[np.float32], size: int, repeats: int
) -> tuple[float, float, float]:
    """Median microseconds a row of both, and the median of their ratios, measured in turn.

    Each round measures both on the same rows, and every round has rows of its own.
    """
    calls = max(2, min(256, 4_096 // size))
    span = calls * size
    for predict in (theirs, ours):
        predict(rows[:size])
    library_us, forest_us, ratios = [], [], []
    for turn in range(max(3, 3 * repeats)):
        first = turn * span % (len(rows) - span)
        seconds = []
        for predict in (theirs, ours):
            started_s = time.perf_counter()
            for start in range(first, first + span, size):
                predict(rows[start : start + size])
            seconds.append(time.perf_counter() - started_s)
        library_us.append(seconds[0] / span * 1e6)
        forest_us.append(seconds[1] / span * 1e6)
        ratios.append(seconds[0] / seconds[1])
    return median(library_us), median(forest_us), median(ratios)
