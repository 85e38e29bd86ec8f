"""Half-space trees as the engine sees them: `models.half_space_trees` behind the frozen limits of a specification."""

import math

import numpy as np
from numpy.typing import NDArray

from features.errors import AssayError
from models.detector import Anomalies, Detector, DetectorSpec, digest_of, seal, unseal
from models.half_space_trees import HalfSpaceTrees
from models.unit_scale import UnitScale


class HalfSpaceTreesDetector(Detector):
    """Keeps the promises of `Detector`; about a microsecond a row. It cannot tell its inputs apart.

    Raises:
        AssayError: a value of `spec` does not fit.
    """

    def __init__(self, spec: DetectorSpec) -> None:
        try:
            self._trees = HalfSpaceTrees(
                n_trees=spec.n_trees,
                height=spec.height,
                window_size=spec.window_size,
                seed=spec.seed,
                features=spec.names,
            )
        except ValueError as error:
            raise AssayError(f"detector specification: {error}; correct the model's manifest") from error
        self.names = spec.names
        self._scale = UnitScale(spec.limits)
        self._digest = digest_of(spec)

    @property
    def is_warm(self) -> bool:
        """True once a whole window was learnt."""
        return self._trees.is_warm

    def anomalies(
        self, features: NDArray[np.float32], columns: NDArray[np.int64], learn: NDArray[np.bool_]
    ) -> Anomalies:
        """See `Detector`."""
        unit = self._scale(features, columns, learn)
        return Anomalies(self._trees.score_learn_many(unit, learn, cold_score=math.nan))

    def state(self) -> bytes:
        """See `Detector`."""
        return seal(self._digest, self._trees.state())

    def restore(self, data: bytes) -> None:
        """See `Detector`."""
        self._trees.restore(unseal(self._digest, data))
