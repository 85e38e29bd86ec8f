"""A real but small model over the real feature set, trained in a second on rows drawn from a seed."""

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.catalogue import FEATURES
from features.columns import PAYMENT
from features.feature import FeatureSet
from features.money import Rates
from models.artefact import Artefact, write_artefact
from models.booster import library_version
from models.decision import decide
from models.manifest import Trained
from models.policy import Policy
from models.reference import Reference, reference_of
from models.training import TrainedModel, train
from streams.model_in_force import ModelInForce, open_model

WINDOW_ROWS = 40
"""The small model's detector is warm after so few events, so that tests see both sides."""
TREES, HEIGHT = 10, 5
"""Its forest is grown in a fiftieth of the time that the usual one takes."""


def write_small_model(directory: Path, seed: int = 1, rates: Rates | None = None) -> Artefact:
    """Fraud is likelier with many payments in an hour and amounts above the account's mean."""
    random = np.random.default_rng(seed)
    rows = random.gamma(1.0, 3.0, size=(4_000, len(FEATURES))).astype(np.float32)
    for name, most in (("event_local_weekday", 7), ("event_local_hour", 24)):  # what can be put into words
        rows[:, FEATURES.index[name]] = np.floor(rows[:, FEATURES.index[name]] % most)
    rows[random.random(rows.shape) < 0.2] = np.nan
    count = rows[:, FEATURES.index["account_payment_count_1h"]] = random.poisson(1.5, size=len(rows))
    ratio = rows[:, FEATURES.index["account_amount_to_mean_ratio_30d"]]
    odds = -6.0 + 1.2 * count + 0.3 * np.nan_to_num(ratio)
    labels = (random.random(len(rows)) < 1.0 / (1.0 + np.exp(-odds))).astype(np.uint8)
    time_ms = np.arange(len(rows), dtype=np.int64) * 60_000 + 1_700_000_000_000
    trained = train(rows, labels, time_ms, feature_set=FEATURES, seed=seed, rounds=30)
    return write_artefact(
        directory,
        name=f"small-{seed}",
        feature_set=FEATURES,
        model_text=trained.model_text,
        calibration=trained.calibration,
        detector=msgspec.structs.replace(trained.detector, window_size=WINDOW_ROWS, n_trees=TREES, height=HEIGHT),
        policy=Policy.default(),
        rates=rates or Rates.default(),
        baselines=trained.baselines.tolist(),
        sample=rows,
        reference=reference_of_test_period(trained, rows, FEATURES),
        trained=Trained(
            first_time_ms=int(time_ms[0]),
            last_time_ms=int(time_ms[-1]),
            event_count=len(rows),
            fraud_count=int(labels.sum()),
            seed=seed,
            lightgbm=library_version(),
            metrics={},
        ),
    )


def reference_of_test_period(trained: TrainedModel, rows: NDArray[np.float32], feature_set: FeatureSet) -> Reference:
    """What a model met on its last block, each row taken for a payment of 50 EUR."""
    tested, score = trained.blocks.calibration, trained.held_out_score
    amount_minor, kind = np.full(len(tested), 5_000), np.full(len(tested), PAYMENT, dtype=np.uint8)
    outcome = decide(Policy.default(), score, np.full(len(tested), np.nan), amount_minor, kind).outcome
    return reference_of(feature_set.names, rows[tested], score, outcome)


@cache
def small_model_directory(seed: int = 1) -> Path:
    """Where the small model of a seed lies; written once per test process."""
    directory = Path(mkdtemp(prefix="assay-small-model-")) / f"small-{seed}"
    write_small_model(directory, seed)
    return directory


@cache
def small_model(seed: int = 1) -> ModelInForce:
    """The small model of a seed, opened."""
    return open_model(small_model_directory(seed))
