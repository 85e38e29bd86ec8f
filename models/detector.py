"""The online anomaly detector as the engine sees it: rows in, scores out, its state as bytes.

A detector learns what rows usually look like while they pass. It never sees a label. Which detector runs, on which
features and between which limits is a `DetectorSpec`, a part of the model's manifest.
"""

import hashlib
import math
import struct
import zlib
from typing import Any, Literal, NamedTuple, Protocol, assert_never

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.errors import AssayError
from models.plain_arrays import shapes_differ

DetectorKind = Literal["half_space_trees", "tail_log_probability", "river"]
"""Which detector: see `DetectorSpec`."""

Limits = tuple[float, float]
"""Range (low, high) of one input, low < high."""

HEADROOM = 0.5
"""The upper limit lies this share of the 99.9th percentile above it."""

SEAL = struct.Struct("<4sHxxI32s")
"""What every state begins with: magic, version, CRC-32 of what follows, digest of the specification."""
SEAL_MAGIC = b"ADET"
SEAL_VERSION = 1


class Anomalies(NamedTuple):
    """What a detector says of some rows.

    Attributes:
        score: float64 (n,) in [0, 1], higher = more unusual; NaN where the detector was **not yet warm**.
        tails: float64 (n, k), how far out in a tail each input lies: -ln of the share of recent rows that lie as far
            out or farther, positive where the value is high, negative where it is low, 0 where it is missing or
            nothing is known. None from a detector that cannot tell its inputs apart.
    """

    score: NDArray[np.float64]
    tails: NDArray[np.float64] | None = None


class Detector(Protocol):
    """What every online detector can do. State belongs to one partition and depends on its rows alone.

    Attributes:
        names: the input features, in order.
    """

    names: tuple[str, ...]

    @property
    def is_warm(self) -> bool:
        """True once enough rows were learnt for scores to say something."""

    def anomalies(
        self, features: NDArray[np.float32], columns: NDArray[np.int64], learn: NDArray[np.bool_]
    ) -> Anomalies:
        """Score each row, then learn it where `learn` says so, in order; how rows are cut into calls is no matter.

        Args:
            features: float32 (n, f), raw values as served; NaN and infinite values are missing.
            columns: int64 (k,), where the inputs lie among the f columns, in the order of `names`.
            learn: bool (n,).

        Raises:
            ValueError: a shape does not fit.
        """

    def score_learn_many(self, rows: NDArray[Any], learn: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Scores of rows (n, k) that hold the inputs alone; see `anomalies`. Numbers are taken as float32.

        Raises:
            ValueError: a shape does not fit.
        """
        if rows.ndim != 2 or rows.shape[1] != len(self.names):
            raise shapes_differ(len(self.names), rows, learn)
        return self.anomalies(rows, np.arange(len(self.names)), learn).score

    def state(self) -> bytes:
        """Everything that was learnt, little-endian, without pickle."""

    def restore(self, data: bytes) -> None:
        """Go on exactly where the detector stood that wrote `data`.

        Raises:
            AssayError: `data` is damaged or belongs to another specification; the detector is as it was.
        """


class DetectorSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which detector runs, on what, and how.

    Attributes:
        kind: `half_space_trees`, compiled; `tail_log_probability`, compiled, tells which inputs are unusual; or
            `river`, any anomaly detector of River (slow).
        names: the input features.
        limits: frozen (low, high) of each input: it is mapped to (value - low) / (high - low) and cut to [0, 1].
        seed: of the detector's random choices.
        n_trees: number of trees (half_space_trees).
        height: levels of cuts in a tree (half_space_trees).
        window_size: learnt rows in a window; the detector is warm after the first one (half_space_trees,
            tail_log_probability).
        bins: of the histogram of each input, between its limits (tail_log_probability).
        kept_share: what earlier rows still count when a window is full, 0 to below 1 (tail_log_probability).
        detector: dotted name of the class, for example `river.anomaly.LocalOutlierFactor` (river).
        arguments: its keyword arguments (river).
        warm_up_rows: learnt rows after which it is warm (river).
        journal_rows: most learnt rows that are kept to restore it (river).
    """

    kind: DetectorKind = "half_space_trees"
    names: tuple[str, ...]
    limits: tuple[Limits, ...]
    seed: int = 0
    n_trees: int = 25
    height: int = 8
    window_size: int = 1_000
    bins: int = 64
    kept_share: float = 0.8
    detector: str = ""
    arguments: dict[str, bool | int | float | str | None] = msgspec.field(default_factory=dict)
    warm_up_rows: int = 250
    journal_rows: int = 20_000


def build(spec: DetectorSpec) -> Detector:
    """Make the detector that `spec` describes; it has learnt nothing.

    Raises:
        AssayError: a value of `spec` does not fit.

    >>> detector = build(DetectorSpec(names=("amount_ratio",), limits=((0.0, 40.0),), window_size=3))
    >>> rows = np.array([[1.0], [1.2], [1.1], [1.1], [39.0]])
    >>> detector.score_learn_many(rows, np.full(5, True)).round(2)
    array([ nan,  nan,  nan, 0.28, 1.  ])
    """
    check_inputs(spec)
    match spec.kind:
        case "half_space_trees":
            from models.half_space_detector import HalfSpaceTreesDetector

            return HalfSpaceTreesDetector(spec)
        case "tail_log_probability":
            from models.tail_detector import TailDetector

            return TailDetector(spec)
        case "river":
            from models.river_detector import RiverDetector

            return RiverDetector(spec)
        case _:
            assert_never(spec.kind)


def fit_limits(rows: NDArray[np.float64]) -> tuple[Limits, ...]:
    """Limits for the columns of `rows` (n, k): from the minimum to half the 99.9th percentile above that percentile.

    For positive values that is [min, 1.5 * p99.9]: fixed limits that keep the tail in value space. (Running limits
    shift the meaning of every cut, and a single extreme row squashes the axis.) Missing values (NaN, infinite) do not
    count. A column without values gets (0, 1), a column of zeros (0, 1), so that anything else stands out.

    >>> fit_limits(np.array([[2.0, 0.0], [4.0, np.nan]]))
    ((2.0, 5.997), (0.0, 1.0))
    """
    limits = []
    for column in rows.T:
        values = column[np.isfinite(column)]
        low, tail = (float(values.min()), float(np.quantile(values, 0.999))) if values.size else (0.0, 0.0)
        high = tail + HEADROOM * abs(tail)
        limits.append((low, high if high > low else low + 1.0))
    return tuple(limits)


def check_inputs(spec: DetectorSpec) -> None:
    """Check names and limits.

    Raises:
        AssayError: names are missing or double, or limits are missing, not finite or not in order.
    """
    if not 0 < len(spec.names) == len(set(spec.names)):
        raise AssayError(
            f"detector specification: names: expected one or more distinct features, got {list(spec.names)}; "
            "correct the model's manifest"
        )
    if len(spec.limits) != len(spec.names):
        raise AssayError(
            f"detector specification: limits: expected one pair for each of {len(spec.names)} names, "
            f"got {len(spec.limits)}; correct the model's manifest"
        )
    for name, (low, high) in zip(spec.names, spec.limits, strict=True):
        if not (low < high and math.isfinite(high - low)):
            raise AssayError(
                f"detector specification: limits of {name}: expected finite low < high, got [{low}, {high}]; "
                "fit them again on the training rows"
            )


def digest_of(spec: DetectorSpec, *more: str) -> bytes:
    """Name a specification (and what else its state depends on) in 32 bytes, the same after a trip through JSON."""
    as_read = msgspec.json.decode(msgspec.json.encode(spec), type=DetectorSpec)
    return hashlib.sha256(msgspec.json.encode((as_read, more), order="deterministic")).digest()


def seal(digest: bytes, payload: bytes) -> bytes:
    """Put format, checksum and the digest of the specification before a state."""
    return SEAL.pack(SEAL_MAGIC, SEAL_VERSION, zlib.crc32(payload), digest) + payload


def unseal(digest: bytes, data: bytes) -> bytes:
    """Return the payload of a state that the same specification wrote.

    Raises:
        AssayError: another specification, another version of the format, or damage.
    """
    advice = "use the model that wrote this state, or rebuild it from the log"
    if len(data) < SEAL.size or not data.startswith(SEAL_MAGIC):
        raise AssayError(f"detector state: expected {SEAL_MAGIC!r} at the start, got {len(data)} other bytes; {advice}")
    _, version, checksum, written_by = SEAL.unpack_from(data)
    payload = data[SEAL.size :]
    if version != SEAL_VERSION:
        raise AssayError(f"detector state: expected version {SEAL_VERSION}, got version {version}; {advice}")
    if written_by != digest:
        raise AssayError(
            f"detector state: expected one of the specification {digest.hex()[:16]}, "
            f"got one of {written_by.hex()[:16]}; {advice}"
        )
    if zlib.crc32(payload) != checksum:
        raise AssayError(
            f"detector state: expected checksum {checksum:08x}, got {zlib.crc32(payload):08x}: it is damaged; {advice}"
        )
    return payload
