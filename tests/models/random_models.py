"""LightGBM models and rows for tests: small, seeded, with every kind of missing value that assay trains with."""

import re
from collections.abc import Callable

import lightgbm
import numpy as np
from numpy.typing import NDArray


def random_rows(seed: int, count: int, features: int, missing_share: float = 0.1) -> NDArray[np.float32]:
    """float32 rows of counts, amounts and ratios with NaN and exact zeros among them."""
    generator = np.random.default_rng(seed)
    rows = generator.normal(size=(count, features)).astype(np.float32)
    rows[:, ::3] = generator.poisson(2.0, size=rows[:, ::3].shape)
    rows[:, 1::3] = np.exp(rows[:, 1::3] * 2)
    rows[generator.random(rows.shape) < missing_share] = np.nan
    rows[generator.random(rows.shape) < 0.05] = 0.0
    return rows


def labels_of(seed: int, rows: NDArray[np.float32]) -> NDArray[np.int64]:
    """Labels that depend on some features, on their being missing, and on chance; a few per cent are 1."""
    generator = np.random.default_rng(seed)
    features = rows.shape[1]
    strength = generator.normal(size=features) * (generator.random(features) < 0.5)
    log_odds = np.nan_to_num(np.tanh(rows)) @ strength + np.isnan(rows) @ (strength[::-1]) - 3.0
    chosen: NDArray[np.int64] = (generator.random(len(rows)) < 1.0 / (1.0 + np.exp(-log_odds))).astype(np.int64)
    chosen[:2] = [0, 1]
    return chosen


def train(
    seed: int,
    features: int = 9,
    trees: int = 20,
    rows: int = 3000,
    names: tuple[str, ...] | None = None,
    **parameters: object,
) -> lightgbm.Booster:
    """A trained binary model; `names` are those of the columns, `parameters` override the defaults."""
    x = random_rows(seed, rows, features)
    settings = {
        "objective": "binary",
        "num_leaves": 15,
        "min_data_in_leaf": 5,
        "learning_rate": 0.2,
        "verbosity": -1,
        "num_threads": 1,
        "deterministic": True,
        "seed": seed,
        **parameters,
    }
    return lightgbm.train(
        settings, lightgbm.Dataset(x, labels_of(seed, x), feature_name=list(names) if names else "auto"), trees
    )


def nasty_rows(model_text: str, features: int) -> NDArray[np.float32]:
    """Rows that sit on the thresholds of the model and one step beside, infinities, tiny numbers and nothing at all."""
    words = [
        line.removeprefix("threshold=").split() for line in model_text.split("\n") if line.startswith("threshold=")
    ]
    thresholds = np.array([float(word) for line in words for word in line] or [0.0])
    with np.errstate(over="ignore"):
        exact = thresholds.astype(np.float32)
    tiny = np.array([0.0, -0.0, 1e-35, -1e-35, 1e-40, -1e-40, 2e-35, np.inf, -np.inf, np.nan], dtype=np.float32)
    below, above = np.nextafter(exact, np.float32(-np.inf)), np.nextafter(exact, np.float32(np.inf))
    values = np.concatenate([exact, below, above, tiny])
    generator = np.random.default_rng(len(model_text))
    return np.concatenate(
        [generator.choice(values, size=(500, features)), np.repeat(tiny[:, None], features, axis=1)]
    ).astype(np.float32)


def for_lightgbm(model_text: str) -> str:
    """The text without the sizes of its trees, which LightGBM does not need and an altered text gets wrong."""
    return re.sub(r"\ntree_sizes=.*", "", model_text)


def with_other_splits(model_text: str, seed: int) -> str:
    """The same trees with splits that training seldom or never makes.

    Thresholds: no float32, too small or too large for one, infinite, of either zero, denormal. NaN is read as 0, or
    has a side of its own; either side. Leaves are small numbers whose sum depends on the order.
    """
    generator = np.random.default_rng(seed)
    rare = [np.inf, -np.inf, 0.0, -0.0, 1e-35, -1e-35, 1e-36, 1e-40, -1e-46, 1e300, -1e300, 3.5e38, 0.1, -0.3, 1e-30]

    def threshold() -> float:
        return float(generator.choice(rare) if generator.random() < 0.3 else generator.normal() * 3)

    draw: dict[str, Callable[[], object]] = {
        "threshold": lambda: repr(threshold()),
        "decision_type": lambda: int(generator.choice([0, 2, 8, 10])),
        "leaf_value": lambda: repr(float(generator.normal() * 10.0 ** generator.integers(-9, 3))),
    }
    lines = []
    for line in model_text.split("\n"):
        key, _, words = line.partition("=")
        lines.append(f"{key}={' '.join(str(draw[key]()) for _ in words.split())}" if key in draw else line)
    return "\n".join(lines)


def chain(leaves: int, features: int = 3) -> str:
    """A model of two trees that are as deep as they can be: every split parts one leaf from all others."""
    splits = leaves - 1
    tree = [
        f"num_leaves={leaves}",
        "num_cat=0",
        f"split_feature={' '.join(str(split % features) for split in range(splits))}",
        f"split_gain={' '.join('1' for _ in range(splits))}",
        f"threshold={' '.join(repr(split / splits - 0.5) for split in range(splits))}",
        f"decision_type={' '.join(str((2, 10, 8)[split % 3]) for split in range(splits))}",
        f"left_child={' '.join(str(~split) for split in range(splits))}",
        f"right_child={' '.join(str(split + 1) for split in range(splits - 1))} {~splits}",
        f"leaf_value={' '.join(repr(1 / (leaf + 3)) for leaf in range(leaves))}",
        f"leaf_weight={' '.join('1' for _ in range(leaves))}",
        f"leaf_count={' '.join('1' for _ in range(leaves))}",
        f"internal_value={' '.join('0' for _ in range(splits))}",
        f"internal_weight={' '.join('0' for _ in range(splits))}",
        f"internal_count={' '.join('2' for _ in range(splits))}",
        "is_linear=0",
        "shrinkage=1",
    ]
    names = [f"f{feature}" for feature in range(features)]
    header = [
        "tree",
        "version=v4",
        "num_class=1",
        "num_tree_per_iteration=1",
        "label_index=0",
        f"max_feature_idx={features - 1}",
        "objective=binary sigmoid:1",
        f"feature_names={' '.join(names)}",
        f"feature_infos={' '.join('[-1:1]' for _ in names)}",
        "tree_sizes=1 1",
    ]
    trees = ["\n".join([f"Tree={number}", *tree, "\n"]) for number in range(2)]
    return "\n".join([*header, "", *trees, "end of trees", ""])
