"""What a log holds and what the fold wants published, whatever carries them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from features.errors import InvalidRecord
from models.summary import Counts

Headers = Sequence[tuple[str, bytes | None]]
Row = TypeVar("Row", bound=tuple[Any, ...])


def rows_of(kind: type[Row], *columns: Iterable[Any]) -> list[Row]:
    """Named tuples from columns in the order of their fields, without a call of Python for each of them.

    >>> rows_of(Outgoing, [0, 1], [b"a1", b"a2"], [b"{}", b"[]"])[1]
    Outgoing(place=1, key=b'a2', value=b'[]')
    """
    return list(map(tuple.__new__, repeat(kind), zip(*columns, strict=False)))


class LogRecord(NamedTuple):
    """One record of one partition of the events log.

    Attributes:
        offset: its place; rising, not always by one.
        value: the bytes as they came, None for a tombstone.
        key: the record's key, None if it has none or the log is a file.
        timestamp_ms: when the log took it, None if the log does not say.
        headers: as they came.
    """

    offset: int
    value: bytes | None
    key: bytes | None = None
    timestamp_ms: int | None = None
    headers: Headers = ()


class Outgoing(NamedTuple):
    """One record to publish.

    Attributes:
        place: index of the record that caused it in the batch that was folded.
        key: account id.
        value: the bytes to publish.
    """

    place: int
    key: bytes
    value: bytes


class SetAside(NamedTuple):
    """One record for the dead-letter topic, with the reason."""

    place: int
    error: InvalidRecord


class JudgedFeatures(NamedTuple):
    """What one segment of a batch was judged by, for `--features`.

    Attributes:
        event_ids: of each judged event.
        account_ids: of each judged event.
        time_ms: int64[n].
        kind: uint8[n].
        amount_base_minor: int64[n].
        features: float32[n, f].
    """

    event_ids: list[str]
    account_ids: list[str]
    time_ms: NDArray[np.int64]
    kind: NDArray[np.uint8]
    amount_base_minor: NDArray[np.int64]
    features: NDArray[np.float32]


class Counted(NamedTuple):
    """What verdicts of one model look like together, for telemetry.

    Attributes:
        model: first 16 digits of its id.
        end: offset after the last event that is counted.
        counts: of the verdicts, and of the features of a sample.
    """

    model: str
    end: int
    counts: Counts


@dataclass(slots=True)
class Output:
    """Everything that folding one batch asks the shell to do; no verdicts and outcomes unless `publishing`."""

    publishing: bool = True
    verdicts: list[Outgoing] = field(default_factory=list)
    outcomes: list[Outgoing] = field(default_factory=list)
    links: list[bytes] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)
    judged: list[JudgedFeatures] = field(default_factory=list)
    counted: list[Counted] = field(default_factory=list)
    refused_models: list[str] = field(default_factory=list)
    duplicates: int = 0
    not_plain: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    decisions: dict[str, int] = field(default_factory=dict)

    def extend(self, later: "Output", folded: int) -> None:
        """Add what the rest of the batch gave, after the first `folded` records gave this."""
        for mine, theirs in ((self.verdicts, later.verdicts), (self.outcomes, later.outcomes)):
            mine += [Outgoing(place + folded, key, value) for place, key, value in theirs]
        self.links += later.links
        self.set_aside += [SetAside(place + folded, error) for place, error in later.set_aside]
        self.judged += later.judged
        self.counted += later.counted
        self.refused_models += later.refused_models
        self.duplicates += later.duplicates
        self.not_plain += later.not_plain
        for counts, more in ((self.kinds, later.kinds), (self.decisions, later.decisions)):
            for name, count in more.items():
                counts[name] = counts.get(name, 0) + count

    def refusals(self) -> dict[str, int]:
        """How many records were set aside, by error code."""
        return dict(Counter(item.error.code for item in self.set_aside))

    def refusals_text(self) -> str:
        """The same in words.

        >>> Output(set_aside=[SetAside(0, InvalidRecord("not_json", "$", "JSON", "text"))]).refusals_text()
        '1 not_json'
        """
        return ", ".join(f"{count} {code}" for code, count in sorted(self.refusals().items()))
