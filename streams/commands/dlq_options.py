"""Options of `assay dlq`, each declared once; what they cannot take is wrong usage."""

import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from streams.commands.looking_back import place_option

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


def with_zone(text: str) -> str:
    """An ISO 8601 time or date without a zone is in UTC, as times are listed; anything else stays as it is.

    >>> with_zone("2025-01-06"), with_zone("2025-01-06T01:00:00+01:00"), with_zone("-6h"), with_zone("20250106")
    ('2025-01-06T00:00:00Z', '2025-01-06T01:00:00+01:00', '-6h', '20250106')
    """
    try:
        moment = None if text.isdecimal() else datetime.fromisoformat(text)
    except ValueError:
        return text
    return text if moment is None or moment.tzinfo else f"{moment.isoformat()}Z"


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
    str | None,
    typer.Option(
        "--from", help="Set aside at this time or later (2026-01-31T12:00:00Z, -6h), or from this source offset on."
    ),
]
ToOption = Annotated[
    str | None, typer.Option("--to", help="Set aside before this time, or refused before this source offset.")
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
    start: str | None,
    end: str | None,
    source_partition: int | None,
    source_offset: Range | None,
) -> "Wanted":
    """What the options ask for.

    A time of `start` and `end` is when a letter was set aside. An offset is that of the refused record in its
    partition, which has to be named.
    """
    from streams.dead_letters import Wanted
    from streams.log_range import Moment, Offset

    begin = place_option(start and with_zone(start), "--from")
    before = place_option(end and with_zone(end), "--to")
    if source_partition is None and (isinstance(begin, Offset) or isinstance(before, Offset)):
        raise typer.BadParameter(
            "an offset is a place of one partition: name it with --source-partition, or give times to --from and --to"
        )
    first, last = source_offset or Range(None, None)
    if isinstance(begin, Offset):
        first = max(begin.offset, first or 0)
    if isinstance(before, Offset):
        last = before.offset - 1 if last is None else min(before.offset - 1, last)
    return Wanted(
        codes=frozenset(codes or ()),
        account=None if account is None else account.encode(),
        from_ms=begin.time_ms if isinstance(begin, Moment) else None,
        to_ms=before.time_ms if isinstance(before, Moment) else None,
        source_partition=source_partition,
        first_offset=first,
        last_offset=last,
    )
