"""What training reads: feature rows as served (Parquet) and labels."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import msgspec
import numpy as np
import pyarrow
from numpy.typing import NDArray
from pyarrow import parquet

from features.catalogue import FEATURES
from features.errors import AssayError
from features.events import LabelIntake
from features.identity import EventName
from streams.event_files import EventFile, is_archived_topic

_HASH = b"assay-feature-set"
_KEYS = {
    "event_id": "string",
    "account_id": "string",
    "time_ms": "int64",
    "kind": "uint8",
    "amount_base_minor": "int64",
}
_decode_label = msgspec.json.Decoder(LabelIntake).decode


@dataclass(frozen=True, slots=True)
class Rows:
    """Judged events of a features file.

    Attributes:
        events: n names, in order of arrival.
        time_ms: int64[n], event time.
        kind: uint8[n], codes of `features.columns`.
        amount_minor: int64[n], base currency; 0 where the event has none.
        features: float32[n, f], in the column order of the feature set in force.
    """

    events: list[EventName]
    time_ms: NDArray[np.int64]
    kind: NDArray[np.uint8]
    amount_minor: NDArray[np.int64]
    features: NDArray[np.float32]

    def only(self, kept: NDArray[np.bool_]) -> "Rows":
        """The rows where `kept`, in the same order."""
        events = list(compress(self.events, kept.tolist()))
        return Rows(events, self.time_ms[kept], self.kind[kept], self.amount_minor[kept], self.features[kept])


def read_rows(path: Path) -> Rows:
    """Read what `assay score --features` wrote.

    Raises:
        AssayError: not a Parquet file of that shape, or of another feature set than the one in force.
    """
    with open_rows(path) as file:
        columns = {name: _column(file, name) for name in _KEYS}
        features = np.empty((file.metadata.num_rows, len(FEATURES.names)), dtype=np.float32)
        for place, name in enumerate(FEATURES.names):  # one at a time: memory stays near that of the matrix
            features[:, place] = _column(file, name).to_numpy()
    return Rows(
        events=list(map(EventName, columns["event_id"].to_pylist(), columns["account_id"].to_pylist())),
        time_ms=columns["time_ms"].to_numpy(),
        kind=columns["kind"].to_numpy(),
        amount_minor=columns["amount_base_minor"].to_numpy(),
        features=features,
    )


@contextmanager
def open_rows(path: Path) -> Iterator[parquet.ParquetFile]:
    """The file of what `assay score --features` wrote, its columns checked.

    Raises:
        AssayError: as for `read_rows`, also where a part of it cannot be read later.
    """
    try:
        with parquet.ParquetFile(path) as file:
            _check_columns(file.schema_arrow, path)
            yield file
    except (pyarrow.ArrowException, OSError) as error:
        raise AssayError(
            f"{path}: expected feature rows in Parquet: {str(error).splitlines()[0]}; "
            f"write them with: assay score EVENTS --features {path}"
        ) from error


def read_labels(path: Path) -> list[LabelIntake]:
    """Labels as the intake sends them, or as records of the log: the fields that matter have the same names.

    So may an archive of the labels or the outcomes be; a record there that is no label was set aside when it came, and
    is passed over.

    Raises:
        AssayError: a line is not a label; it is named by its number, its content is not repeated.
    """
    labels = []
    is_archive = is_archived_topic(path)
    for number, line in enumerate(EventFile(path), start=1):
        try:
            labels.append(_decode_label(line))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if is_archive:
                continue
            raise AssayError(f"{path}, record {number}: expected a label: {error}; correct or remove it") from error
    return labels


def _column(file: parquet.ParquetFile, name: str) -> pyarrow.Array:
    return file.read(columns=[name]).column(0).combine_chunks()


def _check_columns(schema: pyarrow.Schema, path: Path) -> None:
    advice = f"write the rows again with: assay score EVENTS --features {path}"
    written = (schema.metadata or {}).get(_HASH, FEATURES.hash.encode()).decode()
    if written != FEATURES.hash:
        raise AssayError(
            f"{path}: expected rows of the feature set in force ({FEATURES.hash[:16]}), got {written[:16]}; {advice}"
        )
    for name, kind in {**_KEYS, **dict.fromkeys(FEATURES.names, "float")}.items():
        if name not in schema.names:
            raise AssayError(f"{path}: expected a column {name}, there is none; {advice}")
        if str(schema.field(name).type) != kind:
            raise AssayError(f"{path}: expected column {name} as {kind}, got {schema.field(name).type}; {advice}")
