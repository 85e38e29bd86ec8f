"""A model as the fold uses it: one object holding everything that turns features into a verdict."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.catalogue import FEATURES
from features.feature import FeatureSet
from features.money import EXPONENTS, Rates
from models.artefact import Artefact, load_artefact
from models.detector import DetectorSpec
from models.policy import Policy
from models.reasons import Explainer
from models.scorer import Scorer
from models.wording import Money


@dataclass(frozen=True, slots=True)
class ModelInForce:
    """An artefact, opened.

    Attributes:
        artefact: the checked artefact.
        scorer: raw scores, probabilities, contributions.
        detector_columns: int64[k], columns of the detector's inputs.
        explainer: reasons of verdicts.
        baselines: float64[f].
        money: base currency in words.
        edges: float32[k] of each feature, between the bins of what the model was trained on.
        feature_set: what the model reads.
    """

    artefact: Artefact
    scorer: Scorer
    detector_columns: NDArray[np.int64]
    explainer: Explainer
    baselines: NDArray[np.float64]
    money: Money
    edges: tuple[NDArray[np.float32], ...]
    feature_set: FeatureSet

    @property
    def id(self) -> str:
        """Sha256 (hex) that names the model."""
        return self.artefact.id

    @property
    def policy(self) -> Policy:
        """Costs in force."""
        return self.artefact.policy

    @property
    def rates(self) -> Rates:
        """Exchange rates in force."""
        return self.artefact.rates

    @property
    def detector(self) -> DetectorSpec:
        """Which detector runs beside the model."""
        return self.artefact.manifest.detector


def open_model(directory: Path, feature_set: FeatureSet = FEATURES) -> ModelInForce:
    """Check an artefact (hashes, feature set, a canary process) and open it.

    Raises:
        AssayError: it is missing, damaged, or made for another feature set.
    """
    artefact = load_artefact(directory, feature_set)
    columns = np.array([feature_set.index[name] for name in artefact.manifest.detector.names], dtype=np.int64)
    money = Money(artefact.rates.base, EXPONENTS[artefact.rates.base])
    return ModelInForce(
        artefact=artefact,
        scorer=Scorer(artefact),
        detector_columns=columns,
        explainer=Explainer(feature_set, artefact.baselines, money),
        baselines=artefact.baselines,
        money=money,
        edges=artefact.reference.edges(),
        feature_set=feature_set,
    )
