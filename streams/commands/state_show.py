"""`assay state show`: what the engine knows of one account, now or at any place of the log."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.commands.config import ConfigOption
from streams.commands.looking_back import ArchiveOption, BootstrapOption, SnapshotsOption, looking_back, place_option
from streams.config import Config, load_config

if TYPE_CHECKING:
    from streams.account_at import ShownAccount
    from streams.log_range import Place


def show(
    account: Annotated[str, typer.Argument(help="Account id.")],
    at: Annotated[
        str | None,
        typer.Option(
            "--at", help="Rebuild it as before this offset (of one --partition) or time (-6h, 2026-01-31T12:00:00Z)."
        ),
    ] = None,
    partition: Annotated[
        int | None, typer.Option("--partition", min=0, help="Where the account is.  [default: search]")
    ] = None,
    events: Annotated[int, typer.Option("--events", min=0, help="Rows of the history.")] = 50,
    state: Annotated[
        Path | None, typer.Option("--state", help="Directory of all states.  [default: state.directory]")
    ] = None,
    snapshots: SnapshotsOption = None,
    archive: ArchiveOption = None,
    bootstrap: BootstrapOption = None,
    config_path: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show an account: its exact history, and the summary of what was folded away.

    Without --at it is read from the state directory, as of the last checkpoint, also while a worker runs; where there
    is no state it is rebuilt out of the log. Exit code 1 if the account has no past.
    """
    from features.errors import AssayError
    from streams.account_text import shown_text

    place = place_option(at, "--at")
    config = load_config(config_path, overrides={"state.directory": None if state is None else str(state)})
    found = None
    if place is None and archive is None:
        found, searched = _stored(config, account, partition)
    if place is not None or archive is not None or not searched:
        found = _rebuilt(config_path, bootstrap, snapshots, archive, account, partition, place)
    if found is None:
        raise AssayError(f"account {account!r} has no past there; check its id, the partition and the time")
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode(found))
        return
    for line in shown_text(found, most_events=events):
        typer.echo(line)


def _stored(config: Config, account: str, partition: int | None) -> "tuple[ShownAccount | None, bool]":
    """The account out of the state directory, and whether there was any state to look into."""
    from contextlib import closing

    from features.rocks_store import RocksStore
    from streams.account_at import account_in
    from streams.commands.models import open_models
    from streams.state_directory import directory_of, local_partitions

    states, topic = Path(config.text("state.directory")), f"{config.text('topics.prefix')}events"
    there = [number for number in local_partitions(states, topic) if partition in (None, number)]
    if not there:
        return None, False
    first_model, _ = open_models(config.text("models.first"), Path(config.text("models.directory")))
    for number in there:
        with closing(RocksStore(directory_of(states, topic, number), read_only=True)) as store:
            found = account_in(store, account, number, first_model.rates.base)
        if found is not None:
            return found, True
    return None, True


def _rebuilt(
    config_path: Path | None,
    bootstrap: str | None,
    snapshots: str | None,
    archive: str | None,
    account: str,
    partition: int | None,
    place: "Place | None",
) -> "ShownAccount | None":
    """The account out of the log, wherever it is."""
    from streams.account_at import account_at
    from streams.account_place import search_order
    from streams.commands.progress import amount_progress
    from streams.log_range import resolve

    with looking_back(config_path, bootstrap, snapshots, archive) as tools:
        there = tools.history.partitions()
        ranges = {
            part.partition: part
            for part in resolve(tools.history, [] if partition is None else [partition], None, place)
        }
        for number in search_order(account, list(ranges), len(there)):
            with amount_progress(f"rebuilding partition {number}") as progress:
                found = account_at(tools.machine, account, number, ranges[number].end, progress)
            if found is not None:
                return found
    return None
