"""`assay simulate`: events with known fraud in them and the labels that follow, as files or into Kafka."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from features.errors import AssayError
from streams.connection import (
    AuthorityFileOption,
    InsecureOption,
    PasswordFileOption,
    SecurityOption,
    SettingOption,
    UsernameOption,
    client_settings,
    hosts,
)
from streams.simulator.scenario import (
    DEFAULT_FRAUD_SHARE,
    DEFAULT_START,
    EVENTS_PER_ACCOUNT,
    FEWEST_ACCOUNTS,
    Scenario,
    parse_start,
)

if TYPE_CHECKING:
    from streams.simulator.broadcast import Delivery
    from streams.simulator.timeline import Timeline

DEFAULT_EVENTS = 200_000
EVENTS, LABELS = "events", "labels"


def _scenario(**asked: Any) -> Scenario:
    """The scenario that the options describe; what it refuses is wrong usage."""
    try:
        return Scenario(start_ms=parse_start(asked.pop("start")), **asked)
    except AssayError as error:
        raise typer.BadParameter(str(error)) from None


def _brokers(bootstrap: str | None) -> str | None:
    try:
        hosts(bootstrap or "localhost:9092")
    except AssayError as error:
        raise typer.BadParameter(str(error).replace("--bootstrap", "--kafka")) from None
    return bootstrap


def simulate(
    out: Annotated[Path | None, typer.Option("--out", help="Directory for the files events, labels and truth.")] = None,
    events: Annotated[int, typer.Option("--events", min=100, help="Records of the event file.")] = DEFAULT_EVENTS,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed and options give the same bytes.")] = 1,
    accounts: Annotated[
        int | None,
        typer.Option(
            "--accounts",
            min=FEWEST_ACCOUNTS,
            help=f"Accounts.  [default: one per {EVENTS_PER_ACCOUNT} events, at least {FEWEST_ACCOUNTS}]",
        ),
    ] = None,
    days: Annotated[int, typer.Option("--days", min=1, max=3650, help="Simulated days.")] = 60,
    start: Annotated[
        str, typer.Option("--start", metavar="TIME", help="First moment: ISO 8601 (UTC) or epoch milliseconds.")
    ] = DEFAULT_START,
    fraud_share: Annotated[
        float, typer.Option("--fraud-share", min=0.0, max=0.2, help="Share of payments that are fraud.")
    ] = DEFAULT_FRAUD_SHARE,
    file_format: Annotated[
        Literal["jsonl", "parquet"], typer.Option("--format", help="Format of the files.")
    ] = "jsonl",
    kafka: Annotated[
        str | None,
        typer.Option("--kafka", metavar="HOST:PORT,…", help="Produce to these brokers.", callback=_brokers),
    ] = None,
    topic: Annotated[
        str, typer.Option("--topic", help="Topic of the events; labels go to the one that ends in `labels` instead.")
    ] = "fraud.events",
    rate: Annotated[
        float | None, typer.Option("--rate", min=0.001, help="With --kafka: records per second at most.")
    ] = None,
    speed: Annotated[
        float | None, typer.Option("--speed", min=0.001, help="With --kafka: simulated seconds per second at most.")
    ] = None,
    security: SecurityOption = "plaintext",
    username: UsernameOption = None,
    password_file: PasswordFileOption = None,
    ca_file: AuthorityFileOption = None,
    insecure: InsecureOption = False,
    setting: SettingOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Simulate a payment platform: accounts with habits, seven kinds of attack, a sale, and labels that come late.

    Writes `events` (in order of arrival, with late and repeated ones), `labels` (by the moment they are known) and
    `truth` (what each event really is) into --out, or produces events and labels to --kafka, or both. Exit code 1 if
    Kafka did not take a record.
    """
    from streams.commands.progress import records_progress
    from streams.simulator.summary import summarise
    from streams.simulator.timeline import simulate as play

    if out is None and kafka is None:
        raise typer.BadParameter("give a directory (--out), brokers (--kafka), or both")
    if kafka is None and (rate is not None or speed is not None):
        raise typer.BadParameter("--rate and --speed need --kafka")
    if not topic.endswith(EVENTS):
        raise typer.BadParameter(f"--topic expects a name that ends in {EVENTS!r}, got {topic!r}")
    scenario = _scenario(
        events=events, seed=seed, accounts=accounts or 0, days=days, start=start, fraud_share=fraud_share
    )
    began = time.perf_counter()
    with records_progress("simulating") as progress:
        timeline = play(scenario)
        result = summarise(timeline)
        if out is not None:
            from streams.simulator.writer import write

            total = len(timeline.arrival.row) + len(timeline.events) + len(timeline.labels)
            paths = write(timeline, out, file_format, _counter(progress, total))
            result["files"] = {name: str(path) for name, path in paths.items()}
    elapsed = time.perf_counter() - began
    result["events_per_second"] = round(events / elapsed)
    delivery = None
    if kafka is not None:
        settings = client_settings(
            kafka,
            security=security,
            username=username,
            password_file=password_file,
            ca_file=ca_file,
            insecure=insecure,
            settings=setting or (),
        )
        delivery = _produce(timeline, settings, topic, rate, speed)
        result["kafka"] = {"sent": delivery.sent, "delivered": delivery.delivered, "failed": delivery.failed}
    _print(result, as_json)
    if delivery is not None and delivery.failed:
        raise AssayError(
            f"Kafka did not take {delivery.failed} of {sum(delivery.sent.values())} records "
            f"({delivery.first_error}): look at the brokers, then send them again"
        )


def _counter(progress: Callable[[int, int, int | None], None], total: int | None) -> Callable[[int], None]:
    """Turns steps into the running count that a progress bar wants."""
    done = 0

    def advance(step: int) -> None:
        nonlocal done
        done += step
        progress(done, done, total)

    return advance


def _produce(
    timeline: "Timeline", settings: dict[str, str], topic: str, rate: float | None, speed: float | None
) -> "Delivery":
    from confluent_kafka import Producer

    from streams.admin import connect, look
    from streams.commands.progress import records_progress
    from streams.simulator.broadcast import PRODUCER_SETTINGS, broadcast, messages

    labels_topic = topic.removesuffix(EVENTS) + LABELS
    now_ms = time.time_ns() // 1_000_000
    if timeline.scenario.end_ms > now_ms:
        raise AssayError(
            f"the simulated time ends at {timeline.scenario.end_ms} ms, after now ({now_ms} ms), and events from the "
            "future are refused: choose an earlier --start or fewer --days"
        )
    client, _ = connect(settings)
    missing = sorted({topic, labels_topic} - set(look(client, (topic, labels_topic))))
    if missing:
        raise AssayError(f"topics are missing: {', '.join(missing)}; create them with `assay topics apply`")
    stream = messages(timeline, topic, labels_topic, now_ms)
    with records_progress("producing") as progress:
        advance = _counter(progress, len(timeline.arrival.row) + len(timeline.labels))
        producer = Producer({**PRODUCER_SETTINGS, **settings})
        return broadcast(stream, producer, rate=rate, speed=speed, advance=advance)


def _print(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        import json

        typer.echo(json.dumps(result))
        return
    from rich.console import Console
    from rich.table import Table

    console = Console()

    def table(title: str, columns: list[str], lines: list[list[Any]]) -> None:
        shown = Table(title=title, title_justify="left", box=None, pad_edge=False)
        shown.add_column(columns[0], no_wrap=True)
        for column in columns[1:]:
            shown.add_column(column, justify="right")
        for line in lines:
            shown.add_row(*(f"{cell:,}" if isinstance(cell, int | float) else str(cell) for cell in line))
        console.print(shown)
        console.print()

    table("Events", ["type", "events"], [[*item] for item in result["events_by_type"].items()])
    attacks = result["attacks"]
    table(
        "Attacks (fraud, declined and EUR count fraudulent payments)",
        ["attack", "instances", "accounts", "events", "fraud", "declined", "EUR"],
        [
            [
                name,
                *(row[key] for key in ("instances", "accounts", "events", "fraud_payments", "declined", "amount_eur")),
            ]
            for name, row in attacks.items()
        ],
    )
    delays = result["label_delay_hours"]
    table(
        "Labels of fraud: hours until known",
        ["fraud type", "labels", "10 %", "50 %", "90 %"],
        [[name, row["labels"], row["p10"], row["p50"], row["p90"]] for name, row in delays.items()],
    )
    sale = result["sale"]
    console.print(
        f"{result['events']:,} events of {result['accounts']:,} accounts, {result['start']} to {result['end']}; "
        f"{result['late']:,} late, {result['duplicates']:,} repeated; "
        f"{result['fraud_share_of_payments']:.2%} of payments are fraud; "
        f"sale from {sale['start']} to {sale['end']} ({sale['payments']:,} payments); {result['labels']:,} labels; "
        f"{result['events_per_second']:,} events/s",
        highlight=False,
        soft_wrap=True,
    )
    for path in result.get("files", {}).values():
        console.print(path, highlight=False, soft_wrap=True)
    if "kafka" in result:
        sent = ", ".join(f"{count:,} to {name}" for name, count in result["kafka"]["sent"].items())
        console.print(
            f"sent {sent}: {result['kafka']['delivered']:,} delivered, {result['kafka']['failed']:,} failed",
            highlight=False,
            soft_wrap=True,
        )
