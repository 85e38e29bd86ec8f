"""`assay state`: look at the state of partitions, check it, keep it elsewhere, bring it back, make it anew."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from features.errors import AssayError
from models.watch_limits import CLOSED
from streams.commands.config import ConfigOption
from streams.commands.looking_back import ArchiveOption, BootstrapOption
from streams.commands.state_show import show
from streams.config import Config, load_config

if TYPE_CHECKING:
    from features.rocks_store import RocksStore
    from streams.snapshots import SnapshotStore

_NEWEST = 2**63 - 1

app = typer.Typer(no_args_is_help=True, help="The state of partitions: look, check, keep elsewhere, bring back.")
app.command()(show)

StateOption = Annotated[
    Path | None, typer.Option("--state", help="Directory of all states.  [default: state.directory]")
]
SnapshotsOption = Annotated[
    str | None, typer.Option("--snapshots", help="URL of the snapshot store.  [default: snapshots.url]")
]
PartitionsOption = Annotated[
    list[int] | None, typer.Option("--partition", min=0, help="Only this partition; may be given again.")
]
PartitionOption = Annotated[int, typer.Option("--partition", min=0, help="Which partition.")]
TopicIdOption = Annotated[
    str | None,
    typer.Option("--topic-id", help="Of the topic with this id; empty: of no topic.  [default: Kafka is asked]"),
]
ReplaceOption = Annotated[
    bool, typer.Option("--replace", help="Move the state that is there aside, to <name>.before-<offset>.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")]


@app.command()
def info(
    partition: PartitionsOption = None,
    state: StateOption = None,
    snapshots: SnapshotsOption = None,
    config_path: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show where each partition's state stands, and its snapshots. Works while a worker runs.

    The number of accounts is RocksDB's estimate. Kafka is not asked: what is of another topic of that name is told by
    its topic id. Exit code 1 if a state cannot be opened.
    """
    from streams.state_directory import directory_of, local_partitions

    config = _settings(config_path, state, snapshots)
    states, topic = _states(config), _topic(config)
    store = _snapshots(config)
    local = local_partitions(states, topic)
    damaged = False
    for number in _chosen(partition, [*local, *(store.partitions() if store else ())]):
        row: dict[str, Any] = {"partition": number, "state": None, "damage": None}
        if number in local:
            try:
                row["state"] = _described(directory_of(states, topic, number), number)
            except AssayError as error:
                row["damage"], damaged = str(error), True
        row["snapshots"] = [
            {
                "next_offset": one.next_offset,
                "topic_id": one.topic_id,
                "bytes": one.total_bytes,
                "taken_ms": one.taken_ms,
            }
            for one in (store.manifests_of_all(number) if store else ())
        ]
        _print(row, _info_line(row), as_json)
    if damaged:
        raise typer.Exit(1)


@app.command()
def verify(
    partition: PartitionsOption = None,
    all_snapshots: Annotated[
        bool, typer.Option("--all-snapshots", help="Also compare every file of every snapshot with its hash.")
    ] = False,
    state: StateOption = None,
    snapshots: SnapshotsOption = None,
    config_path: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read every account of every state to the end. Works while a worker runs.

    Exit code 1 if anything is damaged, with one line per damage.
    """
    from features.rocks_store import RocksStore
    from streams.commands.progress import amount_progress
    from streams.state_check import Checked, check
    from streams.state_directory import directory_of, local_partitions
    from streams.topic_identity import log_text

    config = _settings(config_path, state, snapshots)
    states, topic = _states(config), _topic(config)
    is_whole = True
    for number in _chosen(partition, local_partitions(states, topic)):
        try:
            with (
                _opened(RocksStore(directory_of(states, topic, number), read_only=True)) as opened,
                amount_progress(f"partition {number}") as progress,
            ):
                checked = check(opened, number, progress)
        except AssayError as error:
            checked = Checked(None, 0, 0, 0, [str(error)])
        what = (
            f"state at {checked.next_offset}, {checked.accounts} accounts, {checked.events} events, "
            f"{checked.values} values"
        )
        _print({"partition": number, "state": checked._asdict()}, _lines(number, what, checked.damages), as_json)
        is_whole &= not checked.damages
    if all_snapshots:
        store = _required(config)
        for number in _chosen(partition, store.partitions()):
            for topic_id in store.topic_ids(number):
                for offset, damages in store.of(topic_id).check(number):
                    found = {"next_offset": offset, "topic_id": topic_id, "damages": damages}
                    what = f"snapshot at {offset} ({log_text(topic_id)})"
                    _print({"partition": number, "snapshot": found}, _lines(number, what, damages), as_json)
                    is_whole &= not damages
    if not is_whole:
        raise typer.Exit(1)


@app.command()
def snapshot(
    partition: PartitionsOption = None,
    state: StateOption = None,
    snapshots: SnapshotsOption = None,
    config_path: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Store the states of a stopped worker now. A running worker stores its own, every snapshots.every_seconds."""
    import time
    from tempfile import TemporaryDirectory

    from features.rocks_store import RocksStore
    from streams.commands.progress import amount_progress
    from streams.state_directory import directory_of, local_partitions

    config = _settings(config_path, state, snapshots)
    states, topic = _states(config), _topic(config)
    store = _required(config)
    numbers = _chosen(partition, local_partitions(states, topic))
    if not numbers:
        raise AssayError(f"{states}: expected states of {topic} there, there is none; check state.directory")
    for number in numbers:
        directory = directory_of(states, topic, number)
        if not directory.is_dir():
            raise AssayError(f"{directory}: expected the state of partition {number}, there is none")
        with TemporaryDirectory(prefix=".snapshot-", dir=states) as spool, amount_progress("storing") as progress:
            with _opened(RocksStore(directory)) as opened:
                opened.checkpoint(Path(spool) / "state")
            manifest = store.save(
                number, Path(spool) / "state", taken_ms=time.time_ns() // 1_000_000, progress=progress
            )
        row = {"partition": number, "next_offset": manifest.next_offset, "bytes": manifest.total_bytes}
        _print(row, f"partition {number}: snapshot at {manifest.next_offset}, {_size(manifest.total_bytes)}", as_json)


@app.command()
def restore(
    partition: PartitionOption,
    at_most: Annotated[
        int, typer.Option("--at-most", min=0, help="No newer than this offset.", show_default="the newest")
    ] = _NEWEST,
    replace: ReplaceOption = False,
    topic_id: TopicIdOption = None,
    state: StateOption = None,
    snapshots: SnapshotsOption = None,
    bootstrap: BootstrapOption = None,
    config_path: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring a partition's state back from the newest whole snapshot. Nothing is deleted.

    Kafka is asked which topic is there now: a snapshot of a former one of that name is never taken.
    """
    from streams.commands.progress import amount_progress
    from streams.kafka_clients import ask_topic_id
    from streams.state_directory import check_free, directory_of, fresh_beside, put_in_place

    config = _settings(config_path, state, snapshots, bootstrap)
    store = _required(config)
    directory = directory_of(_states(config), _topic(config), partition)
    check_free(directory, replace=replace)
    store = store.of(ask_topic_id(config, _topic(config)) if topic_id is None else topic_id)
    with fresh_beside(directory) as fresh, amount_progress("restoring") as progress:
        offset = store.restore(partition, at_most, fresh, progress=progress)
        if offset is None:
            upper = "" if at_most == _NEWEST else f" up to offset {at_most}"
            raise AssayError(
                f"partition {partition}: {store.url} has no snapshot{upper} of this topic for this version's feature "
                "set; see `assay state info`, or rebuild the state from the log: `assay state rebuild`"
            )
        aside = put_in_place(fresh, directory, offset)
    _print_new(partition, "restored", offset, directory, aside, as_json)


@app.command()
def rebuild(
    partition: PartitionOption,
    replace: ReplaceOption = False,
    state: StateOption = None,
    snapshots: SnapshotsOption = None,
    archive: ArchiveOption = None,
    bootstrap: BootstrapOption = None,
    config_path: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a partition's state anew: fold the log up to what the workers' group has committed. Nothing is deleted.

    Starts from the newest snapshot if there is one, else at the beginning of the log. An archive is taken to be one of
    the topic that is there now.
    """
    from streams.commands.looking_back import looking_back
    from streams.commands.progress import amount_progress
    from streams.kafka_clients import ask_topic_id
    from streams.rebuild import committed_offset
    from streams.rebuild import rebuild as rebuild_state
    from streams.state_directory import check_free, directory_of, fresh_beside, put_in_place

    config = _settings(config_path, state, snapshots, bootstrap)
    directory = directory_of(_states(config), _topic(config), partition)
    check_free(directory, replace=replace)
    topic_id = ask_topic_id(config, _topic(config))
    with looking_back(config_path, bootstrap, snapshots, archive, topic_id=topic_id) as back:
        end = committed_offset(config, _topic(config), partition)
        with fresh_beside(directory) as fresh, amount_progress("rebuilding") as progress:
            offset = rebuild_state(back.machine, partition, end, fresh, topic_id, progress)
            aside = put_in_place(fresh, directory, offset)
    _print_new(partition, "rebuilt", offset, directory, aside, as_json)


def _settings(
    config_path: Path | None, state: Path | None, snapshots: str | None, bootstrap: str | None = None
) -> Config:
    return load_config(
        config_path,
        overrides={
            "kafka.bootstrap": bootstrap,
            "state.directory": None if state is None else str(state),
            "snapshots.url": snapshots,
        },
    )


def _states(config: Config) -> Path:
    return Path(config.text("state.directory"))


def _topic(config: Config) -> str:
    return f"{config.text('topics.prefix')}events"


def _snapshots(config: Config) -> "SnapshotStore | None":
    from features.catalogue import FEATURES
    from streams.snapshots import SnapshotStore

    url = config.text("snapshots.url")
    return SnapshotStore(url, _topic(config), feature_set=FEATURES.hash) if url else None


def _required(config: Config) -> "SnapshotStore":
    store = _snapshots(config)
    if store is None:
        raise AssayError("expected the URL of a snapshot store, got none; give --snapshots, or set snapshots.url")
    return store


def _chosen(asked: Sequence[int] | None, there: Sequence[int]) -> list[int]:
    """The partitions that were asked for, else those that are there, rising."""
    return sorted(set(asked or there))


@contextmanager
def _opened(store: "RocksStore") -> Iterator["RocksStore"]:
    try:
        yield store
    finally:
        store.close()


def _described(directory: Path, number: int) -> dict[str, Any]:
    from features.rocks_store import RocksStore
    from streams.fold_state import stored_state
    from streams.state_directory import bytes_in
    from streams.topic_identity import topic_id_of

    with _opened(RocksStore(directory, read_only=True)) as opened:
        stands = stored_state(opened, number)
        return {
            "directory": str(directory),
            "next_offset": stands.next_offset if stands else None,
            "topic_id": topic_id_of(opened),
            "model": stands.model if stands else None,
            "first_model": stands.first_model if stands else None,
            "feature_set": stands.feature_set if stands else None,
            "degraded": stands.degraded if stands else None,
            "breaker": stands.standing.breaker if stands else None,
            "accounts_estimated": opened.estimated_accounts(),
            "bytes": bytes_in(directory),
        }


def _info_line(row: dict[str, Any]) -> str:
    number, found = row["partition"], row["state"]
    if row["damage"]:
        text = row["damage"]
    elif found is None:
        text = "no state here"
    elif found["next_offset"] is None:
        text = "nothing stored yet"
    else:
        text = (
            f"at {found['next_offset']}, model {found['model'][:16]} (first {found['first_model'][:16]})"
            f"{', degraded' if found['degraded'] else ''}{'' if found['breaker'] == CLOSED else ', breaker open'}, "
            f"about {found['accounts_estimated']} accounts, "
            f"{_size(found['bytes'])}"
        )
    return f"partition {number}: {text}; {_snapshots_text(row['snapshots'], found['topic_id'] if found else None)}"


def _snapshots_text(snapshots: Sequence[dict[str, Any]], own: str | None) -> str:
    """Snapshots by topic, those of the state's `own` first; None: there is no state here to say which is its own."""
    from streams.topic_identity import log_text

    parts = [] if own is None and snapshots else [_count_text([one for one in snapshots if one["topic_id"] == own])]
    for topic_id in sorted({one["topic_id"] for one in snapshots} - {own}):
        other = "" if own is None else "of another log: "
        kept = [one for one in snapshots if one["topic_id"] == topic_id]
        parts.append(f"{_count_text(kept)} ({other}{log_text(topic_id)})")
    return "; ".join(parts)


def _count_text(snapshots: Sequence[dict[str, Any]]) -> str:
    newest = f", the newest at {snapshots[0]['next_offset']}" if snapshots else ""
    return f"{len(snapshots)} snapshots{newest}"


def _lines(number: int, what: str, damages: Sequence[str]) -> str:
    if not damages:
        return f"partition {number}: {what}: whole"
    return "\n".join(f"partition {number}: {what}: DAMAGED: {damage}" for damage in damages)


def _print_new(partition: int, done: str, offset: int, directory: Path, aside: Path | None, as_json: bool) -> None:
    row = {
        "partition": partition,
        "next_offset": offset,
        "directory": str(directory),
        "former": str(aside) if aside else None,
    }
    former = f"; the former state is in {aside}" if aside else ""
    _print(row, f"partition {partition}: {done} at {offset} in {directory}{former}", as_json)


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


def _print(row: dict[str, Any], line: str, as_json: bool) -> None:
    import orjson

    typer.echo(orjson.dumps(row) if as_json else line)
