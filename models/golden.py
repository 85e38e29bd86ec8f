"""Golden rows: a few feature rows and the raw scores that the model gave them when it was written.

`golden.json` holds numbers as hexadecimal floats, so that scores compare bit by bit:
``{"rows": [["0x1.8p+1", "nan", ...], ...], "scores": ["-0x1.2p+2", ...]}``. The canary process reads it without numpy.
"""

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.errors import AssayError
from models.attribution import reached_leaves
from models.booster import RAW_SCORE, Booster
from models.trees import Trees, UnsupportedTrees

GOLDEN_ROWS = 32
"""How many rows are chosen from a sample; one row with every value missing is added."""


class _File(msgspec.Struct, forbid_unknown_fields=True):
    rows: list[list[str]]
    scores: list[str]


@dataclass(frozen=True, slots=True, eq=False)
class Golden:
    """Rows float32[n, features] and their raw scores float64[n]."""

    rows: NDArray[np.float32]
    scores: NDArray[np.float64]

    def to_json(self) -> bytes:
        """Canonical bytes of `golden.json`."""
        rows = [[value.hex() for value in row] for row in self.rows.astype(np.float64).tolist()]
        return msgspec.json.encode(_File(rows, [score.hex() for score in self.scores.tolist()]), order="sorted")

    @classmethod
    def from_json(cls, data: bytes, where: str) -> "Golden":
        """Read `golden.json`.

        Args:
            data: UTF-8 JSON.
            where: path, for the error message.

        Raises:
            AssayError: another shape than above, no rows, rows of different lengths, or a text that is no number.
        """
        try:
            file = msgspec.json.decode(data, type=_File)
            rows = np.array([[float.fromhex(text) for text in row] for row in file.rows], dtype=np.float32)
            scores = np.array([float.fromhex(text) for text in file.scores], dtype=np.float64)
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
            raise _damaged(where, f"expected hexadecimal numbers in rows of one length: {error}") from error
        if rows.ndim != 2 or len(rows) != len(scores) or not np.isfinite(scores).all():
            raise _damaged(where, f"expected one finite score for each row, got {len(rows)} rows, {len(scores)} scores")
        return cls(rows, scores)


def choose_golden(
    booster: Booster, trees: Trees | UnsupportedTrees, sample: NDArray[np.float32], count: int = GOLDEN_ROWS
) -> Golden:
    """Choose rows that together reach as many leaves as possible, so that damage anywhere in the model shows.

    Args:
        booster: the model, in the library.
        trees: the same model, as arrays; without them rows are taken at even distances.
        sample: float32[n, features], n may be 0; some thousand rows are plenty.
        count: how many rows to choose; fewer where more would reach no further leaf.
    """
    missing = np.full((1, booster.feature_count), np.nan, dtype=np.float32)
    if isinstance(trees, Trees):
        chosen = _widest(reached_leaves(trees, sample) + trees.first_leaf, len(trees.leaf_value), count)
    else:
        chosen = np.unique(np.linspace(0, len(sample) - 1, count).astype(np.int64)) if len(sample) else np.empty(0, int)
    rows = np.ascontiguousarray(np.concatenate([sample[chosen], missing]))
    scores = np.empty(len(rows), dtype=np.float64)
    booster.predict(RAW_SCORE, rows.ctypes.data, len(rows), scores.ctypes.data, len(scores))
    return Golden(rows, scores)


def _widest(leaves: NDArray[np.int32], leaf_count: int, count: int) -> NDArray[np.int64]:
    """Greedy cover: each time the first row that reaches most leaves not reached so far."""
    reached = np.zeros(leaf_count, dtype=np.bool_)
    chosen: list[int] = []
    for _ in range(min(count, len(leaves))):
        gain = (~reached[leaves]).sum(axis=1)
        row = int(gain.argmax())
        if gain[row] == 0:
            break
        chosen.append(row)
        reached[leaves[row]] = True
    return np.array(chosen, dtype=np.int64)


def _damaged(where: str, what: str) -> AssayError:
    return AssayError(f"{where}: {what}. Take the model from its source again, or train anew")
