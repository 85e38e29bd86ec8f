"""`assay archive`: topics as Parquet files by day and hour."""

import logging
import signal
import time
from typing import TYPE_CHECKING, Annotated

import typer

from streams.commands.config import ConfigOption
from streams.config import load_config

if TYPE_CHECKING:
    from streams.archive import Carried

_POLL_S = 0.2
_log = logging.getLogger("assay.archive")


def archive(
    to: Annotated[str, typer.Option("--to", help="Where to: a directory, or an fsspec URL such as s3://bucket/assay.")],
    topics: Annotated[
        str, typer.Option("--topics", help="Names without the prefix, separated by commas.")
    ] = "events,labels,verdicts,outcomes",
    follow: Annotated[
        bool, typer.Option("--follow/--until-now", help="Go on until SIGTERM, or end with what there is now.")
    ] = False,
    every_seconds: Annotated[
        float, typer.Option("--every-seconds", min=1.0, help="With --follow: time between two looks.")
    ] = 300.0,
    rows_per_file: Annotated[int, typer.Option("--rows-per-file", min=1, help="Most rows of one file.")] = 200_000,
    bootstrap: Annotated[str | None, typer.Option("--bootstrap", help="Kafka brokers, HOST:PORT,…")] = None,
    config_path: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written as one JSON object.")] = False,
) -> None:
    """Write topics as Parquet, by day and hour, every record once.

    The names of the files say how far the archive has come: run it as often as you like, also after kill -9. One run
    at a time may write into an archive. It joins no group, reads committed records only, and disturbs no worker.
    """
    from streams.archive import TopicArchiver, archive_until_now
    from streams.archive_columns import TYPED
    from streams.archive_store import ArchiveStore
    from streams.commands.progress import records_progress
    from streams.kafka_clients import connection
    from streams.topic_reader import TopicHistory, TopicReader

    names = list(dict.fromkeys(name.strip() for name in topics.split(",")))
    if unknown := [name for name in names if name not in TYPED]:
        raise typer.BadParameter(f"expected some of {', '.join(TYPED)}, got {unknown[0]!r}", param_hint="--topics")
    config = load_config(config_path, overrides={"kafka.bootstrap": bootstrap})
    prefix = config.text("topics.prefix")
    stop = _Stop()
    if follow:
        stop.listen()
    store = ArchiveStore(to)
    with TopicReader(connection(config)) as reader, store.alone(names):
        archivers = [
            TopicArchiver(
                f"{prefix}{name}",
                TopicHistory(reader, f"{prefix}{name}"),
                store,
                rows_per_file=rows_per_file,
                redaction_key=config.secret("security.redaction_key").encode() or None,
            )
            for name in names
        ]
        carried = {archiver.name: archiver.carried for archiver in archivers}
        while True:
            with records_progress("archiving") as progress:
                archive_until_now(archivers, stop.asked_for, progress)
            if not follow:
                break
            _log.info("archived so far: %s", _in_words(carried))
            stop.wait(every_seconds)
            if stop.asked_for():
                break
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode({"archive": to, "topics": carried}))
    else:
        typer.echo(f"{to}: {_in_words(carried)}", err=True)


class _Stop:
    """How `--follow` ends: after SIGTERM or SIGINT the batch in hand is the last."""

    def __init__(self) -> None:
        self._asked = False

    def listen(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, *_: object) -> None:
        self._asked = True

    def asked_for(self) -> bool:
        return self._asked

    def wait(self, seconds: float) -> None:
        due_s = time.monotonic() + seconds
        while not self._asked and time.monotonic() < due_s:
            time.sleep(_POLL_S)


def _in_words(carried: "dict[str, Carried]") -> str:
    return "; ".join(
        f"{name}: {each.rows:,} rows in {each.files:,} files ({each.bytes:,} bytes)" for name, each in carried.items()
    )
