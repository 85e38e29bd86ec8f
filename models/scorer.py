"""The supervised model at work: rows in, raw scores, probabilities and contributions out."""

import logging
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.artefact import Artefact
from models.attribution import Contributions, path_contributions, shap_contributions
from models.booster import RAW_SCORE, Booster
from models.forest import Forest, forest_of, raw_scores, scores_by_kernel
from models.golden import Golden
from models.prepared_paths import Paths, paths_of, prepared_contributions
from models.trees import Trees, UnsupportedTrees

_log = logging.getLogger("assay.scorer")

SCORE_DIGITS = 6
"""Digits of a published score. A decision uses the rounded score, so it can be computed again from the verdict."""


class Scorer:
    """Scores rows with one model, in the calling thread.

    Every method takes float32[n, features] in the column order of the model's feature set, NaN where a value is not
    known, n >= 0. A row gets the same bits alone and in any batch.

    Raw scores come from the compiled forest, which has to give the golden scores first; from LightGBM where the
    forest cannot hold the model (`is_compiled` is False then, and the log says why).

    Args:
        artefact: from `models.artefact.load_artefact`, which has tried it in another process: a damaged model would
            end this one.
    """

    def __init__(self, artefact: Artefact) -> None:
        self._model_text = artefact.model_text
        self._feature_count = len(artefact.manifest.feature_set.names)
        self._calibration = artefact.manifest.calibration
        self._trees = artefact.trees
        self._forest: Forest | None = None
        self._paths: Paths | None = None
        if isinstance(artefact.trees, UnsupportedTrees):
            _log.warning(
                "model %s is not compiled, LightGBM scores it: the same scores, later. The reason: %s",
                artefact.id[:16],
                artefact.trees.reason,
            )
            return
        forest = forest_of(artefact.trees)
        self._paths = paths_of(artefact.trees, forest.walk)
        if _gives(forest, artefact.golden):
            self._forest = forest
        else:
            _log.error(
                "model %s: the compiled forest does not give the golden scores; LightGBM is used", artefact.id[:16]
            )

    @cached_property
    def _booster(self) -> Booster:
        return Booster(self._model_text)

    @property
    def is_compiled(self) -> bool:
        """Whether raw scores come from the compiled forest."""
        return self._forest is not None

    def raw(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """float64[n]: log-odds of fraud, bit for bit what ``lightgbm.Booster.predict(raw_score=True)`` returns."""
        rows = self._checked(rows)
        if self._forest is not None:
            return raw_scores(self._forest, rows)
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
        if self._paths is not None:
            return prepared_contributions(self._paths, rows)
        if isinstance(self._trees, Trees):
            return path_contributions(self._trees, rows)
        return shap_contributions(self._booster, rows)

    def _checked(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        assert rows.dtype == np.float32, rows.dtype
        assert rows.ndim == 2, rows.shape
        assert rows.shape[1] == self._feature_count, (rows.shape, self._feature_count)
        return np.ascontiguousarray(rows)


def _gives(forest: Forest, golden: Golden) -> bool:
    """Whether every kernel gives the golden rows the scores that LightGBM gave them, to the last bit."""
    expected = golden.scores.view(np.int64)
    by_kernel = scores_by_kernel(forest, np.ascontiguousarray(golden.rows))
    return all(np.array_equal(scores.view(np.int64), expected) for scores in by_kernel)
