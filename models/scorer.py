"""The supervised model at work: rows in, raw scores, probabilities and contributions out."""

import numpy as np
from numpy.typing import NDArray

from models.artefact import Artefact
from models.attribution import Contributions, path_contributions, shap_contributions
from models.booster import RAW_SCORE, Booster
from models.trees import Trees

SCORE_DIGITS = 6
"""Digits of a published score. A decision uses the rounded score, so it can be computed again from the verdict."""


class Scorer:
    """Scores rows with one model, in the calling thread.

    Every method takes float32[n, features] in the column order of the model's feature set, NaN where a value is not
    known, n >= 0. A row gets the same bits alone and in any batch.

    Args:
        artefact: from `models.artefact.load_artefact`, which has tried it in another process: a damaged model would
            end this one.
    """

    def __init__(self, artefact: Artefact) -> None:
        self._booster = Booster(artefact.model_text)
        self._calibration = artefact.manifest.calibration
        self._trees = artefact.trees

    def raw(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """float64[n]: log-odds of fraud, bit for bit what ``lightgbm.Booster.predict(raw_score=True)`` returns."""
        rows = self._checked(rows)
        scores = np.empty(len(rows), dtype=np.float64)
        if len(rows):
            self._booster.predict(RAW_SCORE, rows.ctypes.data, len(rows), scores.ctypes.data, len(scores))
        return scores

    def score(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """float64[n]: calibrated probability of fraud, rounded to `SCORE_DIGITS`."""
        return np.round(self._calibration.apply(self.raw(rows)), SCORE_DIGITS)

    def contributions(self, rows: NDArray[np.float32]) -> Contributions:
        """What moved each raw score: path attribution, or TreeSHAP (slow) where `Trees` does not hold the model."""
        rows = self._checked(rows)
        if isinstance(self._trees, Trees):
            return path_contributions(self._trees, rows)
        return shap_contributions(self._booster, rows)

    def _checked(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        assert rows.dtype == np.float32, rows.dtype
        assert rows.ndim == 2, rows.shape
        assert rows.shape[1] == self._booster.feature_count, (rows.shape, self._booster.feature_count)
        return np.ascontiguousarray(rows)
