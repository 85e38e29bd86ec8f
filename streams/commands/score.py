"""`assay score`: events in, verdicts out, no broker."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.commands.config import ConfigOption
from streams.config import Config, load_config

if TYPE_CHECKING:
    from streams.score import Summary
    from streams.topic_profiles import TopicProfiles


class Entities(StrEnum):
    """Where profiles of entities come from."""

    OWN = "own"
    TOPIC = "topic"


def score(
    events: Annotated[
        Path, typer.Argument(help="Events as JSON lines or .parquet, - reads standard input; or an archived topic.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Verdicts as JSON lines or .parquet; - writes standard output.")],
    labels: Annotated[Path | None, typer.Option("--labels", help="Labels, merged into the log at known_at_ms.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Model id or directory; without it the small one that ships.")
    ] = None,
    features: Annotated[
        Path | None, typer.Option("--features", help="Write one row of features per judged event (.parquet).")
    ] = None,
    outcomes: Annotated[
        Path | None, typer.Option("--outcomes", help="Write labels joined with the verdicts they judge.")
    ] = None,
    dead_letters: Annotated[
        Path | None,
        typer.Option("--dead-letters", help="Refused records with reasons.  [default: beside --out]"),
    ] = None,
    state: Annotated[
        Path | None, typer.Option("--state", help="Keep the state here; a second run goes on where the first ended.")
    ] = None,
    continues: Annotated[
        bool, typer.Option("--continue", help="The file goes on where the state ends; offsets go on too.")
    ] = False,
    stop_after: Annotated[
        int | None, typer.Option("--stop-after", min=1, help="Fold only so many records now.")
    ] = None,
    partition: Annotated[
        int | None,
        typer.Option(
            "--partition", min=0, help="Partition number in the verdicts, and which one of an archive.  [default: 0]"
        ),
    ] = None,
    batch_events: Annotated[
        int | None, typer.Option("--batch-events", min=1, help="Records per batch; never shows in a result.")
    ] = None,
    careful: Annotated[
        bool, typer.Option("--careful", help="Set a record that breaks the fold aside instead of stopping; slower.")
    ] = False,
    entities: Annotated[
        Entities | None,
        typer.Option(
            "--entities",
            help="Work profiles of entities out from this log alone (own), or read them from their topic, as the log "
            "says by markers (topic).  [default: topic for an archive, else own]",
        ),
    ] = None,
    config_path: ConfigOption = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print the summary as JSON, on standard error if the verdicts go to standard output."
        ),
    ] = False,
) -> None:
    """Score a file of events: the same engine as the live one, one verdict per judged event.

    Records that break the contract go to the dead-letter file with the reason, and the run goes on. With --state the
    run can be stopped or killed at any moment and started again: every verdict is written once. From an archive
    (ARCHIVE/events) the verdicts are those that were published, if the settings are the worker's.
    """
    from streams.commands.models import open_models
    from streams.commands.progress import records_progress
    from streams.event_files import is_archived_topic
    from streams.score import ScoreRequest
    from streams.score import score as score_file
    from streams.score_source import partition_of
    from streams.signature import everybody, trust

    settings = load_config(config_path, overrides={"engine.batch_events": batch_events, "models.first": model})
    if dead_letters is None:
        is_stream = str(out) == "-" or (out.exists() and not out.is_file())
        dead_letters = Path("dead-letters.jsonl") if is_stream else out.with_name(f"{out.stem}.dead-letters.jsonl")
    first_model, open_model = open_models(settings.text("models.first"), Path(settings.text("models.directory")))
    trusted = trust(settings.secret("security.internal_key"), settings.flag("security.trust_internal"))
    if entities is None:
        entities = Entities.TOPIC if is_archived_topic(events) else Entities.OWN
    request = ScoreRequest(
        events=events,
        out=out,
        labels=labels,
        outcomes=outcomes,
        dead_letters=dead_letters,
        features=features,
        state=state,
        partition=partition_of(events, partition),
        trusted=trusted if is_archived_topic(events) else everybody,
        continues=continues,
        stop_after=stop_after,
        careful=careful,
        profiles=_profiles(settings) if entities is Entities.TOPIC else None,
        batch_events=settings.whole("engine.batch_events"),
        hot_bytes=settings.whole("state.hot_mebibytes") << 20,
        bad_share=settings.number("engine.bad_share"),
        redaction_key=settings.secret("security.redaction_key").encode(),
    )
    with records_progress("scoring") as progress:
        summary = score_file(request, first_model, open_model, progress)
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode(summary), err=str(out) == "-")  # standard output belongs to the verdicts then
    else:
        _tell(summary, dead_letters)


def _profiles(settings: Config) -> "TopicProfiles":
    from streams.kafka_clients import connection
    from streams.topic_profiles import TopicProfiles

    return TopicProfiles(connection(settings), f"{settings.text('topics.prefix')}entities")


def _tell(summary: "Summary", dead_letters: Path) -> None:
    decisions = ", ".join(f"{count} {name}" for name, count in summary.decisions.items())
    typer.echo(
        f"{summary.records} records: {summary.verdicts} verdicts ({decisions or 'none'}), {summary.outcomes} outcomes, "
        f"{summary.duplicates} duplicates, {sum(summary.dead_letters.values())} dead letters; "
        f"the log goes on at offset {summary.next_offset}",
        err=True,
    )
    if summary.skipped:
        typer.echo(f"{summary.skipped} records had been folded by an earlier run and were passed over", err=True)
    if summary.dead_letters:
        codes = ", ".join(f"{count} {code}" for code, count in sorted(summary.dead_letters.items()))
        typer.echo(f"refused: {codes}; see {dead_letters}", err=True)
