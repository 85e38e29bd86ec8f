"""`assay breaker`: what the circuit breaker does now; open and close it by hand."""

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from features.errors import AssayError
from models.watch_limits import CLOSED, InForce
from streams.commands.config import ConfigOption
from streams.config import load_config

app = typer.Typer(
    no_args_is_help=True, help="The circuit breaker: what decides now, and opening and closing it by hand."
)

ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it stands in the log, at most 256 characters.")]
BootstrapOption = Annotated[str | None, typer.Option("--bootstrap", help="Kafka brokers, HOST:PORT,…")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


class Action(StrEnum):
    """What can decide in place of the model."""

    STEP_UP = "step_up"
    LAST_GOOD_MODEL = "last_good_model"
    RULES_ONLY = "rules_only"


@app.command("set")
def set_action(
    action: Annotated[Action, typer.Argument(help="What decides in place of the model.")],
    reason: ReasonOption,
    config_path: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open the breaker: one signed marker in every partition of the events log, in force from there on.

    step_up: reviews and declines become a step-up. last_good_model: the newest model before this one under which the
    breaker never opened. rules_only: the rules of the policy, without a score.

    Nothing closes it again but `assay breaker close`, or the watch, if it opens and closes the breaker meanwhile.
    """
    _put(action.value, reason, config_path, bootstrap, as_json)


@app.command("close")
def close(
    reason: ReasonOption,
    config_path: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    as_json: JsonOption = False,
) -> None:
    """Close the breaker: the model decides again, from one signed marker in every partition on.

    The watch, if it was the one that opened it, puts in force what it thinks right with its own next change.
    """
    _put(CLOSED, reason, config_path, bootstrap, as_json)


@app.command("show")
def show(config_path: ConfigOption = None, bootstrap: BootstrapOption = None, as_json: JsonOption = False) -> None:
    """Show what decides now, since when and why, as whoever changed it last has told `fraud.control`."""
    import orjson

    from streams.alert_desk import time_text
    from streams.control import in_force
    from streams.kafka_clients import connection
    from streams.topic_reader import TopicReader

    config = load_config(config_path, overrides={"kafka.bootstrap": bootstrap})
    topic = f"{config.text('topics.prefix')}control"
    with TopicReader(connection(config)) as reader:
        low, high = reader.bounds(topic, 0)
        marker = in_force(record for batch in reader.read(topic, 0, low, high) for record in batch).get("breaker")
    if marker is None:
        row: dict[str, str | None] = {"breaker": CLOSED, "since": None, "event_id": None, "reason": None}
        text = f"{CLOSED}: nothing was ever put in the model's place"
    else:
        row = {
            "breaker": marker.value,
            "since": time_text(marker.time_ms),
            "event_id": marker.event_id,
            "reason": marker.reason,
        }
        text = f"{marker.value} since {time_text(marker.time_ms)}: {marker.reason or 'no reason was given'}"
    typer.echo(orjson.dumps(row) if as_json else text)


def _put(in_force: InForce, reason: str, config_path: Path | None, bootstrap: str | None, as_json: bool) -> None:
    import orjson

    from streams.admin import connect, look
    from streams.breaker_marker import MOST_REASON, marker_by_hand
    from streams.control import control_message
    from streams.kafka_clients import connection
    from streams.marker_messages import marker_messages
    from streams.marker_writer import write_markers

    if not 0 < len(reason) <= MOST_REASON:
        raise typer.BadParameter(f"expected 1 to {MOST_REASON} characters, got {len(reason)}", param_hint="--reason")
    config = load_config(config_path, overrides={"kafka.bootstrap": bootstrap})
    key = config.secret("security.internal_key").encode() or None
    if key is None and not config.flag("security.trust_internal"):
        raise AssayError(
            "markers need a signature before the engine takes them: set security.internal_key (or its file) to the key "
            "of the engine, or security.trust_internal where whoever can write the log is trusted"
        )
    topic, control = (f"{config.text('topics.prefix')}{name}" for name in ("events", "control"))
    settings = connection(config)
    client, _ = connect(settings)
    found = look(client, [topic, control])
    for name in (topic, control):
        if name not in found:
            raise AssayError(f"topic {name} is missing; create it with `assay topics apply`")
    partitions = found[topic].partitions
    marker = marker_by_hand(in_force, reason, time.time_ns() // 1_000_000)
    write_markers(settings, [*marker_messages(marker, topic, partitions, key), control_message(marker, control)])
    row = {"breaker": in_force, "topic": topic, "partitions": partitions, "event_id": marker.event_id, "reason": reason}
    text = f"{topic}: the breaker is {in_force} in {partitions} partitions, from their next record on"
    typer.echo(orjson.dumps(row) if as_json else text)
