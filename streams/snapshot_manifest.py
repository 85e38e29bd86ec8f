"""What a snapshot consists of: one small JSON file that names the state's place in the log and every file's hash.

A manifest is valid only byte for byte as `encoded` writes it, with a digest of itself: whatever was flipped, cut or
edited shows when it is read.
"""

import hashlib
from functools import cache
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from features.errors import AssayError

_SCHEMA = 2
_Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
_FileName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]  # never a path
_TopicId = Annotated[str, Meta(pattern="^([A-Za-z0-9_-]{22})?$")]  # it names a folder
_Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class SnapshotFile(Struct, frozen=True):
    """One file of a state.

    Attributes:
        name: in the state's directory.
        bytes: its length.
        sha256: of its content; it is stored under this name.
    """

    name: _FileName
    bytes: _Count
    sha256: _Sha256


class Manifest(Struct, frozen=True, kw_only=True):
    """One snapshot of one partition. Field order is the order of the bytes.

    Attributes:
        schema: version of this shape.
        topic: full name of the events topic.
        topic_id: id of that topic, empty if the log was no topic of Kafka, see `streams/topic_identity.py`.
        partition: number of the partition.
        next_offset: offset from which the log goes on after this state.
        model: id of the model in force there.
        first_model: id of the model with which the state was started.
        feature_set: hash of the feature set that the accounts were kept for.
        engine: hash of the sources that made the state, see `engine_hash`; to know, nothing is refused for it.
        taken_ms: when it was taken, epoch milliseconds; for people.
        files: everything that is in the state's directory.
        digest: sha256 of this manifest with an empty digest.
    """

    schema: int
    topic: str
    topic_id: _TopicId
    partition: _Count
    next_offset: _Count
    model: str
    first_model: str
    feature_set: str
    engine: str
    taken_ms: _Count
    files: tuple[SnapshotFile, ...]
    digest: str = ""

    @property
    def total_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.bytes for file in self.files)


class UnreadableManifestError(AssayError):
    """A manifest is damaged, not where it belongs, or another version wrote it."""


class _Versioned(Struct):
    schema: int


def new_manifest(
    *,
    topic: str,
    topic_id: str,
    partition: int,
    next_offset: int,
    model: str,
    first_model: str,
    feature_set: str,
    taken_ms: int,
    files: tuple[SnapshotFile, ...],
) -> Manifest:
    """A manifest of this version of the engine, with its digest; arguments as the attributes of `Manifest`."""
    manifest = Manifest(
        schema=_SCHEMA,
        topic=topic,
        topic_id=topic_id,
        partition=partition,
        next_offset=next_offset,
        model=model,
        first_model=first_model,
        feature_set=feature_set,
        engine=engine_hash(),
        taken_ms=taken_ms,
        files=files,
    )
    return msgspec.structs.replace(manifest, digest=_digest(manifest))


def encoded(manifest: Manifest) -> bytes:
    """The manifest as the bytes of its file."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def decoded(content: bytes, where: str) -> Manifest:
    """The manifest that `encoded` wrote.

    Args:
        content: bytes of the file.
        where: name of the file, for messages.

    Raises:
        UnreadableManifestError: it is damaged, or another version wrote it.
    """
    try:
        schema = msgspec.json.decode(content, type=_Versioned).schema
        if schema != _SCHEMA:
            raise UnreadableManifestError(
                f"{where}: expected a manifest of schema {_SCHEMA}, got {schema}; restore it with the version that "
                "wrote it"
            )
        manifest = msgspec.json.decode(content, type=Manifest)
        if content == encoded(manifest) and manifest.digest == _digest(manifest):
            return manifest
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    raise UnreadableManifestError(
        f"{where}: expected a manifest as it was written, it is damaged; delete it, or bring it back"
    )


@cache
def engine_hash() -> str:
    """Sha256 over every source of the three packages: which engine made a state."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for package in ("features", "models", "streams"):
        for source in sorted((root / package).rglob("*.py")):
            digest.update(str(source.relative_to(root)).encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()


def _digest(manifest: Manifest) -> str:
    return hashlib.sha256(encoded(msgspec.structs.replace(manifest, digest=""))).hexdigest()
