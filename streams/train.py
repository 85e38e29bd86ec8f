"""From feature rows and labels in files to a model in a directory."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.catalogue import FEATURES
from features.errors import AssayError
from features.money import Rates
from models.artefact import write_artefact
from models.booster import library_version
from models.decision import decide
from models.detector import DetectorKind, DetectorSpec, build
from models.evaluation import Report, evaluate
from models.labels import known_labels
from models.manifest import Trained
from models.policy import Policy
from models.reference import Reference, reference_of
from models.training import TrainedModel, train
from streams.training_rows import Rows, read_labels, read_rows

_GOLDEN_SAMPLE = 5_000


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """What to train on and where to write.

    Attributes:
        features: Parquet, one row per judged event in order of arrival.
        labels: JSON lines or Parquet.
        out: directory to make.
        until_ms: events and labels after it do not exist; None: there is no such time.
        mature_ms: events of so much time before `until_ms` (else before the last event) are left out, labelled or not:
            keeping only those whose label came early would teach that recent events are fraud.
        policy: policy.json; None: the built-in example.
        rates: rates.json; None: the built-in table.
        detector: a kind of detector, or JSON with the fields of its specification to change; None: what training chose.
        seed: of everything random.
        threads: of LightGBM; the model is the same with any number.
    """

    features: Path
    labels: Path
    out: Path
    until_ms: int | None = None
    mature_ms: int = 0
    policy: Path | None = None
    rates: Path | None = None
    detector: Path | None = None
    seed: int = 0
    threads: int = 1


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What came of it.

    Attributes:
        model: sha256 (hex) of the artefact.
        directory: where it is.
        policy: sha256 (hex) of its policy.
        trees: number of trees.
        events: rows trained on, all blocks.
        labels_without_event: labels in force that judge no row.
        report: quality on the last block.
    """

    model: str
    directory: Path
    policy: str
    trees: int
    events: int
    labels_without_event: int
    report: Report

    def to_json(self) -> dict[str, Any]:
        """As one object, with the next command."""
        return {
            "model": self.model,
            "directory": str(self.directory),
            "policy": self.policy,
            "trees": self.trees,
            "events": self.events,
            "labels_without_event": self.labels_without_event,
            "report": msgspec.to_builtins(self.report),
            "next": self.next_command,
        }

    @property
    def next_command(self) -> str:
        """What to do with the model."""
        return f"assay score EVENTS.jsonl --model {self.directory} --out VERDICTS.jsonl"


def train_files(request: TrainRequest, on_round: Callable[[int], None] | None = None) -> TrainResult:
    """Read, train, evaluate and write. `on_round` is called with the number of trees after each.

    Raises:
        AssayError: a file is missing or not what it should be, too few frauds are known, or `out` exists.
    """
    if request.out.exists():
        raise AssayError(f"{request.out} exists: choose another directory, or remove it first")
    policy, rates = _policy(request.policy), _rates(request.rates)
    if policy.currency != rates.base:
        raise AssayError(
            f"expected policy and rates in one currency, got a policy in {policy.currency} and rates to {rates.base}; "
            "set `currency` and the amounts of the policy, or give other rates with --rates"
        )
    known = known_labels(read_labels(request.labels), request.until_ms)
    rows = read_rows(request.features)
    if request.until_ms is not None:
        rows = rows.only(rows.time_ms <= request.until_ms)
    labelled = np.array([event in known for event in rows.events], dtype=np.bool_)
    if not labelled.any():
        raise AssayError(
            f"expected labels of {request.labels} that judge events of {request.features}, none of {len(known)} known "
            f"labels does for {len(rows.events)} events; check that both are of one log, and --until"
        )
    if request.mature_ms:
        end_ms = int(rows.time_ms.max()) if request.until_ms is None else request.until_ms
        kept = rows.time_ms <= end_ms - request.mature_ms
        rows, labelled = rows.only(kept), labelled[kept]
    in_force = [known.get(event) for event in rows.events]
    labels = np.array([label is not None and label.label == "fraud" for label in in_force], dtype=np.uint8)
    try:
        model = train(
            rows.features,
            labels,
            rows.time_ms,
            feature_set=FEATURES,
            seed=request.seed,
            threads=request.threads,
            on_round=on_round,
        )
    except ValueError as error:
        raise AssayError(f"{request.features}: {error}; train on a longer time or with more labels") from error
    held_out = model.blocks.calibration
    report = evaluate(
        policy,
        labels[held_out],
        [label.fraud_type if (label := in_force[row]) else None for row in held_out.tolist()],
        model.held_out_score,
        np.full(len(held_out), np.nan),
        rows.amount_minor[held_out],
        rows.kind[held_out],
    )
    artefact = write_artefact(
        request.out,
        name=request.out.name,
        feature_set=FEATURES,
        model_text=model.model_text,
        calibration=model.calibration,
        detector=_detector(request.detector, model.detector),
        policy=policy,
        rates=rates,
        baselines=model.baselines.tolist(),
        sample=rows.features[held_out[-_GOLDEN_SAMPLE:]],
        reference=_reference(model, policy, rows),
        trained=_facts(model, labels, rows.time_ms, request.seed, report),
    )
    return TrainResult(
        model=artefact.id,
        directory=request.out,
        policy=artefact.policy_id,
        trees=model.tree_count,
        events=len(labels),
        labels_without_event=len(known) - int(labelled.sum()),
        report=report,
    )


def _facts(
    model: TrainedModel, labels: NDArray[np.uint8], time_ms: NDArray[np.int64], seed: int, report: Report
) -> Trained:
    """What the manifest says of the training; its metrics are of the events after those trained on."""
    trained_on = np.concatenate([model.blocks.trees, model.blocks.stopping])
    measured = {
        "average_precision": report.average_precision,
        "roc_auc": report.roc_auc,
        "calibration_error": report.calibration_error,
        "savings": report.savings,
        **{f"recall_at_{share}": recall for share, recall in report.recall_at.items()},
    }
    return Trained(
        first_time_ms=int(time_ms[trained_on].min()),
        last_time_ms=int(time_ms[trained_on].max()),
        event_count=len(trained_on),
        fraud_count=int(labels[trained_on].sum()),
        seed=seed,
        lightgbm=library_version(),
        metrics={name: value for name, value in measured.items() if value is not None},
    )


def _reference(model: TrainedModel, policy: Policy, rows: Rows) -> Reference:
    """What live traffic will be compared with: the last block, which the trees never saw, judged without a detector."""
    held_out, score = model.blocks.calibration, model.held_out_score
    no_anomaly = np.full(len(held_out), np.nan)
    outcome = decide(policy, score, no_anomaly, rows.amount_minor[held_out], rows.kind[held_out]).outcome
    return reference_of(FEATURES.names, rows.features[held_out], score, outcome)


def _detector(named: Path | None, chosen: DetectorSpec) -> DetectorSpec:
    """What training chose, with another kind or the fields of a file in place of its own.

    Another kind keeps inputs, limits and seed alone: the other fields were chosen for the kind that it replaces.
    """
    if named is None:
        return chosen
    try:
        changes = {"kind": str(named)} if str(named) in get_args(DetectorKind) else _fields(named)
        same_kind = changes.get("kind", chosen.kind) == chosen.kind
        kept = msgspec.to_builtins(chosen)
        base = kept if same_kind else {name: kept[name] for name in ("names", "limits", "seed") if name in kept}
        spec = msgspec.convert({**base, **changes}, DetectorSpec)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise AssayError(
            f"{named}: expected fields of a detector's specification (docs/detector.md): {error}"
        ) from error
    build(spec)  # refuses what does not fit before anything is written
    return spec


def _fields(path: Path) -> dict[str, Any]:
    kinds = ", ".join(get_args(DetectorKind))
    return msgspec.json.decode(_content(path, f"one of {kinds}, or a detector"), type=dict[str, Any])


def _policy(path: Path | None) -> Policy:
    return Policy.default() if path is None else Policy.from_json(_content(path, "a policy"), str(path))


def _rates(path: Path | None) -> Rates:
    if path is None:
        return Rates.default()
    try:
        table = json.loads(_content(path, "exchange rates"))
    except (ValueError, RecursionError) as error:
        raise AssayError(f"{path}: expected exchange rates as JSON: {error}; correct the file") from error
    if not isinstance(table, dict):
        raise AssayError(f"{path}: expected exchange rates as a JSON object; correct the file")
    try:
        return Rates.from_json(table)
    except AssayError as error:
        raise AssayError(f"{path}: {error}") from error


def _content(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AssayError(f"{path}: expected {what}: {error.strerror}; give the path of a readable file") from error
