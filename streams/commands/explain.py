"""`assay explain`: one record of the log from left to right, from the event to the verdict."""

import re
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
    from streams.explain_find import Found
    from streams.log_range import Place

_PLACE = re.compile(r"(\d{1,9}):(\d{1,18})", re.ASCII)


def explain(
    event: Annotated[str, typer.Argument(metavar="EVENT_ID|PARTITION:OFFSET", help="An event, or its place: quicker.")],
    account: Annotated[
        str | None,
        typer.Option("--account", help="The event of this account, where several accounts have the event id."),
    ] = None,
    feature: Annotated[
        str | None, typer.Option("--feature", help="Only this feature: its definition and every event inside.")
    ] = None,
    all_features: Annotated[
        bool, typer.Option("--all-features", help="Also features that hardly moved the score.")
    ] = False,
    events: Annotated[int, typer.Option("--events", min=0, help="Rows of the history.")] = 20,
    unmasked: Annotated[
        bool, typer.Option("--unmasked", help="Show ip, email, phone, address, name, national id, date of birth.")
    ] = False,
    start: Annotated[
        str | None, typer.Option("--from", help="Search the log from this time (-2d, 2026-01-31T12:00:00Z) or offset.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="Search the log to before this time or offset.")] = None,
    partition: Annotated[
        list[int] | None, typer.Option("--partition", min=0, help="Search only this partition; may be given again.")
    ] = None,
    snapshots: SnapshotsOption = None,
    archive: ArchiveOption = None,
    bootstrap: BootstrapOption = None,
    config_path: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as one JSON object.")] = False,
) -> None:
    """Explain one record: event, history, features, scores, expected costs, reasons, verdict.

    The state before the record is rebuilt out of the log and the record is folded once more; the result is compared
    with the published verdict, unless the log is an archive. Reads without a group: no worker notices.
    """
    from streams.commands.progress import records_progress
    from streams.explain import explain as explain_record
    from streams.explain import witness
    from streams.explain_evidence import evidence
    from streams.explain_published import compared
    from streams.explain_text import evidence_text, explanation_text

    if account is not None and _PLACE.fullmatch(event):
        raise typer.BadParameter("--account is for an event id: at a place there is one record")
    first, last = place_option(start, "--from"), place_option(end, "--to")
    with looking_back(config_path, bootstrap, snapshots, archive) as tools:
        found = _found(tools, event, account, partition, first, last)
        with records_progress("rebuilding") as progress:
            folded = 0

            def count(records: int) -> None:
                nonlocal folded
                folded += records
                progress(folded, folded, found[0].offset)

            seen = witness(tools.machine, found[0].partition, found[0].offset, count)
        told = explain_record(seen, unmasked=unmasked)
        proof = None if feature is None else evidence(seen, feature)
        published = None
        if told.verdict is not None and proof is None and not archive:
            topic = f"{tools.config.text('topics.prefix')}verdicts"
            published = compared(tools.reader, topic, told.partition, told.offset, bytes(told.verdict))
    if as_json:
        import msgspec

        everything = {
            **msgspec.structs.asdict(told),
            "evidence": proof,
            "published": published,
            "also_at": [other.place for other in found[1:]],
        }
        typer.echo(msgspec.json.encode(everything))
        return
    if proof is not None:
        assert told.event is not None
        lines = evidence_text(proof, told.currency, told.event["time_ms"])
    else:
        lines = explanation_text(told, all_features=all_features, most_events=events)
    for line in lines:
        typer.echo(line)
    if published is not None:
        typer.echo(f"\nPUBLISHED {published.said}")
        for difference in published.differences:
            typer.echo(f"  {difference.path}: published {difference.published!r}, here {difference.recomputed!r}")
    for other in found[1:]:
        ours, theirs = found[0].account_id, other.account_id
        whose = ", of another account" if ours and theirs and ours != theirs else ""
        typer.echo(f"the same event id is also at {other.place}{whose}")


def _found(
    tools: LookingBack,
    event: str,
    account: str | None,
    partitions: list[int] | None,
    start: "Place | None",
    end: "Place | None",
) -> "list[Found]":
    from features.errors import AssayError
    from streams.commands.progress import records_progress
    from streams.explain_find import Found, find_event, of_account
    from streams.log_range import resolve

    if place := _PLACE.fullmatch(event):
        return [Found(int(place[1]), int(place[2]), "")]
    ranges = resolve(tools.history, partitions or [], start, end)
    with records_progress("searching") as progress:
        found = find_event(tools.history, event, ranges, progress)
    if not found:
        raise AssayError(
            f"no record of the log has the event id {event!r} in the part that was searched; give a wider range, or "
            "an archive (--archive) that reaches further back"
        )
    return of_account(event, found, account)
