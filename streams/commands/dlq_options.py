"""Options of `assay dlq`, each declared once; what they cannot take is wrong usage."""

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

if TYPE_CHECKING:
    from streams.dead_letters import Wanted

_PLACE = re.compile(r"([0-9]{1,9}):([0-9]{1,18})", re.ASCII)
_RANGE = re.compile(r"([0-9]{0,18})(\.\.)?([0-9]{0,18})", re.ASCII)


class Range(NamedTuple):
    """Offsets, both ends included; None is open."""

    first: int | None
    last: int | None


class Place(NamedTuple):
    """Where a letter is in the dead-letter topic."""

    partition: int
    offset: int


def moment_ms(text: str) -> int:
    """Epoch milliseconds of an ISO 8601 time (UTC where it names no zone), or of a number of milliseconds.

    >>> moment_ms("2025-01-06T01:00:00+01:00") == moment_ms("1736121600000") == moment_ms("2025-01-06")
    True
    """
    if text.isdecimal():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"expected an ISO 8601 time such as 2025-01-06T00:00:00Z, or epoch milliseconds, got {text!r}"
        ) from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def offsets(text: str) -> Range:
    """A range of offsets.

    >>> offsets("17..99"), offsets("17.."), offsets("17")
    (Range(first=17, last=99), Range(first=17, last=None), Range(first=17, last=17))
    """
    parts = _RANGE.fullmatch(text)
    if parts is None or not (parts[1] or parts[3]) or (parts[3] and not parts[2]):
        raise typer.BadParameter(f"expected A..B, A.., ..B or one offset, got {text!r}")
    first, last = (int(number) if number else None for number in (parts[1], parts[3]))
    return Range(first, last if parts[2] else first)


def place(text: str) -> Place:
    """Place of a letter.

    >>> place("0:17")
    Place(partition=0, offset=17)
    """
    parts = _PLACE.fullmatch(text)
    if parts is None:
        raise typer.BadParameter(f"expected PARTITION:OFFSET as `assay dlq list` shows it, got {text!r}")
    return Place(int(parts[1]), int(parts[2]))


PlaceArgument = Annotated[
    Place,
    typer.Argument(metavar="PLACE", parser=place, help="PARTITION:OFFSET, as `assay dlq list` shows it."),
]
LabelsOption = Annotated[bool, typer.Option("--labels", help="Those of the labels topic, not of the events.")]
CodeOption = Annotated[list[str] | None, typer.Option("--code", help="Error code; may be repeated.")]
AccountOption = Annotated[str | None, typer.Option("--account", help="Key of the refused record.")]
FromOption = Annotated[
    int | None, typer.Option("--from", metavar="TIME", parser=moment_ms, help="Set aside at this time or later.")
]
ToOption = Annotated[
    int | None, typer.Option("--to", metavar="TIME", parser=moment_ms, help="Set aside before this time.")
]
PartitionOption = Annotated[
    int | None, typer.Option("--source-partition", min=0, help="Partition that the record was refused in.")
]
OffsetsOption = Annotated[
    Range | None,
    typer.Option("--source-offset", metavar="A..B", parser=offsets, help="Offsets that records were refused at."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")]


def wanted_of(
    codes: list[str] | None,
    account: str | None,
    from_ms: int | None,
    to_ms: int | None,
    source_partition: int | None,
    source_offset: Range | None,
) -> "Wanted":
    """What the options ask for."""
    from streams.dead_letters import Wanted

    first, last = source_offset or Range(None, None)
    key = None if account is None else account.encode()
    return Wanted(frozenset(codes or ()), key, from_ms, to_ms, source_partition, first, last)
