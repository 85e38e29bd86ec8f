"""`assay topics`: the topics of the contract, on a cluster."""

import json
from typing import Annotated

import typer

from streams.connection import (
    DEFAULT_BOOTSTRAP,
    AuthorityFileOption,
    BootstrapOption,
    InsecureOption,
    PasswordFileOption,
    SecurityOption,
    SettingOption,
    UsernameOption,
    client_settings,
)
from streams.topics import DEFAULT_PARTITIONS, DEFAULT_PREFIX, PARTITIONS_STAY, topic_names

app = typer.Typer(no_args_is_help=True, help="The engine's topics on a Kafka cluster: create what is missing, or look.")

PrefixOption = Annotated[str, typer.Option("--prefix", envvar="ASSAY_TOPICS_PREFIX", help="Begins every topic's name.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object per topic and line.")]


@app.command("apply")
def apply(
    bootstrap: BootstrapOption = DEFAULT_BOOTSTRAP,
    partitions: Annotated[
        int | None,
        typer.Option(
            min=1, help=f"Of each topic keyed by account; default: those that events has, else {DEFAULT_PARTITIONS}."
        ),
    ] = None,
    prefix: PrefixOption = DEFAULT_PREFIX,
    security: SecurityOption = "plaintext",
    username: UsernameOption = None,
    password_file: PasswordFileOption = None,
    ca_file: AuthorityFileOption = None,
    insecure: InsecureOption = False,
    setting: SettingOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create the topics that are missing. What exists is never deleted or changed, only compared.

    Exit code 0 if every topic is now as the contract says, 1 if one differs. Longer retention is no difference.
    """
    from streams.admin import apply_topics, connect

    settings = client_settings(
        bootstrap,
        security=security,
        username=username,
        password_file=password_file,
        ca_file=ca_file,
        insecure=insecure,
        settings=setting or (),
    )
    client, _ = connect(settings)
    steps = apply_topics(client, prefix, partitions)
    for step in steps:
        outcome = "created" if step.outcome == "create" else step.outcome
        if as_json:
            row = {"topic": step.topic, "outcome": outcome, "partitions": step.partitions}
            typer.echo(json.dumps({**row, "differences": step.differences}))
        else:
            typer.echo(f"{outcome:8} {step.topic} ({step.partitions} partitions)")
            for difference in step.differences:
                typer.echo(f"         {difference}")
    if any(difference.startswith("partitions") for step in steps for difference in step.differences):
        typer.echo(PARTITIONS_STAY, err=True)
    if any(step.differences for step in steps):
        raise typer.Exit(1)


@app.command("list")
def list_topics(
    bootstrap: BootstrapOption = DEFAULT_BOOTSTRAP,
    prefix: PrefixOption = DEFAULT_PREFIX,
    security: SecurityOption = "plaintext",
    username: UsernameOption = None,
    password_file: PasswordFileOption = None,
    ca_file: AuthorityFileOption = None,
    insecure: InsecureOption = False,
    setting: SettingOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show which of the engine's topics exist, and how. Exit code 0 if all do, else 1."""
    from streams.admin import connect, look

    settings = client_settings(
        bootstrap,
        security=security,
        username=username,
        password_file=password_file,
        ca_file=ca_file,
        insecure=insecure,
        settings=setting or (),
    )
    client, _ = connect(settings)
    names = topic_names(prefix)
    found = look(client, names)
    for name in names:
        topic = found.get(name)
        row = {
            "topic": name,
            "exists": topic is not None,
            "partitions": topic.partitions if topic else 0,
            "replicas": topic.replicas if topic else 0,
            "cleanup_policy": topic.settings["cleanup.policy"] if topic else None,
            "retention_ms": int(topic.settings["retention.ms"]) if topic else None,
        }
        if as_json:
            typer.echo(json.dumps(row))
        elif topic is None:
            typer.echo(f"{name}: missing; create it with `assay topics apply`")
        else:
            typer.echo(f"{name}: {topic.partitions} partitions, {topic.replicas} replicas, {row['cleanup_policy']}")
    if len(found) < len(names):
        raise typer.Exit(1)
