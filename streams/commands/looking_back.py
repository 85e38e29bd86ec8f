"""What the commands that look back share: options, and the way from settings to a log and a time machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from streams.config import Config, load_config

if TYPE_CHECKING:
    from streams.history import History
    from streams.time_machine import TimeMachine
    from streams.topic_reader import TopicReader

BootstrapOption = Annotated[str | None, typer.Option("--bootstrap", help="Kafka brokers, HOST:PORT,…")]
SnapshotsOption = Annotated[
    str | None, typer.Option("--snapshots", help="URL of the snapshot store; without one the log is read from 0.")
]
ArchiveOption = Annotated[
    str | None, typer.Option("--archive", help="Read the log from this archive (URL) instead of the topic.")
]


class LookingBack(NamedTuple):
    """Everything that a command needs to look back.

    Attributes:
        config: settings in force.
        reader: any topic.
        history: the events log, out of its topic or an archive.
        machine: partitions at any place of it.
    """

    config: Config
    reader: "TopicReader"
    history: "History"
    machine: "TimeMachine"


@contextmanager
def looking_back(
    config_path: Path | None, bootstrap: str | None = None, snapshots: str | None = None, archive: str | None = None
) -> Iterator[LookingBack]:
    """Open what is needed; connections are closed at the end of the block.

    Raises:
        AssayError: a setting is wrong, or a model cannot be opened.
    """
    from streams.archive_history import ArchiveHistory
    from streams.commands.models import open_models
    from streams.kafka_clients import connection
    from streams.signature import trust
    from streams.snapshots import SnapshotStore
    from streams.time_machine import TimeMachine
    from streams.topic_reader import TopicHistory, TopicReader

    config = load_config(config_path, overrides={"kafka.bootstrap": bootstrap, "snapshots.url": snapshots})
    topic = f"{config.text('topics.prefix')}events"
    first_model, open_model = open_models(config.text("models.first"), Path(config.text("models.directory")))
    url = config.text("snapshots.url")
    with TopicReader(connection(config)) as reader:
        history: History = ArchiveHistory(archive, topic) if archive else TopicHistory(reader, topic)
        machine = TimeMachine(
            history,
            SnapshotStore(url, topic) if url else None,
            first_model,
            open_model,
            trust(config.secret("security.internal_key"), config.flag("security.trust_internal")),
        )
        yield LookingBack(config, reader, history, machine)
