"""River's half-space trees with numpy arrays instead of node objects and one compiled walk instead of two.

The detector keeps `n_trees` random trees that cut the feature space in halves. Each node counts the rows that passed
through it in the window being filled (*newest* mass) and in the last full window (*reference* mass). A row is
suspicious when the nodes on its path held few rows of the reference window.

Every score equals that of `river.anomaly.HalfSpaceTrees` to the last bit: same trees (same calls to
`random.Random(seed)`), same walk, and all sums are sums of integers below 2^53, hence exact in any order.

Source: S. C. Tan, K. M. Ting, T. F. Liu, "Fast anomaly detection for streaming data", IJCAI 2011.
"""

import hashlib
import json
import math
import random
import struct
import zlib
from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from river import base

from features.errors import AssayError
from models.half_space_growth import grow
from models.half_space_kernels import FILLED, WARM, score_and_learn, settle, with_inner_nodes
from models.plain_arrays import plain

LARGEST_EXACT = 2**53
"""Sums of masses stay below this, so float64 and int64 arithmetic give the same score."""

STATE_MAGIC = b"AHST"
STATE_VERSION = 1
STATE_HEADER = struct.Struct("<4sHBxIQ32s")
"""Magic, version, 1 when warm, bytes of the column names, rows in the window being filled, digest of the parameters."""

_LEARN = np.ones(1, dtype=np.bool_)
_LEAVE = np.zeros(1, dtype=np.bool_)


class Standing(NamedTuple):
    """Where a detector stands; what it holds is not copied.

    Attributes:
        columns: names of the features in the order of the columns; empty while they are not known.
        feature: uint32 (trees, 2^height - 1), column that a node cuts; nodes in heap order.
        threshold: float64, of the same shape.
        newest: integers (trees, 2^height), rows of the window being filled in each leaf.
        reference: the same of the last full window; no matter before that.
        filled: rows in the window being filled.
        warm: whether a window was full.
    """

    columns: tuple[Hashable, ...]
    feature: NDArray[np.uint32]
    threshold: NDArray[np.float64]
    newest: NDArray[Any]
    reference: NDArray[Any]
    filled: int
    warm: bool


class HalfSpaceTrees(base.AnomalyDetector):  # type: ignore[misc]  # River is untyped here
    """Half-space trees, equal to `river.anomaly.HalfSpaceTrees` score for score; in batches some fifty times faster.

    The trees are built when the features are known: at the first `learn_one`, from the names in that row, or from
    `features` when given. A feature that a row lacks, and a value that is NaN, infinite or None, is **missing**: the
    walk follows the child that more rows of the current window took. (River knows only absent keys as missing: it
    learns a NaN silently as "large".) Features that no tree knows are ignored. Values are compared as float64.

    Until the first window is full there is nothing to compare with: like River's, `score_one` then returns 0, which
    says nothing about the row. Ask `is_warm`.

    Args:
        n_trees: number of trees.
        height: levels of cuts in a tree, 1 to 20; a tree has 2^(height + 1) - 1 nodes.
        window_size: learnt rows per window.
        limits: range (low, high) of each feature by name, (0, 1) where not given. Wider features are cut more often.
        seed: of the random cuts. Without it every object grows other trees, and `state` is refused.
        features: names of the features, in the order of the columns of `score_learn_many`; by default the sorted names
            of the first row learnt.

    Raises:
        ValueError: an argument is out of range.

    >>> detector = HalfSpaceTrees(n_trees=5, height=3, window_size=3, seed=42)
    >>> for value in (0.5, 0.45, 0.43):
    ...     detector.learn_one({"x": value})
    >>> round(detector.score_one({"x": 0.44}), 3), round(detector.score_one({"x": 0.0}), 3)
    (0.107, 0.853)
    """

    def __init__(
        self,
        n_trees: int = 10,
        height: int = 8,
        window_size: int = 250,
        limits: Mapping[Hashable, tuple[float, float]] | None = None,
        seed: int | None = None,
        features: Sequence[Hashable] | None = None,
    ) -> None:
        if n_trees < 1:
            raise ValueError(f"n_trees: expected a number >= 1, got {n_trees}")
        if not 1 <= height <= 20:
            raise ValueError(f"height: expected 1 to 20, got {height}")
        if not 1 <= window_size < 2**31:
            raise ValueError(f"window_size: expected 1 to 2^31 - 1, got {window_size}")
        for name, (low, high) in (limits or {}).items():
            if not (math.isfinite(high - low) and low <= high):
                raise ValueError(f"limits of {name}: expected finite low <= high, got ({low}, {high})")
        if features is not None and not 0 < len(features) == len(set(features)):
            raise ValueError(f"features: expected one or more distinct names, got {list(features)}")
        self.n_trees = n_trees
        self.height = height
        self.window_size = window_size
        self.limits = dict(limits or {})
        self.seed = seed
        self.features = features
        self._largest_score = n_trees * window_size * (2 ** (height + 1) - 1)
        if self._largest_score >= LARGEST_EXACT:
            raise ValueError(
                f"n_trees * window_size * 2^(height + 1): expected less than 2^53, so that sums stay exact, "
                f"got {self._largest_score}"
            )
        self._columns: tuple[Hashable, ...] = tuple(features or ())
        self._feature = np.empty((0, 0), dtype=np.uint32)
        self._threshold = np.empty((0, 0), dtype=np.float64)
        self._newest = np.empty((0, 0), dtype=np.int32)
        self._reference = np.empty((0, 0), dtype=np.int32)  # of the leaves
        self._settled = np.empty((0, 0), dtype=np.int64)
        self._progress = np.zeros(3, dtype=np.int64)

    @property
    def is_warm(self) -> bool:
        """True once a whole window has been learnt: from then on scores say something."""
        return bool(self._progress[WARM])

    @property
    def columns(self) -> tuple[Hashable, ...]:
        """Names of the features in the order of the columns of a matrix; empty while they are not known."""
        return self._columns

    def learn_one(self, x: Mapping[Hashable, Any]) -> None:
        """Add one row to the window being filled."""
        if not self._columns:
            if not x:
                raise ValueError("the first row to learn has no features: expected one or more, they shape the trees")
            self._columns = tuple(sorted(x))  # type: ignore[type-var]  # as River: names have an order
        self._run(self._row(x), _LEARN, 0.0)

    def score_one(self, x: Mapping[Hashable, Any]) -> float:
        """Return how unlike the last full window this row is, in [0, 1]; 0.0 before the first window is full."""
        if not self.is_warm:
            return 0.0
        return float(self._run(self._row(x), _LEAVE, 0.0)[0])

    def score_learn_many(
        self, rows: NDArray[np.float64], learn: NDArray[np.bool_] | None = None, *, cold_score: float = 0.0
    ) -> NDArray[np.float64]:
        """Score each row and then learn it, in order: the same bits as `score_one` and `learn_one` row by row.

        How the rows are cut into calls makes no difference.

        Args:
            rows: float64 (n, number of `columns`); NaN and infinite values are missing.
            learn: bool (n,), which rows to learn after they were scored; all by default.
            cold_score: what a row gets that is scored before the first window is full.

        Returns:
            float64 (n,), scores in [0, 1].

        Raises:
            ValueError: a shape does not fit, or the names of the columns are not known yet.
        """
        if not self._columns:
            raise ValueError("expected the names of the columns: pass `features`, or learn one row with `learn_one`")
        if rows.ndim != 2 or rows.shape[1] != len(self._columns):
            raise ValueError(f"rows: expected shape (n, {len(self._columns)}), got {rows.shape}")
        if learn is None:
            learn = np.ones(len(rows), dtype=np.bool_)
        if learn.shape != (len(rows),):
            raise ValueError(f"learn: expected shape ({len(rows)},), got {learn.shape}")
        return self._run(plain(rows, np.float64), plain(learn, np.bool_), float(cold_score))

    def state(self) -> bytes:
        """Pack what was learnt: header, names of the columns as JSON, masses of the leaves, CRC-32; little-endian.

        An inner node holds the sum of its leaves and the trees follow from the seed, so neither is stored: 26 KB for
        25 trees of height 8 and windows of 1,000 rows, half of it before the first one is full.

        Raises:
            ValueError: the detector has no seed, or a name is not a string.
        """
        if self.seed is None:
            raise ValueError("a detector without a seed cannot be restored, its trees are lost: give it one")
        if not all(isinstance(name, str) for name in self._columns):
            raise ValueError(f"expected strings as names of features, got {list(self._columns)}")
        names = json.dumps(self._columns).encode() if self._columns else b""
        at = self.standing()
        header = STATE_HEADER.pack(STATE_MAGIC, STATE_VERSION, at.warm, len(names), at.filled, self._digest())
        masses = (at.newest, at.reference) if at.warm else (at.newest,)
        leaves = [mass.astype(self._mass_dtype).tobytes() for mass in masses]
        body = b"".join((header, names, *leaves))
        return body + _checksum(body)

    def restore(self, data: bytes) -> None:
        """Go on exactly where the detector stood that wrote `data` with `state`.

        Raises:
            AssayError: `data` is damaged, or was written with other parameters, features or trees; nothing changes.
        """
        body, checksum = data[:-4], data[-4:]
        if len(body) < STATE_HEADER.size or not body.startswith(STATE_MAGIC) or _checksum(body) != checksum:
            raise _refused("a whole and undamaged state", f"{len(data)} other bytes")
        _, version, warm, names_size, filled, digest = STATE_HEADER.unpack_from(body)
        if version != STATE_VERSION:
            raise _refused(f"version {STATE_VERSION}", f"version {version}")
        fresh = self.clone()
        masses_at = STATE_HEADER.size + names_size
        if self.features is None and names_size:
            fresh._columns = tuple(json.loads(body[STATE_HEADER.size : masses_at]))
        cold = fresh.standing()
        if fresh._digest() != digest:
            raise _refused(f"parameters, features and trees of digest {fresh._digest().hex()[:16]}", digest.hex()[:16])
        if fresh._columns:
            masses = np.frombuffer(body, self._mass_dtype, offset=masses_at).reshape(-1, self.n_trees, 2**self.height)
            fresh.stand_at(cold._replace(newest=masses[0], reference=masses[-1], filled=filled, warm=bool(warm)))
        self.__dict__ = fresh.__dict__

    def standing(self) -> Standing:
        """Trees and masses as they are now; trees are grown if the features are known."""
        self._ensure_trees()
        return Standing(
            columns=self._columns,
            feature=self._feature,
            threshold=self._threshold,
            newest=self._newest[:, -(2**self.height) :],
            reference=self._reference,
            filled=int(self._progress[FILLED]),
            warm=self.is_warm,
        )

    def stand_at(self, standing: Standing) -> None:
        """Take trees and masses over; they have to be of the same parameters."""
        self._columns = standing.columns
        self._feature, self._threshold = standing.feature, standing.threshold
        self._newest = with_inner_nodes(standing.newest)
        self._reference = standing.reference.astype(np.int32)
        self._settled = np.zeros(self._reference.shape, dtype=np.int64)
        settle(with_inner_nodes(self._reference), 0.1 * self.window_size, self._settled)
        self._progress = np.array([standing.filled, standing.warm, False], dtype=np.int64)

    @property
    def _mass_dtype(self) -> np.dtype[Any]:
        """The smallest unsigned type that holds the mass of a window, little-endian."""
        return np.min_scalar_type(self.window_size).newbyteorder("<")

    def _row(self, x: Mapping[Hashable, Any]) -> NDArray[np.float64]:
        return np.array([[x.get(name, math.nan) for name in self._columns]], dtype=np.float64)

    def _run(self, rows: NDArray[np.float64], learn: NDArray[np.bool_], cold_score: float) -> NDArray[np.float64]:
        self._ensure_trees()
        scores = np.empty(len(rows), dtype=np.float64)
        score_and_learn(
            rows,
            learn,
            self._feature,
            self._threshold,
            self._newest,
            self._reference,
            self._settled,
            self._progress,
            self.window_size,
            float(self._largest_score),
            cold_score,
            scores,
        )
        return scores

    def _ensure_trees(self) -> None:
        if not self._columns or self._feature.size:
            return
        order = sorted(range(len(self._columns)), key=self._columns.__getitem__)  # type: ignore[arg-type]
        limits = [self.limits.get(self._columns[column], (0.0, 1.0)) for column in order]
        if self.seed is None:
            grown = grow(order, limits, self.n_trees, self.height, random.Random())  # noqa: S311
        else:
            grown = _grown_from(self.seed, tuple(order), tuple(limits), self.n_trees, self.height)
        self._feature, self._threshold = grown
        self._newest = np.zeros((self.n_trees, 2 ** (self.height + 1) - 1), dtype=np.int32)
        self._reference = np.zeros((self.n_trees, 2**self.height), dtype=np.int32)
        self._settled = np.zeros((self.n_trees, 2**self.height), dtype=np.int64)

    def _digest(self) -> bytes:
        """Name parameters and trees: a Python that would draw other trees from the same seed is noticed too."""
        limits = sorted((str(name), float(low), float(high)) for name, (low, high) in self.limits.items())
        parameters = [self.n_trees, self.height, self.window_size, self.seed, limits, self._columns]
        digest = hashlib.sha256(json.dumps(parameters).encode())
        digest.update(self._feature.astype("<u4").tobytes())
        digest.update(self._threshold.astype("<f8").tobytes())
        return digest.digest()


def _checksum(body: bytes) -> bytes:
    return zlib.crc32(body).to_bytes(4, "little")


def _refused(expected: str, got: str) -> AssayError:
    return AssayError(
        f"state of half-space trees: expected {expected}, got {got}; "
        "use the model that wrote this state, or rebuild it from the log"
    )


@lru_cache(maxsize=8)
def _grown_from(
    seed: int, order: tuple[int, ...], limits: tuple[tuple[float, float], ...], n_trees: int, height: int
) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
    """Trees of a seed, grown once per process, because every partition needs the same."""
    return grow(order, limits, n_trees, height, random.Random(seed))  # noqa: S311
