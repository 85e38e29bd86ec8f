"""A trained model as a directory of plain files, named by what is in it.

| file | what |
|---|---|
| `manifest.json` | feature set, sha256 of the other files, calibration, detector, baselines, how it was trained |
| `model.txt` | the trees, LightGBM's own text |
| `policy.json` | what each outcome costs |
| `rates.json` | exchange rates to the base currency |
| `golden.json` | rows with the raw scores they must get |
| `reference.json` | what it met in training: bins of each feature, missing values, scores, decisions |

The model's id is the sha256 of `manifest.json`; the manifest holds the hashes of the other files, so the id names every
byte. Nothing is pickled, and no file is parsed before its hash was checked. `docs/artefact.md` tells more.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.errors import AssayError
from features.money import Rates
from models import canary
from models.booster import Booster
from models.calibration import Calibration
from models.detector import DetectorSpec
from models.golden import Golden, choose_golden
from models.manifest import (
    FILES,
    MANIFEST,
    FeatureSetLike,
    FeatureSetName,
    Manifest,
    Trained,
    canonical,
    check_feature_set,
    differences,
    read_manifest,
)
from models.policy import Policy
from models.reference import Reference
from models.trees import Trees, UnsupportedTrees, column_names, parse_trees

_ADVICE = "take the model from its source again, or train anew"


@dataclass(frozen=True, slots=True, eq=False)
class Artefact:
    """A model whose every byte was checked.

    Attributes:
        id: sha256 (hex) of `manifest.json`.
        policy_id: sha256 (hex) of `policy.json`.
        directory: where it was read from.
        manifest: see `Manifest`.
        model_text: content of `model.txt`.
        trees: the same model as arrays, or why not.
        policy: costs.
        rates: exchange rates.
        golden: rows and their raw scores.
        reference: what live traffic is compared with.
    """

    id: str
    policy_id: str
    directory: Path
    manifest: Manifest
    model_text: bytes
    trees: Trees | UnsupportedTrees
    policy: Policy
    rates: Rates
    golden: Golden
    reference: Reference

    @property
    def baselines(self) -> NDArray[np.float64]:
        """float64[features]: typical value of each feature on legitimate events, NaN where there is none."""
        return np.array([np.nan if value is None else value for value in self.manifest.baselines], dtype=np.float64)


def load_artefact(directory: Path, feature_set: FeatureSetLike) -> Artefact:
    """Read a model, check that it belongs to `feature_set`, and try it in a process of its own (`models.canary`).

    Raises:
        AssayError: see `read_artefact`; or the model was trained on another feature set, or fails its trial.
    """
    artefact = read_artefact(directory)
    check_feature_set(artefact.manifest, feature_set, directory)
    canary.check(directory, artefact.id)
    return artefact


def read_artefact(directory: Path) -> Artefact:
    """Read and check every file without loading the model into LightGBM: enough to list or describe it.

    Raises:
        AssayError: a file is missing, has another sha256 than the manifest says, or is not what it should be; the
            message names the path.
    """
    manifest_bytes = _content(directory, MANIFEST)
    manifest = read_manifest(manifest_bytes, directory / MANIFEST)
    content = {name: _content(directory, name) for name in FILES}
    for name, data in content.items():
        digest = hashlib.sha256(data).hexdigest()
        if digest != manifest.files[name]:
            raise AssayError(
                f"{directory / name}: expected sha256 {manifest.files[name]}, got {digest}: the file is damaged or was "
                f"changed; {_ADVICE}"
            )
    names = manifest.feature_set.names
    reference = _reference(content["reference.json"], names, directory / "reference.json")
    trees = _trees(content["model.txt"], names, directory / "model.txt")
    golden = Golden.from_json(content["golden.json"], str(directory / "golden.json"))
    if golden.rows.shape[1] != len(names):
        raise AssayError(
            f"{directory / 'golden.json'}: expected rows of {len(names)} features, "
            f"got {golden.rows.shape[1]}; {_ADVICE}"
        )
    policy = _policy(content["policy.json"], directory / "policy.json")
    policy.check_features(names, str(directory / "policy.json"))
    return Artefact(
        id=hashlib.sha256(manifest_bytes).hexdigest(),
        policy_id=manifest.files["policy.json"],
        directory=directory,
        manifest=manifest,
        model_text=content["model.txt"],
        trees=trees,
        policy=policy,
        rates=_rates(content["rates.json"], directory / "rates.json"),
        golden=golden,
        reference=reference,
    )


def write_artefact(
    destination: Path,
    *,
    name: str,
    feature_set: FeatureSetLike,
    model_text: str,
    calibration: Calibration,
    detector: DetectorSpec,
    policy: Policy,
    rates: Rates,
    baselines: Sequence[float | None],
    sample: NDArray[np.float32],
    reference: Reference,
    trained: Trained,
) -> Artefact:
    """Write a model so that `destination` appears complete or not at all; the same inputs give the same bytes.

    Args:
        destination: directory to make; its parents are made too.
        name: for people.
        feature_set: what the model was trained on; LightGBM was told its names (``Dataset(feature_name=...)``).
        model_text: ``Booster.model_to_string()``.
        calibration: from raw scores to probabilities.
        detector: the online anomaly detector.
        policy: what each outcome costs.
        rates: exchange rates.
        baselines: typical (median) value of each feature on legitimate events; NaN counts as None.
        sample: float32[n, features], rows to choose the golden rows from; some thousand are plenty.
        reference: see `models.reference.reference_of`; of rows that the trees were not fitted on.
        trained: how the model came about.

    Returns:
        The artefact as read back from its files.

    Raises:
        AssayError: the destination exists, or the parts do not fit together.
    """
    if destination.exists():
        raise AssayError(f"{destination} exists: choose another directory, or remove it first")
    model_bytes = model_text.encode()
    trees = _trees(model_bytes, feature_set.names, destination / "model.txt")
    content = {
        "golden.json": choose_golden(Booster(model_bytes), trees, sample).to_json(),
        "model.txt": model_bytes,
        "policy.json": policy.to_json(),
        "rates.json": json.dumps(rates.to_json(), sort_keys=True, separators=(",", ":")).encode(),
        "reference.json": reference.to_json(),
    }
    _reference(content["reference.json"], feature_set.names, destination / "reference.json")
    policy.check_features(feature_set.names, str(destination / "policy.json"))
    manifest = Manifest(
        name=name,
        feature_set=FeatureSetName(version=feature_set.version, hash=feature_set.hash, names=feature_set.names),
        files={name: hashlib.sha256(data).hexdigest() for name, data in content.items()},
        calibration=calibration,
        detector=detector,
        baselines=tuple(None if value is None or np.isnan(value) else float(value) for value in baselines),
        trained=trained,
    )
    content[MANIFEST] = canonical(manifest, destination / MANIFEST)
    write_files(destination, content)
    return read_artefact(destination)


def write_files(destination: Path, content: Mapping[str, bytes]) -> None:
    """Make directory `destination` with these files: complete and on disk, or not there.

    Raises:
        AssayError: it exists by then, or the disk refuses.
    """
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".partial-") as temporary:
            partial = Path(temporary) / destination.name
            partial.mkdir()
            for name, data in content.items():
                with (partial / name).open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
            _sync_directory(partial)
            partial.rename(destination)
        _sync_directory(destination.parent)
    except OSError as error:
        raise AssayError(f"{destination}: the model was not written: {error}; free the path and try again") from error


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _content(directory: Path, name: str) -> bytes:
    path = directory / name
    try:
        return path.read_bytes()
    except OSError as error:
        raise AssayError(
            f"{path}: expected the file {name} of a model, got: {error.strerror}; give the directory of a model "
            "(assay models list), or take it from its source again"
        ) from error


def _trees(model_text: bytes, names: tuple[str, ...], path: Path) -> Trees | UnsupportedTrees:
    try:
        text = model_text.decode()
    except UnicodeDecodeError as error:
        raise AssayError(f"{path}: expected UTF-8 text: {error}; {_ADVICE}") from error
    columns = column_names(text)
    if columns != names:
        raise AssayError(
            f"{path}: expected the columns of the feature set in its order: {differences(columns, names)}; train "
            "with the names of the feature set (lightgbm.Dataset(feature_name=...))"
        )
    return parse_trees(text, str(path))


def _reference(data: bytes, names: tuple[str, ...], path: Path) -> Reference:
    reference = Reference.from_json(data, str(path))
    for place, (expected, got) in enumerate(zip_longest(names, reference.names, fillvalue="none")):
        if got != expected:
            raise AssayError(
                f"{path}: expected the features of the manifest in its order, feature {place} to be {expected}, "
                f"got {got}; {_ADVICE}"
            )
    if not reference.rows:
        raise AssayError(f"{path}: expected what was counted over some rows, got none; {_ADVICE}")
    return reference


def _policy(data: bytes, path: Path) -> Policy:
    try:
        return Policy.from_json(data, str(path))
    except (UnicodeDecodeError, RecursionError) as error:
        raise AssayError(f"{path}: expected JSON: {error}; {_ADVICE}") from error


def _rates(data: bytes, path: Path) -> Rates:
    try:
        table = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise AssayError(f"{path}: expected JSON: {error}; {_ADVICE}") from error
    if not isinstance(table, dict):
        raise AssayError(f"{path}: expected an object; {_ADVICE}")
    try:
        return Rates.from_json(table)
    except AssayError as error:
        raise AssayError(f"{path}: {error}; {_ADVICE}") from error
