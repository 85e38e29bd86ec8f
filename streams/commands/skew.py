"""`assay skew`: features as served, or of a file to train on, compared with what the log gives, bit for bit."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from streams.commands.config import ConfigOption
from streams.commands.looking_back import (
    ArchiveOption,
    BootstrapOption,
    LookingBack,
    SnapshotsOption,
    looking_back,
    place_option,
)

if TYPE_CHECKING:
    from streams.log_range import PartitionRange
    from streams.skew_outcomes import ServedOutcomes
    from streams.skew_report import SkewReport


def skew(
    training_set: Annotated[
        Path | None,
        typer.Option(
            "--training-set", help="Compare this file of `assay score --features` instead of published outcomes."
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", help="Labels, or events of the file, that the log took from this time on, or offset."),
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="Those that it took before this time, or offset.")] = None,
    partition: Annotated[
        list[int] | None, typer.Option("--partition", min=0, help="Only this partition; may be given again.")
    ] = None,
    tell: Annotated[
        bool, typer.Option("--tell", help="Tell the warm path: what differs becomes the alert train-serve-skew.")
    ] = False,
    snapshots: SnapshotsOption = None,
    archive: ArchiveOption = None,
    bootstrap: BootstrapOption = None,
    config_path: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Compare served features, or a file to train on, with what the log gives, bit for bit.

    Served features are those that the engine published with each label. Exit code 0 only if something was compared and
    all of it is equal. With --tell a difference becomes an alert, and a run without any ends it. Reads without a group:
    no worker notices.
    """
    if tell and (training_set or archive or partition or end):
        raise typer.BadParameter("--tell is of the outcomes of all partitions up to now: leave out what narrows it")
    from streams.skew_report import report_text

    first, last = place_option(start, "--from"), place_option(end, "--to")
    with looking_back(config_path, bootstrap, snapshots, archive) as tools:
        from streams.log_range import resolve

        ranges = resolve(tools.history, partition or [], first, last)
        options = _options(snapshots=snapshots, archive=archive, bootstrap=bootstrap, config=config_path)
        with TemporaryDirectory(prefix="assay-skew-") as directory:
            if training_set is None:
                report = _of_outcomes(tools, ranges, archive, Path(directory), options)
            else:
                report = _of_file(tools, ranges, training_set, Path(directory), options)
        if as_json:
            import msgspec

            typer.echo(msgspec.json.encode(report))
        else:
            for line in report_text(report):
                typer.echo(line)
        if tell:
            _tell(tools, report)
    if not report.is_clean:
        raise typer.Exit(1)


def _of_outcomes(
    tools: LookingBack, ranges: "list[PartitionRange]", archive: str | None, directory: Path, options: Sequence[str]
) -> "SkewReport":
    from streams.commands.progress import records_progress
    from streams.skew import compare
    from streams.skew_outcomes import ServedOutcomes
    from streams.skew_report import SkewReport, differences

    claims = ServedOutcomes(tools.machine.first_model.feature_set, directory / "served")
    _read(tools, ranges, archive, claims)
    with records_progress("recomputing") as progress:
        found = compare(tools.machine, ranges, claims, directory, progress)
    return SkewReport(
        file=None,
        compared=found.tally.rows,
        at_event=claims.at_event,
        names=len(claims.names),
        differing=found.tally.differing_rows,
        without_features=claims.without_features,
        not_given=found.not_given,
        other_feature_set=claims.other_feature_set,
        unreadable=claims.unreadable,
        features=differences(found, options),
    )


def _read(tools: LookingBack, ranges: "list[PartitionRange]", archive: str | None, claims: "ServedOutcomes") -> None:
    """Published outcomes with their labels in `ranges`, out of their topic or the archive."""
    from streams.archive_history import ArchiveHistory
    from streams.commands.progress import records_progress
    from streams.find_verdict import ranges as ranges_of
    from streams.history import History
    from streams.log_range import Offset
    from streams.topic_reader import TopicHistory

    topic = f"{tools.config.text('topics.prefix')}outcomes"
    outcomes: History
    if archive:
        outcomes = ArchiveHistory(archive, topic)
        bounds = {number: outcomes.bounds(number) for number in outcomes.partitions()}
    else:
        outcomes = TopicHistory(tools.reader, topic)
        bounds = {}
        for number, low, high in ranges:
            bounds |= ranges_of(tools.reader, topic, [number], Offset(low), Offset(high))
    with records_progress("reading outcomes") as progress:
        claims.read(outcomes, bounds, ranges, progress)


def _of_file(
    tools: LookingBack, ranges: "list[PartitionRange]", path: Path, directory: Path, options: Sequence[str]
) -> "SkewReport":
    from streams.commands.progress import records_progress
    from streams.skew import compare
    from streams.skew_report import SkewReport, differences
    from streams.skew_training_set import TrainingSet

    with records_progress("reading the file") as progress:
        claims = TrainingSet(path, progress)
    with records_progress("recomputing") as progress:
        found = compare(tools.machine, ranges, claims, directory, progress)
    return SkewReport(
        file=str(path),
        compared=found.tally.rows,
        at_event=found.tally.rows,
        names=len(claims.names),
        differing=found.tally.differing_rows,
        not_given=found.not_given,
        given_again=found.given_again,
        features=differences(found, options),
    )


def _options(**given: str | Path | None) -> list[str]:
    """The options that say where the log is, as they were given."""
    return [word for name, value in given.items() if value is not None for word in (f"--{name}", str(value))]


def _tell(tools: LookingBack, report: "SkewReport") -> None:
    """Put it into the telemetry log; a run that shows neither that all is well nor what is not leaves alerts alone."""
    from models.telemetry_log import Compared
    from streams.alert_desk import message_of
    from streams.kafka_clients import connection
    from streams.sender import Sender

    if not (report.features or report.is_clean):
        typer.echo("not told: nothing was found to differ, but not everything could be compared either", err=True)
        return
    said = Compared(rows=report.compared, features=[difference.skew for difference in report.features])
    Sender(connection(tools.config)).send(message_of(f"{tools.config.text('topics.prefix')}telemetry", said))
    typer.echo("told: the warm path takes it up within seconds", err=True)
