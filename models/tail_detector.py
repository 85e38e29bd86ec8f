"""The second online detector: how far out in the tail of its own recent past is each input?

Each input has a histogram of decayed counts between its frozen limits. A value's tail is the share of recent rows that
lie as far out, to the left or to the right; the score of a row adds up -ln of the tails that are rarer than 1 in 10.
Such a sum is the (soft-thresholded) Fisher statistic of independent tests. It is quick, needs no random choices, and
tells which inputs are unusual and on which side; what is unusual only as a combination it cannot see (half-space trees
can).

Scores compare with full windows alone, as those of half-space trees do: when `window_size` rows were learnt, the counts
so far are multiplied by `kept_share`, the window joins them, and a table of tails is made anew.

Sources: Z. Li, Y. Zhao, X. Hu, N. Botta, C. Ionescu, G. Chen, "ECOD: Unsupervised Outlier Detection Using Empirical
Cumulative Distribution Functions", TKDE 2022 (tails of each dimension, added up as if independent); H. Zhang, T. Tong,
J. Landers, Z. Wu, "TFisher: A powerful truncation and weighting procedure for combining p-values", 2020 (the soft
threshold). Decision record 0013.
"""

import struct

import numpy as np
from numpy.typing import NDArray

from features.errors import AssayError
from models.detector import Anomalies, Detector, DetectorSpec, digest_of, seal, unseal
from models.plain_arrays import plain
from models.tail_kernels import FILLED, WARM, judge, renew
from models.unit_scale import UnitScale

MOST_BINS = 4_096
_PROGRESS = struct.Struct("<QQ")


class TailDetector(Detector):
    """Keeps the promises of `Detector`, and fills `Anomalies.tails`; a fraction of a microsecond a row.

    A score is 0 where no input lies in a tail, and x / (x + 5) where the tails add up to x. A missing input adds
    nothing. Values beyond the limits count as the limit.

    Raises:
        AssayError: a value of `spec` does not fit.
    """

    def __init__(self, spec: DetectorSpec) -> None:
        for name, value, expected, fits in (
            ("bins", spec.bins, f"2 to {MOST_BINS}", 2 <= spec.bins <= MOST_BINS),
            ("window_size", spec.window_size, "1 to 2^31 - 1", 1 <= spec.window_size < 2**31),
            ("kept_share", spec.kept_share, "0 to below 1", 0.0 <= spec.kept_share < 1.0),
        ):
            if not fits:
                raise AssayError(
                    f"detector specification: {name}: expected {expected}, got {value}; correct the model's manifest"
                )
        self.names = spec.names
        self._window_size, self._kept_share = spec.window_size, float(spec.kept_share)
        self._scale = UnitScale(spec.limits)
        self._digest = digest_of(spec)
        shape = (len(spec.names), spec.bins)
        self._newest = np.zeros(shape, dtype=np.int64)
        self._reference = np.zeros(shape, dtype=np.float64)
        self._table = np.zeros(shape, dtype=np.float64)
        self._progress = np.zeros(2, dtype=np.int64)

    @property
    def is_warm(self) -> bool:
        """True once a whole window was learnt."""
        return bool(self._progress[WARM])

    def anomalies(
        self, features: NDArray[np.float32], columns: NDArray[np.int64], learn: NDArray[np.bool_]
    ) -> Anomalies:
        """See `Detector`."""
        unit = self._scale(features, columns, learn)
        score, tails = np.empty(len(unit)), np.empty(unit.shape)
        judge(
            unit,
            plain(learn, np.bool_),
            self._newest,
            self._reference,
            self._table,
            self._progress,
            self._window_size,
            self._kept_share,
            score,
            tails,
        )
        return Anomalies(score, tails)

    def state(self) -> bytes:
        """See `Detector`: progress and both histograms, 12 bytes a bin; the table follows from them."""
        progress = _PROGRESS.pack(int(self._progress[FILLED]), int(self._progress[WARM]))
        histograms = self._newest.astype("<u4").tobytes() + self._reference.astype("<f8").tobytes()
        return seal(self._digest, progress + histograms)

    def restore(self, data: bytes) -> None:
        """See `Detector`."""
        payload = unseal(self._digest, data)
        self._progress[:] = _PROGRESS.unpack_from(payload)
        newest = np.frombuffer(payload, "<u4", self._newest.size, offset=_PROGRESS.size)
        reference = np.frombuffer(payload, "<f8", offset=_PROGRESS.size + newest.nbytes)
        self._newest[:] = newest.reshape(self._newest.shape)
        self._reference[:] = reference.reshape(self._reference.shape)
        renew(self._reference, self._table)
