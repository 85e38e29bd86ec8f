"""`assay broker`: a real Kafka on this machine, for a laptop and for tests."""

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from streams import broker as kafka

app = typer.Typer(
    no_args_is_help=True,
    help="A real Apache Kafka on this machine, without Docker. Needs Java 17; Maven fetches it once, about 45 MB.",
)

DirectoryOption = Annotated[
    Path, typer.Option("--directory", envvar="ASSAY_BROKER_DIRECTORY", help="Where the broker keeps everything.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def up(
    directory: DirectoryOption = kafka.DEFAULT_DIRECTORY,
    nodes: Annotated[Literal["1", "3"], typer.Option(help="3 keeps three copies of every partition.")] = "1",
    security: Annotated[
        Literal["sasl_ssl"] | None,
        typer.Option(help="Encrypt (TLS), ask for passwords (SCRAM-SHA-512) and check rights."),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65_533, help="Of the first node, the others follow; 0 takes free ones.")
    ] = 9092,
    as_json: JsonOption = False,
) -> None:
    """Start it and wait until it can be used; one that runs already is left as it is.

    Data of an earlier start is kept. The first start fetches Kafka's jars and compares them with a pinned list.
    """
    with _progress() as report:
        running = kafka.start(directory, int(nodes), security, port, report)
    description = kafka.describe(running.directory)
    if as_json:
        typer.echo(json.dumps({**asdict(description), "was_running": running.was_running}))
        return
    verb = "already runs" if running.was_running else "runs"
    typer.echo(f"Kafka {description.kafka_version} {verb} at {description.bootstrap_servers}, data in {directory}")
    user = "engine" if description.security else "anyone"
    typer.echo(f"to connect as {user}:")
    for name, value in description.clients[user].items():
        typer.echo(f"  export {name}={shlex.quote(value)}")
    if description.security:
        others = ", ".join(other for other in description.clients if other != user)
        typer.echo(f"other users, each with a password file beside that one: {others}")


@app.command()
def down(
    directory: DirectoryOption = kafka.DEFAULT_DIRECTORY,
    delete: Annotated[bool, typer.Option("--delete", help="Remove its directory too, with all topics.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Stop it: every node gets 30 seconds to end in an orderly way. Topics are kept."""
    stopped = kafka.stop(directory)
    if delete:
        kafka.delete(directory)
    if as_json:
        typer.echo(json.dumps({"stopped_nodes": stopped, "deleted": delete}))
        return
    typer.echo(f"stopped {len(stopped)} node(s)" if stopped else f"no broker runs in {directory}")
    if delete:
        typer.echo(f"removed {directory}")


@app.command()
def status(directory: DirectoryOption = kafka.DEFAULT_DIRECTORY, as_json: JsonOption = False) -> None:
    """Say what runs, and where. Exit code 0 if every node runs, else 1."""
    description = kafka.describe(directory)
    if as_json:
        typer.echo(json.dumps(asdict(description)))
    elif not description.nodes:
        typer.echo(f"no broker was started in {directory}")
    else:
        security = description.security or "unencrypted"
        typer.echo(f"Kafka {description.kafka_version}, {security}, data in {directory}")
        for node in description.nodes:
            state = f"runs at {node.address}, pid {node.pid}" if node.running else "does not run"
            typer.echo(f"  node {node.number} {state}")
    if not description.running:
        raise typer.Exit(1)


@contextmanager
def _progress() -> Iterator[kafka.Report]:
    """A bar on standard error if that is a terminal, else one line when the download begins."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("Kafka", total=None)

        def report(what: str, done: int, total: int) -> None:
            progress.update(task, description=what, completed=done, total=total or None)
            if not console.is_terminal and done == 0 and total:
                typer.echo(f"{what}: {total} jars, about 45 MB", err=True)

        yield report
