"""`assay console`: the web pages for the person on call and the analyst."""

from pathlib import Path
from typing import Annotated

import typer

from streams.commands.config import ConfigOption
from streams.config import load_config


def console(
    config_path: ConfigOption = None,
    bootstrap: Annotated[str | None, typer.Option("--bootstrap", help="Kafka brokers, HOST:PORT,…")] = None,
    address: Annotated[str | None, typer.Option("--address", help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option("--port", min=0, max=65_535, help="Port; 0 chooses a free one.")] = None,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", help="File with who may act: name:token, separated by blanks.")
    ] = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="Bring a broker, traffic, workers and a token along; all end with it.")
    ] = False,
    directory: Annotated[Path, typer.Option("--directory", help="Where --demo keeps everything.")] = Path(
        "assay-console-demo"
    ),
) -> None:
    """Show what the engine does: rates, lag, alerts, verdicts, models, dead letters; label, redrive and replay.

    Follows topics without a group and keeps a bounded picture in memory, so it can be ended and started at any time and
    disturbs no worker. Whoever has a token may act; every action is written to the audit topic before it is done.
    """
    from streams.console.run import serve

    overrides = {
        "kafka.bootstrap": bootstrap,
        "console.address": address,
        "console.port": port,
        "console.token_file": None if token_file is None else str(token_file),
    }
    if demo:
        from streams.console.demo import demo_stack

        with demo_stack(directory, lambda line: typer.echo(line, err=True)) as running:
            serve(running.config(overrides), lambda url: typer.echo(running.greeting(url)))
        return
    config = load_config(config_path, overrides=overrides)
    serve(config, lambda url: typer.echo(f"the console is at {url}", err=True))
