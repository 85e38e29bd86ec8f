"""`assay dlq`: look at records that were set aside, and send them back once the cause is put right."""

import heapq
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.commands.config import ConfigOption
from streams.commands.dlq_options import (
    AccountOption,
    CodeOption,
    FromOption,
    JsonOption,
    LabelsOption,
    OffsetsOption,
    PartitionOption,
    PlaceArgument,
    ToOption,
    wanted_of,
)
from streams.commands.looking_back import BootstrapOption
from streams.config import Config, load_config

if TYPE_CHECKING:
    from streams.dead_letter_topic import DeadLetterTopic
    from streams.dead_letters import Address, Letter, Redriven, Wanted
    from streams.redrive import Choice

DEFAULT_ROWS = 50
DEFAULT_LETTERS = 10_000
DEFAULT_REDRIVES = 3

app = typer.Typer(no_args_is_help=True, help="Records that were set aside: list them, look at one, send them back.")


@app.command("list")
def list_letters(
    codes: CodeOption = None,
    account: AccountOption = None,
    start: FromOption = None,
    end: ToOption = None,
    source_partition: PartitionOption = None,
    source_offsets: OffsetsOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Show the newest so many.")] = DEFAULT_ROWS,
    count: Annotated[bool, typer.Option("--count", help="Show how many there are of each code instead.")] = False,
    labels: LabelsOption = False,
    config_path: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show dead letters, the newest last: where each is, where its record was, and why it was refused.

    No value of a record is shown.
    """
    from streams.commands.dlq_output import print_counts, print_letters
    from streams.commands.progress import records_progress
    from streams.dead_letters import Redriven

    wanted = wanted_of(codes, account, start, end, source_partition, source_offsets)
    sent_back: set[Address] = set()
    counts: Counter[str] = Counter()

    def letters(items: "Iterable[Letter | Redriven]") -> "Iterator[Letter]":
        for item in items:
            if isinstance(item, Redriven):
                sent_back.update(item.addresses())
            else:
                counts[item.code] += 1
                yield item

    with _dead_letters(_config(config_path, bootstrap), labels) as topic, records_progress("reading") as progress:
        found = letters(topic.read(wanted, topic.ends(), progress))
        newest = heapq.nlargest(limit, found, key=lambda letter: (letter.record.timestamp_ms or 0, letter.source))
    if count:
        print_counts(counts, as_json=as_json)
        return
    print_letters(newest[::-1], sent_back, as_json=as_json)
    if not as_json:
        typer.echo(f"{len(newest)} of {counts.total()} dead letters", err=True)


@app.command("show")
def show(
    place: PlaceArgument,
    raw: Annotated[
        bool, typer.Option("--raw", help="Write the record's bytes, for somebody who may see them.")
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", help="File for --raw.  [default: standard output]")] = None,
    labels: LabelsOption = False,
    config_path: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one dead letter: the reason, the headers, and the structure of the record with its values masked."""
    from streams.commands.dlq_output import print_letter, write_raw

    if out is not None and not raw:
        raise typer.BadParameter("--out is the file for --raw: give both")
    with _dead_letters(_config(config_path, bootstrap), labels) as topic:
        letter = topic.letter_at(*place)
    if raw:
        write_raw(letter, out)
    else:
        print_letter(letter, as_json=as_json)


@app.command("redrive")
def redrive(
    codes: CodeOption = None,
    account: AccountOption = None,
    start: FromOption = None,
    end: ToOption = None,
    source_partition: PartitionOption = None,
    source_offsets: OffsetsOption = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, help="Send so many at most; another run sends the rest.")
    ] = DEFAULT_LETTERS,
    most_redrives: Annotated[
        int, typer.Option("--most-redrives", min=1, help="Leave a record that was sent back so often.")
    ] = DEFAULT_REDRIVES,
    rate: Annotated[float | None, typer.Option("--rate", min=0.1, help="Records per second at most.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent, and send nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    labels: LabelsOption = False,
    config_path: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send refused records back to their topic once the cause is put right; each once, however often this is run.

    Key, value and headers are as they were; the headers also say why the record was refused and how often it was sent
    back. Records of an account keep their order.
    """
    from streams.commands.dlq_output import print_dry_run, print_summary
    from streams.commands.progress import records_progress
    from streams.kafka_clients import connection
    from streams.redriver import Redriver

    if not (yes or dry_run or sys.stdin.isatty()):
        raise typer.BadParameter("nobody is there to ask: look with --dry-run, then say --yes")
    wanted = wanted_of(codes, account, start, end, source_partition, source_offsets)
    config = _config(config_path, bootstrap)
    with _dead_letters(config, labels) as topic:
        if dry_run:
            choice = _choice(topic, wanted, topic.ends(), most_redrives, limit)
            print_dry_run(choice, as_json=as_json)
            if not as_json:
                print_summary(0, choice, as_json=False)
            return
        with Redriver(connection(config), topic) as redriver:
            choice = _choice(topic, wanted, redriver.settled_ends(), most_redrives, limit)
            count = len(choice.letters)
            if count and not yes:
                typer.confirm(f"send {count} records back to {choice.letters[0].source.topic}?", abort=True, err=True)
            with records_progress("sending") as progress:
                redriver.send(choice.letters, rate, lambda sent: progress(sent, sent, count))
    print_summary(count, choice, as_json=as_json)


def _config(path: Path | None, bootstrap: str | None) -> Config:
    return load_config(path, overrides={"kafka.bootstrap": bootstrap})


@contextmanager
def _dead_letters(config: Config, labels: bool) -> "Iterator[DeadLetterTopic]":
    from streams.dead_letter_topic import DeadLetterTopic
    from streams.kafka_clients import connection
    from streams.topic_reader import TopicReader

    source = f"{config.text('topics.prefix')}{'labels' if labels else 'events'}"
    with TopicReader(connection(config)) as reader:
        yield DeadLetterTopic(reader, source)


def _choice(
    topic: "DeadLetterTopic", wanted: "Wanted", ends: dict[int, int], most_redrives: int, limit: int
) -> "Choice":
    """What is to be sent: every mark is read before any letter, since a mark stands behind its letter."""
    from streams.commands.progress import records_progress
    from streams.dead_letters import Letter, Redriven
    from streams.redrive import choose

    with records_progress("reading marks") as progress:
        marks = (item for item in topic.read(wanted, ends, progress) if isinstance(item, Redriven))
        sent_back = {address for mark in marks for address in mark.addresses()}
    with records_progress("reading letters") as progress:
        letters = (item for item in topic.read(wanted, ends, progress) if isinstance(item, Letter))
        return choose(letters, sent_back, topic.source, most_redrives=most_redrives, limit=limit)
