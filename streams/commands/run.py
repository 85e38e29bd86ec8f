"""`assay run`: a worker of the live engine."""

import signal
from pathlib import Path
from typing import Annotated

import typer

from streams.commands.config import ConfigOption
from streams.config import load_config


def run(
    config_path: ConfigOption = None,
    bootstrap: Annotated[str | None, typer.Option("--bootstrap", help="Kafka brokers, HOST:PORT,…")] = None,
    slot: Annotated[
        str | None, typer.Option("--slot", help="Unique per running worker, stable over its restarts.")
    ] = None,
    state: Annotated[Path | None, typer.Option("--state", help="Directory of the account state.")] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", help="Model at the beginning of the log; without it the small one that ships."),
    ] = None,
    delivery: Annotated[str | None, typer.Option("--delivery", help="exactly_once or at_least_once.")] = None,
    batch_events: Annotated[
        int | None, typer.Option("--batch-events", min=1, help="Records per batch; never shows in a result.")
    ] = None,
    http_port: Annotated[
        int | None, typer.Option("--http-port", help="Port of /metrics, /healthz, /readyz; 0 any, -1 none.")
    ] = None,
    trust_internal: Annotated[
        bool | None, typer.Option("--trust-internal", help="Accept labels and markers without a signature.")
    ] = None,
) -> None:
    """Read events from Kafka, keep account state, publish a verdict for each judged event.

    Runs until SIGTERM or SIGINT: then the batch in hand is finished, committed and checkpointed. Run one worker per
    core, each with its own --slot. `assay config` lists every setting.
    """
    from streams.commands.models import open_models
    from streams.kafka_worker import kafka_worker

    config = load_config(
        config_path,
        overrides={
            "kafka.bootstrap": bootstrap,
            "kafka.slot": slot,
            "state.directory": None if state is None else str(state),
            "models.first": model,
            "engine.delivery": delivery,
            "engine.batch_events": batch_events,
            "http.port": http_port,
            "security.trust_internal": trust_internal,
        },
    )
    first_model, open_model = open_models(config.text("models.first"), Path(config.text("models.directory")))
    with kafka_worker(config, first_model, open_model) as (worker, server):
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: worker.stop())
        if server is not None:
            typer.echo(f"metrics and health on port {server.port}", err=True)
        worker.run()
