"""What `assay dlq` prints, for people and for machines. Values of records are never among it, but for `write_raw`."""

import sys
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from features.errors import AssayError
from streams.dead_letter_view import masked_value, printable, shown_headers, shown_key, taken
from streams.dead_letters import REDRIVE_COUNT_HEADER, REDRIVE_ID_HEADER, Address, Letter
from streams.redrive import Choice, message_of

_ONE_LINE = 1_000
"""Columns of what is not a terminal: there each letter is one line, fit for grep."""


def print_counts(codes: Counter[str], *, as_json: bool) -> None:
    """How many letters there are of each code, most first."""
    if as_json:
        _print_json({printable(code): count for code, count in codes.most_common()})
    else:
        _print_table(("code", "letters"), [(printable(code), count) for code, count in codes.most_common()])


def print_letters(letters: Iterable[Letter], sent_back: Collection[Address], *, as_json: bool) -> None:
    """One row per letter: where it is, where its record was, why."""
    rows = [{**_row(letter), "sent_back": letter.source in sent_back} for letter in letters]
    if as_json:
        for row in rows:
            _print_json(row)
    elif rows:
        _print_table(
            [name.replace("_", " ") for name in rows[0]],
            [("yes" if value is True else "" if value is False else value for value in row.values()) for row in rows],
        )


def print_letter(letter: Letter, *, as_json: bool) -> None:
    """One letter with its headers and the structure of its record."""
    row = {**_row(letter), "key": shown_key(letter.record.key)}
    if as_json:
        _print_json({**row, "headers": shown_headers(letter), "record": masked_value(letter)})
        return
    _print_table(("letter", ""), [(name.replace("_", " "), value) for name, value in row.items()])
    _print_table(("header", ""), shown_headers(letter))
    _print_table(("record", ""), masked_value(letter))


def write_raw(letter: Letter, out: Path | None) -> None:
    """The record's bytes, as they are kept.

    Raises:
        AssayError: the file cannot be written.
    """
    value = letter.record.value or b""
    if letter.is_redacted:
        typer.echo("the record held a card number: only its length and a keyed hash are kept", err=True)
    if out is None:
        sys.stdout.buffer.write(value)
        sys.stdout.buffer.flush()
        return
    try:
        out.write_bytes(value)
    except OSError as error:
        raise AssayError(f"--out {out}: expected a file that can be written ({error.strerror})") from None


def print_dry_run(choice: Choice, *, as_json: bool) -> None:
    """One row per message that would be sent, in the order of sending."""
    rows = []
    for letter in choice.letters:
        message = message_of(letter)
        headers = dict(message.headers or ())
        rows.append(
            {
                "place": letter.place,
                "code": printable(letter.code),
                "to": f"{message.topic}[{message.partition}]",
                "key": shown_key(message.key),
                "value_bytes": len(message.value or b""),
                "headers": len(message.headers or ()),
                "redrive_count": (headers[REDRIVE_COUNT_HEADER] or b"").decode(),
                "redrive_id": printable((headers[REDRIVE_ID_HEADER] or b"").decode("utf-8", "backslashreplace")),
            }
        )
    if as_json:
        for row in rows:
            _print_json(row)
    elif rows:
        _print_table([name.replace("_", " ") for name in rows[0]], [row.values() for row in rows])


def print_summary(sent: int, choice: Choice, *, as_json: bool) -> None:
    """What was sent, and what stays why: on standard error for people, on standard output for machines."""
    if as_json:
        _print_json({"sent": sent, "left": choice.left})
        return
    typer.echo(f"sent back: {sent}", err=True)
    for reason, count in sorted(choice.left.items()):
        typer.echo(f"left: {count} {reason}", err=True)


def _row(letter: Letter) -> dict[str, Any]:
    return {
        "place": letter.place,
        "set_aside": taken(letter),
        "source": printable(str(letter.source)),
        "code": printable(letter.code),
        "path": printable(letter.path),
        "expected": printable(letter.expected),
        "got": printable(letter.got),
        "redrives": letter.redrives,
    }


def _print_json(row: dict[str, Any]) -> None:
    typer.echo(orjson.dumps(row))


def _print_table(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    console = Console()
    if not console.is_terminal:
        console.width = _ONE_LINE
    console.print(table)
