"""From a stock `river.anomaly.HalfSpaceTrees` to ours and back; both go on with the same scores, to the last bit.

For whoever has a detector of River in a notebook or in a pickle and wants it compiled, or the other way round.
"""

from collections.abc import Hashable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from river.anomaly import HalfSpaceTrees as RiverTrees
from river.tree.padded import PaddedBranch, PaddedLeaf

from features.errors import AssayError
from models.half_space_kernels import with_inner_nodes
from models.half_space_trees import HalfSpaceTrees, Standing

_USUAL_LIMITS = (0.0, 1.0)


def from_river(model: Any) -> HalfSpaceTrees:
    """The compiled detector that goes on where `model` stands: before the first row, within a window, or warm.

    The two differ later only where the classes do: a value that is NaN or infinite is missing to ours.

    Args:
        model: a `river.anomaly.HalfSpaceTrees`; it is not changed.

    Raises:
        AssayError: it is another class; it has parameters that ours refuses; it has neither a seed nor trees; its trees
            are not those that its seed grows, so that a stored state could not be restored; or its masses are not
            those of rows that were learnt.

    >>> stock = RiverTrees(n_trees=5, height=3, window_size=3, seed=42)
    >>> for value in (0.5, 0.45, 0.43):
    ...     stock.learn_one({"x": value})
    >>> from_river(stock).score_one({"x": 0.0}) == stock.score_one({"x": 0.0})
    True
    """
    if type(model) is not RiverTrees:
        raise _refused("a river.anomaly.HalfSpaceTrees, itself and no subclass", type(model).__qualname__)
    limits = {name: limit for name, limit in model.limits.items() if tuple(limit) != _USUAL_LIMITS}
    try:
        ours = HalfSpaceTrees(model.n_trees, model.height, model.window_size, limits, model.seed)
    except (TypeError, ValueError) as error:
        raise _refused("parameters that the compiled detector takes", str(error)) from error
    if not model.trees:
        if model.seed is None or model.rng.getstate() != RiverTrees(seed=model.seed).rng.getstate():
            raise _refused("a seed from which its trees will grow, or trees", "a detector that has neither")
        return ours
    if not 0 <= model.counter < model.window_size:
        raise _refused(f"0 to {model.window_size - 1} rows in the window being filled", str(model.counter))
    nodes = [list(_heap_order(tree, model.height)) for tree in model.trees]
    cuts = [tree_nodes[: 2**model.height - 1] for tree_nodes in nodes]
    names = _names(model, {node.feature for tree_cuts in cuts for node in tree_cuts}, limits)
    place = {name: column for column, name in enumerate(names)}
    ours.stand_at(
        Standing(
            columns=names,
            feature=np.array([[place[node.feature] for node in tree_cuts] for tree_cuts in cuts], dtype=np.uint32),
            threshold=np.array([[node.threshold for node in tree_cuts] for tree_cuts in cuts], dtype=np.float64),
            newest=_leaf_masses(nodes, "l_mass", model.counter),
            reference=_leaf_masses(nodes, "r_mass", 0 if model._first_window else model.window_size),
            filled=model.counter,
            warm=not model._first_window,
        )
    )
    return ours


def to_river(model: HalfSpaceTrees) -> Any:
    """A stock `river.anomaly.HalfSpaceTrees` that goes on where `model` stands; `model` is not changed.

    Without a seed and before the features are known there are no trees to hand over: then each grows its own.
    """
    stock = RiverTrees(model.n_trees, model.height, model.window_size, model.limits, model.seed)
    if not model.columns:
        return stock
    at = model.standing()
    for name in at.columns:
        stock.limits[name]  # as when River grows trees: it then has a limit for each feature
    feature, threshold = at.feature.tolist(), at.threshold.tolist()
    newest, reference = with_inner_nodes(at.newest).tolist(), with_inner_nodes(at.reference).tolist()
    n_inner = 2**model.height - 1

    def node_at(tree: int, node: int) -> Any:
        masses = {"l_mass": newest[tree][node], "r_mass": reference[tree][node]}
        if node >= n_inner:
            return PaddedLeaf(**masses)
        left, right = node_at(tree, 2 * node + 1), node_at(tree, 2 * node + 2)
        return PaddedBranch(left, right, at.columns[feature[tree][node]], threshold[tree][node], **masses)

    stock.trees = [node_at(tree, 0) for tree in range(model.n_trees)]
    stock._tree_nodes = [list(tree.iter_dfs()) for tree in stock.trees]
    stock.counter = at.filled
    stock._first_window = not at.warm
    return stock


def _heap_order(tree: Any, height: int) -> Iterator[Any]:
    """The nodes of a tree level by level, from left to right."""
    level = [tree]
    for depth in range(height + 1):
        yield from level
        expected = PaddedLeaf if depth == height else PaddedBranch
        if not all(isinstance(node, expected) for node in level):
            raise _refused(f"trees with {height} levels of cuts everywhere", f"another shape at level {depth}")
        level = [child for node in level for child in getattr(node, "children", ())]


def _names(model: Any, cut: set[Hashable], limits: dict[Hashable, Any]) -> tuple[Hashable, ...]:
    """The features that the trees were grown for, sorted.

    River does not keep them. It has a limit for each, but also for features that are named in `limits` and never came;
    trees that are grown again tell which it was.
    """
    try:
        candidates = [tuple(sorted(model.limits)), tuple(sorted(cut))]  # type: ignore[type-var]
    except TypeError as error:
        raise _refused("names of features and limits that have an order", str(error)) from error
    if model.seed is None:
        return candidates[0]
    expected = [[(node.feature, node.threshold) for node in tree.iter_branches()] for tree in model.trees]
    for names in candidates:
        again = RiverTrees(model.n_trees, model.height, window_size=1, limits=limits, seed=model.seed)
        again.learn_one(dict.fromkeys(names, 0.0))
        if [[(node.feature, node.threshold) for node in tree.iter_branches()] for tree in again.trees] == expected:
            return names
    raise _refused(f"the trees that its seed {model.seed} grows", "other trees")


def _leaf_masses(nodes: list[list[Any]], kind: str, rows: int) -> NDArray[np.int64]:
    """Masses of the leaves, int64 (trees, leaves), after checking those of all nodes against them."""
    masses = np.array([[getattr(node, kind) for node in tree_nodes] for tree_nodes in nodes], dtype=np.float64)
    leaves = masses[:, masses.shape[1] // 2 :]
    if not (masses >= 0).all() or not (masses[:, 0] == rows).all() or (with_inner_nodes(leaves) != masses).any():
        raise _refused(f"each {kind} to be a number of rows, {rows} at the root", "masses that do not add up")
    return leaves.astype(np.int64)


def _refused(expected: str, got: str) -> AssayError:
    return AssayError(
        f"half-space trees of River: expected {expected}, got {got}; "
        "convert a detector as River made it, or learn the rows again with models.half_space_trees"
    )
