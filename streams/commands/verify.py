"""`assay verify`: published verdicts are computed again out of the log and compared byte for byte."""

import secrets
from collections.abc import Iterable
from pathlib import Path
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
    from streams.claims import Chosen, Published
    from streams.find_verdict import Progress
    from streams.log_range import Place
    from streams.verify_report import Check, Report

_MOST_DIFFERENCES = 12
_MOST_SHARED_IDS = 12


def verify(
    event_ids: Annotated[list[str] | None, typer.Argument(metavar="[EVENT_ID]...", help="Events to check.")] = None,
    sample: Annotated[
        int | None, typer.Option("--sample", min=1, help="Check so many events, evenly chosen from the whole range.")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", min=0, max=2**63 - 1, help="Of the sample; the same seed over the same verdicts, same sample."
        ),
    ] = None,
    verdicts: Annotated[
        Path | None,
        typer.Option("--verdicts", help="Verdicts as JSON lines instead of the topic; all of them, unless chosen."),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", help="Published at this time or later (2026-01-31T12:00:00Z, -6h), or event offset."),
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="Published before this time, or event offset.")] = None,
    partition: Annotated[
        list[int] | None, typer.Option("--partition", min=0, help="Only this partition; may be given again.")
    ] = None,
    snapshots: SnapshotsOption = None,
    archive: ArchiveOption = None,
    bootstrap: BootstrapOption = None,
    config_path: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Compute published verdicts again out of the log, and compare every byte.

    Give events, or --sample for a random part. An id that several accounts have stands for the event of each. Exit
    code 0 only if every one is equal; 1 if one differs, cannot be recomputed, or was not found. Reads without a group:
    no worker notices.
    """
    if event_ids and sample:
        raise typer.BadParameter("give event ids or --sample, not both")
    if seed is not None and not sample:
        raise typer.BadParameter("--seed is for --sample")
    if not event_ids and not sample and verdicts is None:
        raise typer.BadParameter("give event ids, --sample N, or --verdicts FILE")
    if verdicts is not None and (start or end or partition):
        raise typer.BadParameter("--from, --to and --partition are for the topic, not for --verdicts")
    from streams.claims import Everything, Named, Sample, choose
    from streams.commands.progress import records_progress
    from streams.verify import recompute
    from streams.verify_report import judge, places_of, report_of

    first, last = place_option(start, "--from"), place_option(end, "--to")
    if sample and seed is None:
        seed = secrets.randbits(32)  # another part each time; it is told, so that it can be repeated
    chosen: Chosen = Sample(sample, seed or 0) if sample else Named(event_ids) if event_ids else Everything()
    with looking_back(config_path, bootstrap, snapshots, archive) as tools:
        with records_progress("searching") as progress:
            published = _published(tools, verdicts, partition, first, last, progress)
            scan = choose(published, chosen)
        claims = chosen.claims()
        with records_progress("recomputing") as progress:
            recomputed = recompute(tools.machine, places_of(claims), progress)
    report = report_of(
        [judge(claim, recomputed) for claim in claims],
        scanned=scan.verdicts,
        unreadable=len(scan.unreadable),
        seed=seed if sample else None,
    )
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode(report))
    else:
        _tell(report)
    if not report.is_proof:
        raise typer.Exit(1)


def _published(
    tools: LookingBack,
    verdicts: Path | None,
    partitions: list[int] | None,
    start: "Place | None",
    end: "Place | None",
    progress: "Progress",
) -> "Iterable[Published]":
    from features.errors import AssayError
    from streams.find_verdict import in_file, in_topic, ranges
    from streams.log_range import Offset

    if verdicts is not None:
        return in_file(verdicts)
    topic = f"{tools.config.text('topics.prefix')}verdicts"
    there = tools.reader.partitions(topic)
    wanted = sorted(set(partitions or there))
    strange = sorted(set(wanted) - set(there))
    if strange:
        raise AssayError(f"--partition: {topic} has the partitions {there[0]} to {there[-1]}, got {strange[0]}")
    if len(wanted) > 1 and (isinstance(start, Offset) or isinstance(end, Offset)):
        raise AssayError(
            f"an offset is a place of one partition, here are {len(wanted)}: name one with --partition, or give times"
        )
    return in_topic(tools.reader, topic, ranges(tools.reader, topic, wanted, start, end), progress)


def _tell(report: "Report") -> None:
    for check in report.checks:
        if check.status != "equal":
            _tell_check(check)
    how = f"a sample with seed {report.seed} of" if report.seed is not None else "out of"
    typer.echo(
        f"{report.checked} events checked, {how} {report.scanned:,} verdicts: {report.equal} equal, "
        f"{report.differs} different, {report.not_recomputable} not recomputable, {report.not_found} not found"
    )
    if not report.checked:
        typer.echo("there was nothing to check in this range, so nothing is shown")
    for name, counts in (("model", report.models), ("policy", report.policies)):
        for artefact, count in counts.items():
            typer.echo(f"  {name} {artefact} was in force for {count}")
    if report.repeated:
        typer.echo(f"  {report.repeated} were published more than once, with the same bytes each time")
    _tell_shared_ids(report.shared_ids)
    if report.unreadable:
        typer.echo(f"  {report.unreadable} records among the verdicts are none: the engine did not write them")
    for partition, first in report.first_different.items():
        last = report.last_equal[partition]
        before = "none of those checked before it is equal" if last is None else f"the last equal one is at {last}"
        typer.echo(f"  partition {partition}: the first different one is at {first}, {before}")


def _tell_shared_ids(shared_ids: dict[str, int]) -> None:
    for event_id, accounts in list(shared_ids.items())[:_MOST_SHARED_IDS]:
        typer.echo(
            f"  event id {event_id} was given to {accounts} accounts: each has an event and a verdict of its own"
        )
    more = len(shared_ids) - _MOST_SHARED_IDS
    if more > 0:
        typer.echo(f"  and {more} more event ids to several accounts (--json shows all)")


def _tell_check(check: "Check") -> None:
    place = "" if check.partition is None else f" at {check.partition}:{check.offset}"
    typer.echo(f"{check.event_id}{place}: {check.status.replace('_', ' ')}; {check.why}")
    for difference in check.differences[:_MOST_DIFFERENCES]:
        typer.echo(f"    {difference.path}: published {difference.published!r}, recomputed {difference.recomputed!r}")
    more = len(check.differences) - _MOST_DIFFERENCES
    if more > 0:
        typer.echo(f"    and {more} more fields (--json shows all)")
