"""Small artefacts for tests, and their damage."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from msgspec import UNSET

from features.money import Rates
from models.artefact import Artefact, write_artefact
from models.booster import library_version
from models.calibration import Calibration
from models.decision import OUTCOMES
from models.detector import DetectorSpec
from models.manifest import Trained
from models.policy import Policy
from models.reference import Reference, reference_of
from tests.models.random_models import random_rows, train

FEATURES = 9


@dataclass(frozen=True)
class SomeFeatures:
    """A feature set with the least that an artefact asks for."""

    names: tuple[str, ...] = tuple(f"account_thing_{number}" for number in range(FEATURES))
    version: int = 1

    @property
    def hash(self) -> str:
        return hashlib.sha256(repr(self).encode()).hexdigest()


FEATURE_SET = SomeFeatures()


POLICY = msgspec.structs.replace(Policy.default(), rules_only=UNSET)
"""Without rules: those of the built-in one name features that are not in this set."""


def trained(**changes: object) -> Trained:
    facts = {
        "first_time_ms": 1_700_000_000_000,
        "last_time_ms": 1_700_086_400_000,
        "event_count": 3000,
        "fraud_count": 200,
        "seed": 1,
        "lightgbm": library_version(),
        "metrics": {"average_precision": 0.5, "auc": np.float64(0.9)},
    }
    return Trained(**{**facts, **changes})


def reference(names: tuple[str, ...] = FEATURE_SET.names, rows: int = 500, seed: int = 1) -> Reference:
    """Of random rows, scores and decisions."""
    random = np.random.default_rng(seed)
    outcome = random.integers(0, len(OUTCOMES), rows).astype(np.uint8)
    return reference_of(names, random_rows(seed, rows, len(names)), random.random(rows), outcome)


def make(directory: Path, seed: int = 1, model_text: str = "", **changes: object) -> Artefact:
    """Write an artefact; `changes` override arguments of `write_artefact`."""
    text = model_text or train(seed, features=FEATURES, names=FEATURE_SET.names).model_to_string()
    parts = {
        "name": "test",
        "feature_set": FEATURE_SET,
        "model_text": text,
        "calibration": Calibration(kind="platt", low_slope=1.25, high_slope=1.25, intercept=-0.5),
        "detector": DetectorSpec(names=FEATURE_SET.names[:2], limits=((0.0, 1.0), (0.0, 40))),
        "policy": POLICY,
        "rates": Rates.default(),
        "baselines": [0, None, float("nan"), *np.linspace(0, 1, FEATURES - 3)],
        "sample": random_rows(seed, 500, FEATURES),
        "reference": reference(),
        "trained": trained(),
    }
    return write_artefact(directory, **{**parts, **changes})


def reseal(directory: Path) -> str:
    """Make the hashes of the manifest those of the files as they are now; the new id."""
    manifest = json.loads((directory / "manifest.json").read_bytes())
    manifest["files"] = {
        name: hashlib.sha256((directory / name).read_bytes()).hexdigest() for name in manifest["files"]
    }
    data = msgspec.json.encode(manifest, order="sorted")
    (directory / "manifest.json").write_bytes(data)
    return hashlib.sha256(data).hexdigest()
