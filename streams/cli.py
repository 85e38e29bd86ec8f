"""`assay`: one tool, every command with help; a fault outside is one line and exit code 1, wrong usage is 2.

Commands live in `streams/commands/`, one module each, and import what is heavy only when they run.
"""

import logging
import sys

import typer

from features.errors import AssayError
from streams.commands import (
    alerts,
    archive,
    bench,
    breaker,
    broker,
    config,
    console,
    demo,
    dlq,
    explain,
    replay,
    run,
    schema,
    score,
    simulate,
    skew,
    state,
    topics,
    train,
    verify,
    warm,
)

app = typer.Typer(
    name="assay",
    help="Judges every payment event as it happens, and can replay any judgement it ever made.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("demo")(demo.demo)
app.command("score")(score.score)
app.command("run")(run.run)
app.command("warm")(warm.warm)
app.command("console")(console.console)
app.command("simulate")(simulate.simulate)
app.command("train")(train.train)
app.add_typer(broker.app, name="broker")
app.add_typer(topics.app, name="topics")
app.add_typer(breaker.app, name="breaker")
app.command("replay")(replay.replay)
app.command("verify")(verify.verify)
app.command("skew")(skew.skew)
app.command("explain")(explain.explain)
app.add_typer(state.app, name="state")
app.add_typer(dlq.app, name="dlq")
app.add_typer(alerts.app, name="alerts")
app.command("archive")(archive.archive)
app.command("bench", cls=bench.WithTable)(bench.bench)
app.command("schema")(schema.schema)
app.command("config")(config.config)


def main() -> None:
    """Entry point of the `assay` script."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True
    )
    try:
        app()
    except AssayError as error:
        typer.echo(f"assay: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        typer.echo("assay: interrupted", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
