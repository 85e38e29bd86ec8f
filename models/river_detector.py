"""Any anomaly detector of River, named in the configuration: the slow path, from 20 microseconds to 40 ms a row.

River's detectors are Python objects that cannot be stored without pickle. So the state is a **journal** of the rows
that were learnt, and to restore is to learn them again. The journal is bounded: the row that fills it makes a new
detector, which learns the newest half and goes on from there. That happens at a fixed position of the stream,
restarts or not, so a restored detector is the same as one that never stopped.

Scores are mapped to [0, 1] without changing their order:

- `HalfSpaceTrees`, already in [0, 1]: as they are;
- `LocalOutlierFactor`, 0 or more: s / (1 + s);
- every other (`LODA`, `OneClassSVM`: any number): (1 + s / (1 + |s|)) / 2.

A missing value is replaced by the mean of the learnt values of that feature (0.5, the middle, before the first):
most of River's detectors would read an absent feature as 0.
"""

import importlib
import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import river
from numpy.typing import NDArray
from river.base import AnomalyDetector

from features.errors import AssayError
from models.detector import Anomalies, Detector, DetectorSpec, digest_of, seal, unseal
from models.unit_scale import UnitScale

IN_UNIT_RANGE = frozenset({"HalfSpaceTrees"})
NOT_NEGATIVE = frozenset({"LocalOutlierFactor"})


class RiverDetector(Detector):
    """A detector of River behind the frozen limits of a specification; keeps the promises of `Detector`.

    Detectors whose `score_one` changes what they know would not come back from their journal the same. River's rule is
    that scoring is pure, and its own checks hold its detectors to it.

    Raises:
        AssayError: the class is not an anomaly detector of River, does not take the arguments or does not run, or the
            numbers of rows do not fit each other.
    """

    def __init__(self, spec: DetectorSpec) -> None:
        detector_class = find_class(spec.detector)
        arguments = dict(spec.arguments)
        if "seed" in inspect.signature(detector_class).parameters and arguments.get("seed") is None:
            arguments["seed"] = spec.seed
        self.names = spec.names
        self._make: Callable[[], Any] = lambda: detector_class(**arguments)
        self._check(spec)
        self._range = detector_class.__name__
        self._scale = UnitScale(spec.limits)
        self._digest = digest_of(spec, river.__version__)
        self._warm_up_rows = spec.warm_up_rows
        self._journal = np.empty((spec.journal_rows, len(spec.names)), dtype=np.float64)
        self._start()

    @property
    def is_warm(self) -> bool:
        """True once `warm_up_rows` rows were learnt."""
        return self._learnt >= self._warm_up_rows

    def anomalies(
        self, features: NDArray[np.float32], columns: NDArray[np.int64], learn: NDArray[np.bool_]
    ) -> Anomalies:
        """See `Detector`. A score that River does not give as a number is NaN."""
        unit = self._scale(features, columns, learn)
        scores = np.full(len(unit), math.nan)
        for position, row in enumerate(unit):
            if self.is_warm:
                scores[position] = bounded(self._detector.score_one(self._filled(row)), self._range)
            if learn[position]:
                self._learn(row)
        return Anomalies(scores)

    def state(self) -> bytes:
        """See `Detector`: the journal, 8 bytes a value."""
        return seal(self._digest, self._journal[: self._learnt].astype("<f8").tobytes())

    def restore(self, data: bytes) -> None:
        """See `Detector`. Takes the time of learning up to `journal_rows` rows."""
        journal = np.frombuffer(unseal(self._digest, data), dtype="<f8").reshape(-1, len(self.names))
        self._start()
        for row in journal:
            self._learn(row)

    def _start(self) -> None:
        """Begin with a new detector, an empty journal and no means."""
        self._detector = self._make()
        self._learnt = 0
        self._totals = np.zeros(len(self.names))
        self._counts = np.zeros(len(self.names), dtype=np.int64)

    def _learn(self, row: NDArray[np.float64]) -> None:
        self._detector.learn_one(self._filled(row))
        self._journal[self._learnt] = row
        self._learnt += 1
        present = ~np.isnan(row)
        self._totals[present] += row[present]
        self._counts += present
        if self._learnt == len(self._journal):
            newest = self._journal[-(len(self._journal) // 2) :]  # not overwritten: what is kept fills the other half
            self._start()
            for kept in newest:
                self._learn(kept)

    def _filled(self, row: NDArray[np.float64]) -> dict[str, float]:
        means = np.where(self._counts > 0, self._totals / np.maximum(self._counts, 1), 0.5)
        return dict(zip(self.names, np.where(np.isnan(row), means, row).tolist(), strict=True))

    def _check(self, spec: DetectorSpec) -> None:
        """Try the detector on a row, and check that it is warm, by its own account too, when we say that it is."""
        row = dict.fromkeys(spec.names, 0.5)
        try:
            trial = self._make()
            trial.learn_one(row)
            float(trial.score_one(row))
        except Exception as error:
            raise AssayError(
                f"detector specification: {spec.detector} with the arguments {spec.arguments} does not run "
                f"({type(error).__name__}: {error}); correct detector and arguments in the model's manifest"
            ) from error
        needed = max(1, getattr(trial, "window_size", 1))
        if spec.warm_up_rows < needed:
            raise AssayError(
                f"detector specification: warm_up_rows: expected {needed} or more, got {spec.warm_up_rows}; "
                f"{spec.detector} gives no score before"
            )
        if spec.journal_rows < 2 * spec.warm_up_rows:
            raise AssayError(
                f"detector specification: journal_rows: expected {2 * spec.warm_up_rows} or more, twice warm_up_rows, "
                f"got {spec.journal_rows}; half of it has to be enough to stay warm"
            )


def find_class(name: str) -> Any:
    """Return the anomaly detector of River that has this dotted name.

    Raises:
        AssayError: it is not in River, not there, or not an anomaly detector that learns without labels.

    >>> find_class("river.anomaly.LODA").__name__
    'LODA'
    """
    module, _, attribute = name.rpartition(".")
    found = None
    if module.startswith("river."):
        try:
            found = getattr(importlib.import_module(module), attribute, None)
        except ImportError as error:
            raise _not_a_detector(name) from error
    if not (inspect.isclass(found) and issubclass(found, AnomalyDetector)) or inspect.isabstract(found):
        raise _not_a_detector(name)
    return found


def bounded(score: float, detector_class: str) -> float:
    """Map a score of a class of River to [0, 1]; the order of scores stays, NaN stays NaN.

    >>> bounded(0.25, "HalfSpaceTrees"), bounded(3.0, "LocalOutlierFactor"), bounded(-1.0, "LODA")
    (0.25, 0.75, 0.25)
    >>> bounded(math.inf, "LocalOutlierFactor"), bounded(-math.inf, "LODA")
    (1.0, 0.0)
    """
    if detector_class in IN_UNIT_RANGE:
        return score
    squashed = math.copysign(1.0, score) if math.isinf(score) else score / (1.0 + abs(score))
    return squashed if detector_class in NOT_NEGATIVE else (1.0 + squashed) / 2.0


def _not_a_detector(name: str) -> AssayError:
    return AssayError(
        f"detector specification: detector: expected an anomaly detector of River that learns without labels, "
        f"such as river.anomaly.LocalOutlierFactor, got {name!r}; correct the model's manifest"
    )
