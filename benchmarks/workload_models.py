"""The models of the workload: exactly 300 trees of 31 leaves, on the product's features and on the rivals'.

Both are trained by LightGBM on the same simulated log with the same parameters; nothing stops them early, so that what
is measured is always the same amount of work.
"""

import re
import shutil
import warnings
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import orjson
from numpy.typing import NDArray

from features.catalogue import FEATURES
from features.money import Rates
from features.store import MemoryStore
from models.artefact import write_artefact
from models.booster import library_version
from models.calibration import fit_platt
from models.decision import decide
from models.detector import DetectorSpec, fit_limits
from models.manifest import Trained
from models.policy import Policy
from models.reference import reference_of
from models.training import detector_inputs
from streams.log import JudgedFeatures, LogRecord
from streams.model_in_force import ModelInForce, open_model
from streams.partition import Partition
from streams.shipped_model import SHIPPED
from streams.signature import everybody

TREES, LEAVES = 300, 31
DETECTOR_TREES, DETECTOR_HEIGHT = 25, 8
_TREES_SHARE = 0.85
_GOLDEN_SAMPLE = 4_000
_BATCH = 1_000
_PARAMETERS = {
    "objective": "binary",
    "learning_rate": 0.02,
    "num_leaves": LEAVES,
    "min_sum_hessian_in_leaf": 1e-6,  # else late trees, which find little left to learn, stay smaller
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}


def train(values: Sequence[bytes], frauds: set[str], seed: int, model: Path, peer_model: Path) -> None:
    """Train both models and write them; each appears when it is complete.

    Args:
        values: judged events as JSON, in order of arrival.
        frauds: ids of those that turned out to be fraud.
        seed: of everything random.
        model: directory to make, the product's artefact.
        peer_model: file to make, LightGBM's text.
    """
    events = [orjson.loads(value) for value in values]
    labels = np.array([event["event_id"] in frauds for event in events], dtype=np.uint8)
    judged = _judged(open_model(SHIPPED), values)
    shutil.rmtree(model, ignore_errors=True)
    _write_artefact(model, judged, labels, [event["time_ms"] for event in events], seed)
    text = _trees(_peer_rows(events), labels, None, seed)
    partial = peer_model.with_suffix(".partial")
    partial.write_text(text)
    partial.rename(peer_model)


def feature_rows(model: ModelInForce, values: Sequence[bytes]) -> NDArray[np.float32]:
    """float32[n, features]: what the engine computes for judged events, folded from empty state."""
    return _column(_judged(model, values), "features")


def _judged(model: ModelInForce, values: Sequence[bytes]) -> list[JudgedFeatures]:
    partition = Partition(0, MemoryStore(), model, lambda _: model, keep_features=True)
    parts: list[JudgedFeatures] = []
    for start in range(0, len(values), _BATCH):
        records = [LogRecord(start + place, value) for place, value in enumerate(values[start : start + _BATCH])]
        parts += partition.fold(records, everybody).judged
    return parts


def _column(judged: Sequence[JudgedFeatures], name: str) -> NDArray[Any]:
    return np.concatenate([getattr(part, name) for part in judged])


def _peer_rows(events: Sequence[dict[str, Any]]) -> NDArray[np.float64]:
    from benchmarks.peers.job import History, features  # brings River, which takes a while

    histories: dict[str, History] = defaultdict(lambda: ([], []))
    return np.array([features(event, histories[event["account_id"]]) for event in events], dtype=np.float64)


def _trees(rows: NDArray[Any], labels: NDArray[np.uint8], names: list[str] | None, seed: int) -> str:
    """LightGBM's text of `TREES` trees, each with `LEAVES` leaves."""
    data = lightgbm.Dataset(rows, labels, feature_name=names or "auto", params=_PARAMETERS)
    text = str(lightgbm.train({**_PARAMETERS, "seed": seed}, data, TREES).model_to_string())
    leaves = re.findall(r"^num_leaves=(\d+)$", text, flags=re.MULTILINE)
    assert leaves == [str(LEAVES)] * TREES, f"{len(leaves)} trees with {sorted(set(leaves))} leaves"
    return text


def _write_artefact(
    directory: Path, judged: Sequence[JudgedFeatures], labels: NDArray[np.uint8], times_ms: Sequence[int], seed: int
) -> None:
    rows, kind, amount_minor = (_column(judged, name) for name in ("features", "kind", "amount_base_minor"))
    cut = int(len(rows) * _TREES_SHARE)  # what comes after it calibrates, and is what live traffic is compared with
    text = _trees(rows[:cut], labels[:cut], list(FEATURES.names), seed)
    held_out = lightgbm.Booster(model_str=text).predict(rows[cut:], raw_score=True, num_threads=1)
    calibration = fit_platt(held_out, labels[cut:])
    score = np.round(calibration.apply(held_out), 6)
    policy = Policy.default()
    outcome = decide(policy, score, np.full(len(score), np.nan), amount_minor[cut:], kind[cut:]).outcome
    legitimate = rows[:cut][labels[:cut] == 0].astype(np.float64)
    names = detector_inputs(FEATURES)
    with warnings.catch_warnings(category=RuntimeWarning, action="ignore"):  # a column without values
        baselines = np.nanmedian(legitimate, axis=0).tolist()
    write_artefact(
        directory,
        name="benchmark",
        feature_set=FEATURES,
        model_text=text,
        calibration=calibration,
        detector=DetectorSpec(
            names=names,
            limits=fit_limits(legitimate[:, [FEATURES.index[name] for name in names]]),
            seed=seed,
            n_trees=DETECTOR_TREES,
            height=DETECTOR_HEIGHT,
        ),
        policy=policy,
        rates=Rates.default(),
        baselines=baselines,
        sample=rows[-_GOLDEN_SAMPLE:],
        reference=reference_of(FEATURES.names, rows[cut:], score, outcome),
        trained=Trained(
            first_time_ms=min(times_ms[:cut]),
            last_time_ms=max(times_ms[:cut]),
            event_count=cut,
            fraud_count=int(labels[:cut].sum()),
            seed=seed,
            lightgbm=library_version(),
            metrics={},
        ),
    )
