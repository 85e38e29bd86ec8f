"""Why a row got its score: how much each feature moved it, in log-odds.

Path attribution: walk each tree from its root; every step changes the mean of the leaves still in reach, and the
feature that was asked gets that change. The changes add up to the score exactly. It costs tens of microseconds a row
where TreeSHAP costs milliseconds, and mostly names the same leading features.

Source: A. Saabas, "Interpreting random forests", 2014.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled
from models.booster import CONTRIBUTIONS, Booster
from models.trees import NEARLY_ZERO, Trees


@dataclass(frozen=True, slots=True, eq=False)
class Contributions:
    """What moved each score away from the bias.

    Attributes:
        values: float64[n, features], log-odds; `values.sum(axis=1) + bias` is the raw score up to rounding.
        bias: log-odds before anything is known about a row.
    """

    values: NDArray[np.float64]
    bias: float


def path_contributions(trees: Trees, rows: NDArray[np.float32]) -> Contributions:
    """Path attribution of each row.

    Args:
        trees: the model.
        rows: float32[n, features]; NaN is missing; n may be 0.
    """
    return Contributions(_walked(trees, rows)[0], trees.bias)


def reached_leaves(trees: Trees, rows: NDArray[np.float32]) -> NDArray[np.int32]:
    """int32[n, trees]: the leaf of each tree that each row ends in, numbered within its tree as LightGBM does.

    Args:
        trees: the model.
        rows: float32[n, features]; NaN is missing; n may be 0.
    """
    return _walked(trees, rows)[1] - trees.first_leaf


def shap_contributions(booster: Booster, rows: NDArray[np.float32]) -> Contributions:
    """TreeSHAP by LightGBM itself: for models that `Trees` does not hold. Milliseconds a row.

    Args:
        booster: the model.
        rows: float32[n, features]; NaN is missing; n may be 0, and then the bias is not asked for and is 0.
    """
    rows = np.ascontiguousarray(rows)
    out = np.zeros((len(rows), booster.feature_count + 1), dtype=np.float64)
    if len(rows):
        booster.predict(CONTRIBUTIONS, rows.ctypes.data, len(rows), out.ctypes.data, out.size)
    return Contributions(out[:, :-1], float(out[:1, -1].sum()))


def _walked(trees: Trees, rows: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    assert rows.dtype == np.float32, rows.dtype
    assert rows.ndim == 2, rows.shape
    assert rows.shape[1] == trees.feature_count, (rows.shape, trees.feature_count)
    return _walk(
        np.ascontiguousarray(rows),
        trees.root,
        trees.split_feature,
        trees.threshold,
        trees.missing_goes_left,
        trees.missing_is_nan,
        trees.left_child,
        trees.right_child,
        trees.node_value,
        trees.leaf_value,
    )


@compiled
def _walk(
    rows: NDArray[np.float32],
    root: NDArray[np.int32],
    split_feature: NDArray[np.int32],
    threshold: NDArray[np.float64],
    missing_goes_left: NDArray[np.bool_],
    missing_is_nan: NDArray[np.bool_],
    left_child: NDArray[np.int32],
    right_child: NDArray[np.int32],
    node_value: NDArray[np.float64],
    leaf_value: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Contributions float64[n, features] and leaves int32[n, trees], numbered over all trees."""
    row_count, feature_count = rows.shape
    contributions = np.zeros((row_count, feature_count), dtype=np.float64)
    leaves = np.empty((row_count, len(root)), dtype=np.int32)
    for row in range(row_count):
        for tree in range(len(root)):
            here = root[tree]
            while here >= 0:
                feature = split_feature[here]
                value = np.float64(rows[row, feature])
                if np.isnan(value) and missing_is_nan[here]:
                    goes_left = missing_goes_left[here]
                else:
                    if np.isnan(value) or abs(value) <= NEARLY_ZERO:
                        value = np.float64(0.0)
                    goes_left = value <= threshold[here]
                child = left_child[here] if goes_left else right_child[here]
                child_value = node_value[child] if child >= 0 else leaf_value[~child]
                contributions[row, feature] += child_value - node_value[here]
                here = child
            leaves[row, tree] = ~here
    return contributions, leaves
