"""`assay warm`: a worker of the warm path."""

from pathlib import Path
from typing import Annotated

import typer

from streams.commands.config import ConfigOption
from streams.config import load_config


def warm(
    config_path: ConfigOption = None,
    bootstrap: Annotated[str | None, typer.Option("--bootstrap", help="Kafka brokers, HOST:PORT,…")] = None,
    directory: Annotated[Path | None, typer.Option("--directory", help="Where this worker keeps its tables.")] = None,
    http_port: Annotated[
        int | None, typer.Option("--http-port", help="Port of /metrics, /healthz, /readyz; 0 any, -1 none.")
    ] = None,
    trust_internal: Annotated[
        bool | None, typer.Option("--trust-internal", help="Put labels into the log without a signature.")
    ] = None,
) -> None:
    """Put labels into the events log, and watch what the engine sees and decides.

    A Faust worker, at least once, with effects that may be repeated: a label that is put in twice is a duplicate to the
    engine, an alert that is told twice is the same alert. Runs until SIGTERM or SIGINT; start more workers, each with
    its own --directory, to share partitions. A worker that stands still ends by itself, so let a supervisor start it
    again. `assay config` lists every setting.
    """
    from streams.warm.worker import WarmWorker, serving

    config = load_config(
        config_path,
        overrides={
            "kafka.bootstrap": bootstrap,
            "warm.directory": None if directory is None else str(directory),
            "warm.http_port": http_port,
            "security.trust_internal": trust_internal,
        },
    )
    worker = WarmWorker(config)
    with serving(config, worker) as server:
        if server is not None:
            typer.echo(f"metrics and health on port {server.port}", err=True)
        worker.run()
