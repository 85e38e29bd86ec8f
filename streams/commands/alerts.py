"""`assay alerts`: which alerts are in force, and which of them somebody does not want to hear of for a while."""

import getpass
import time
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from streams.commands.config import ConfigOption
from streams.commands.looking_back import BootstrapOption
from streams.config import Config, load_config

if TYPE_CHECKING:
    from streams.alert_book import AlertBook

_ONE_LINE = 1_000
"""Columns of what is not a terminal: there each alert is one line, fit for grep."""
_LONGEST_DAYS = 90
_LONGEST_TEXT = 200

app = typer.Typer(no_args_is_help=True, help="Alerts of the warm path: list them, snooze one, end a snooze.")


class Name(NamedTuple):
    """A kind of alert, and which one of it; None for all."""

    kind: str
    subject: str | None

    def __str__(self) -> str:
        return self.kind if self.subject is None else f"{self.kind}:{self.subject}"


def name(text: str) -> Name:
    """A name as people say it; what is none is wrong usage.

    >>> name("feature-drift:account_amount_z_30d"), name("volume-drop")
    (Name(kind='feature-drift', subject='account_amount_z_30d'), Name(kind='volume-drop', subject=None))
    """
    from streams.alert_kinds import KINDS

    kind, colon, subject = text.partition(":")
    if kind not in KINDS or (colon and not 0 < len(subject) <= _LONGEST_TEXT):
        raise typer.BadParameter(f"expected KIND or KIND:SUBJECT with a kind of {', '.join(KINDS)}, got {text!r}")
    return Name(kind, subject if colon else None)


def span(text: str) -> int:
    """How long, in milliseconds; what is none is wrong usage.

    >>> span("2h")
    7200000
    """
    from streams.log_range import parse_span

    span_ms = parse_span(text)
    if not span_ms or span_ms > _LONGEST_DAYS * 86_400_000:
        raise typer.BadParameter(f"expected a span of time like 30m, 2h or 7d, at most {_LONGEST_DAYS}d, got {text!r}")
    return span_ms


def words(text: str) -> str:
    """A few words; none, or very many, are wrong usage."""
    if not 0 < len(text.strip()) <= _LONGEST_TEXT:
        raise typer.BadParameter(f"expected 1 to {_LONGEST_TEXT} characters, got {len(text.strip())}")
    return text.strip()


NameArgument = Annotated[
    Name,
    typer.Argument(metavar="NAME", parser=name, help="Kind of alert, or KIND:SUBJECT, as `assay alerts list` shows."),
]
ByOption = Annotated[str | None, typer.Option("--by", help="Who wants it.  [default: the user of this process]")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")]


@app.command("list")
def list_alerts(
    config_path: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show alerts in force and snoozes, as of the newest minute that the warm path has judged.

    `firing` is told, `snoozed` is kept back, `quiet` is a snooze of what is not in force.
    """
    from streams.alert_desk import rows_of, time_text

    book = _book(load_config(config_path, overrides={"kafka.bootstrap": bootstrap}))
    rows = [] if book is None else rows_of(book, _now_ms())
    if as_json:
        import orjson

        for row in rows:
            typer.echo(orjson.dumps(row))
        return
    if rows:
        _print_table([{key: value for key, value in row.items() if key != "runbook"} for row in rows])
    if book is None or book.newest_ms is None:
        typer.echo("nothing was judged yet: is `assay warm` running, and do events come?", err=True)
    else:
        typer.echo(f"{len(rows)} alerts and snoozes, as of {time_text(book.newest_ms)}", err=True)


@app.command("snooze")
def snooze(
    alert: NameArgument,
    span_ms: Annotated[int, typer.Option("--for", metavar="SPAN", parser=span, help="How long: 30m, 2h, 7d.")],
    reason: Annotated[str, typer.Option("--reason", callback=words, help="Why, for the others to see.")],
    by: ByOption = None,
    config_path: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    as_json: JsonOption = False,
) -> None:
    """Keep an alert back for a while: it is still counted and listed, and neither published nor posted.

    When the time is over and it is still in force, it is told at once. Another snooze of the same name takes the place
    of the former.
    """
    config = load_config(config_path, overrides={"kafka.bootstrap": bootstrap})
    _say(config, alert, _now_ms() + span_ms, by, reason, as_json=as_json)


@app.command("unsnooze")
def unsnooze(
    alert: NameArgument,
    by: ByOption = None,
    config_path: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a snooze: what is still in force is told with the next minute that is judged.

    It ends the snooze of exactly this name: that of a kind goes on for a subject of it. Exit code 1 if there is none.
    """
    from features.errors import AssayError

    config = load_config(config_path, overrides={"kafka.bootstrap": bootstrap})
    book, now_ms = _book(config), _now_ms()
    snoozes = [] if book is None else [one for one in book.snoozes() if one.until_ms > now_ms]
    if alert not in [(one.kind, one.subject) for one in snoozes]:
        raise AssayError(f"{alert}: expected the name of a snooze; `assay alerts list` shows them")
    _say(config, alert, now_ms, by, "ended", as_json=as_json)


def _say(config: Config, alert: Name, until_ms: int, by: str | None, reason: str, *, as_json: bool) -> None:
    """Put it into the log, and say that it is there."""
    from models.telemetry_log import Snooze
    from streams.alert_desk import message_of, time_text
    from streams.kafka_clients import connection
    from streams.sender import Sender

    who = words(by if by is not None else getpass.getuser())
    said = Snooze(kind=alert.kind, subject=alert.subject, until_ms=until_ms, by=who, reason=reason)
    Sender(connection(config)).send(message_of(f"{config.text('topics.prefix')}telemetry", said))
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode(said))
    else:
        outcome = f"snoozed until {time_text(until_ms)}" if until_ms > _now_ms() else "not snoozed any more"
        typer.echo(f"{alert} is {outcome}, as soon as the warm path has read it")


def _book(config: Config) -> "AlertBook | None":
    from streams.alert_desk import stored_book
    from streams.kafka_clients import connection
    from streams.topic_reader import TopicReader
    from streams.topics import WATCH_STATES

    with TopicReader(connection(config)) as reader:
        return stored_book(reader, f"{config.text('topics.prefix')}warm.{WATCH_STATES}")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _print_table(rows: list[dict[str, object]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from streams.dead_letter_view import printable

    table = Table(*(key.replace("_", " ") for key in rows[0]), box=None, pad_edge=False)
    for row in rows:
        cells = {key: "" if cell is None else str(cell) for key, cell in row.items()}
        table.add_row(*(Text(cell if key == "text" else printable(cell)) for key, cell in cells.items()))
    console = Console()
    if not console.is_terminal:
        console.width = _ONE_LINE
    console.print(table)
