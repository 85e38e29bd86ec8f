"""The manifest of a model: which feature set, which files, which calibration, and how it was trained.

`manifest.json` is canonical JSON (sorted keys, no white space), so equal manifests are equal bytes, and the sha256 of
those bytes is the id of the model.
"""

from collections.abc import Sequence
from operator import methodcaller
from pathlib import Path
from typing import Annotated, Literal, Protocol

import msgspec

from features.errors import AssayError
from models.calibration import Calibration
from models.detector import DetectorSpec, check_inputs

MANIFEST = "manifest.json"
FILES = ("golden.json", "model.txt", "policy.json", "rates.json", "reference.json")
"""What a manifest names, beside itself the whole artefact."""

_DIGEST = r"^[0-9a-f]{64}$"
_MOST_NAMES = 5
_ADVICE = "take the model from its source again, or train anew"


class FeatureSetLike(Protocol):
    """What an artefact has to know of a feature set."""

    @property
    def version(self) -> int:
        """Version of the set."""

    @property
    def hash(self) -> str:
        """Sha256 (hex) of names, order and meaning."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names in column order."""


class FeatureSetName(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which feature set a model was trained on."""

    version: int
    hash: Annotated[str, msgspec.Meta(pattern=_DIGEST)]
    names: tuple[str, ...]


class Trained(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a model came about.

    Attributes:
        first_time_ms: event time of the first training event, epoch milliseconds.
        last_time_ms: event time of the last one.
        event_count: judged events that were trained on.
        fraud_count: frauds among them.
        seed: of everything random in training.
        lightgbm: version that trained and that gave the golden scores.
        metrics: name to value, measured on events after the training data.
    """

    first_time_ms: int
    last_time_ms: int
    event_count: int
    fraud_count: int
    seed: int
    lightgbm: str
    metrics: dict[str, float]


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The content of `manifest.json`.

    Attributes:
        schema: version of this shape.
        kind: tells the file from any other JSON.
        name: for people.
        feature_set: what the columns of a row are.
        files: name to sha256 (hex) of each of `FILES`.
        calibration: from raw scores to probabilities.
        detector: the online anomaly detector.
        baselines: typical (median) value of each feature on legitimate events, None where there is none.
        trained: how it came about.
    """

    schema: Literal[1] = 1
    kind: Literal["assay-model"] = "assay-model"
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    feature_set: FeatureSetName
    files: dict[str, Annotated[str, msgspec.Meta(pattern=_DIGEST)]]
    calibration: Calibration
    detector: DetectorSpec
    baselines: tuple[float | None, ...]
    trained: Trained


def read_manifest(data: bytes, path: Path) -> Manifest:
    """Decode and check a manifest.

    Args:
        data: UTF-8 JSON.
        path: of the file, for the error message.

    Raises:
        AssayError: not JSON, a field is missing, misspelt or of another type, or parts do not fit together.
    """
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        fault = str(error).replace("Object contains unknown field", "no manifest has a field named")
        raise AssayError(f"{path} is not a model's manifest: {fault}; {_ADVICE}") from error
    names = manifest.feature_set.names
    if sorted(manifest.files) != list(FILES):
        raise AssayError(f"{path}: expected files to name {', '.join(FILES)}, got {sorted(manifest.files)}; {_ADVICE}")
    if len(manifest.baselines) != len(names):
        raise AssayError(f"{path}: expected {len(names)} baselines, got {len(manifest.baselines)}; {_ADVICE}")
    try:
        check_inputs(manifest.detector)
    except AssayError as error:
        raise AssayError(f"{path}: {error}") from error
    foreign = sorted(set(manifest.detector.names) - set(names))
    if foreign:
        raise AssayError(f"{path}: expected the detector to read features of the set, got {_some(foreign)}; {_ADVICE}")
    return manifest


def canonical(manifest: Manifest, path: Path) -> bytes:
    """The bytes of `manifest.json`; `path` is for the error message.

    Raises:
        AssayError: what is written would not be read back (a metric is NaN, for example).
    """
    written = msgspec.json.encode(manifest, enc_hook=methodcaller("item"))  # numpy's numbers as Python's
    checked = read_manifest(written, path)  # 0 and 0.0 are one number, so one text
    return msgspec.json.encode(checked, order="sorted")


def check_feature_set(manifest: Manifest, feature_set: FeatureSetLike, where: Path) -> None:
    """Return if the model was trained on `feature_set`.

    Raises:
        AssayError: it was not; names both hashes and the features that differ.
    """
    trained = manifest.feature_set
    if trained.hash == feature_set.hash:
        return
    raise AssayError(
        f"{where}: the model was trained on feature set {trained.hash[:16]} (version {trained.version}), "
        f"this is feature set {feature_set.hash[:16]} (version {feature_set.version}): "
        f"{differences(trained.names, feature_set.names)}; "
        "train a model on this feature set (assay train), or run the release that the model was trained with"
    )


def differences(trained: tuple[str, ...], here: tuple[str, ...]) -> str:
    """In words, how the columns of a model differ from those here.

    >>> differences(("amount", "country"), ("amount", "hour"))
    'only the model has country, the model lacks hour'
    """
    only_trained = [name for name in trained if name not in set(here)]
    only_here = [name for name in here if name not in set(trained)]
    parts = []
    if only_trained:
        parts.append(f"only the model has {_some(only_trained)}")
    if only_here:
        parts.append(f"the model lacks {_some(only_here)}")
    if not parts:
        parts.append("the names are the same in another order" if trained != here else "a definition changed")
    return ", ".join(parts)


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
