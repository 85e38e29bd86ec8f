"""What the commands that look back share: options, and the way from settings to a log and a time machine."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.errors import AssayError
from streams.config import Config, load_config

if TYPE_CHECKING:
    from streams.history import History
    from streams.log_range import Place
    from streams.time_machine import TimeMachine
    from streams.topic_reader import TopicReader

BootstrapOption = Annotated[str | None, typer.Option("--bootstrap", help="Kafka brokers, HOST:PORT,…")]
SnapshotsOption = Annotated[
    str | None, typer.Option("--snapshots", help="URL of the snapshot store; without one the log is read from 0.")
]
ArchiveOption = Annotated[
    str | None, typer.Option("--archive", help="Read the log from this archive (URL) instead of the topic.")
]


@dataclass(slots=True)
class LookingBack:
    """Everything that a command needs to look back.

    Attributes:
        config: settings in force.
        history: the events log, out of its topic or an archive.
        machine: partitions at any place of it.
        open_reader: connects a reader that is closed with the block.
    """

    config: Config
    history: "History"
    machine: "TimeMachine"
    open_reader: "Callable[[], TopicReader]"
    _reader: "TopicReader | None" = None

    @property
    def reader(self) -> "TopicReader":
        """Any topic. Connected when it is first asked for: whoever reads an archive needs no broker."""
        if self._reader is None:
            self._reader = self.open_reader()
        return self._reader


def place_option(text: str | None, option: str) -> "Place | None":
    """A time or an offset given as `option`; anything else is wrong usage."""
    from streams.log_range import parse_place

    try:
        return None if text is None else parse_place(text, time.time_ns() // 1_000_000)
    except AssayError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


@contextmanager
def looking_back(
    config_path: Path | None,
    bootstrap: str | None = None,
    snapshots: str | None = None,
    archive: str | None = None,
    *,
    topic_id: str | None = None,
) -> Iterator[LookingBack]:
    """Open what is needed; connections are closed at the end of the block.

    Only snapshots of the topic that is read are used. An archive does not say of which topic it is.

    Args:
        config_path: file with settings.
        bootstrap: instead of the setting.
        snapshots: URL, instead of the setting.
        archive: URL of the archive to read instead of the topic.
        topic_id: of the log; None asks Kafka, and stands for `NOT_A_TOPIC` with an archive.

    Raises:
        AssayError: a setting is wrong, or a model cannot be opened.
    """
    config = load_config(config_path, overrides={"kafka.bootstrap": bootstrap, "snapshots.url": snapshots})
    with looking_back_with(config, archive, topic_id=topic_id) as tools:
        yield tools


@contextmanager
def looking_back_with(
    config: Config, archive: str | None = None, *, topic_id: str | None = None
) -> Iterator[LookingBack]:
    """The same for settings that are read already.

    Raises:
        AssayError: see `looking_back`.
    """
    from streams.archive_history import ArchiveHistory
    from streams.commands.models import open_models
    from streams.kafka_clients import ask_topic_id, connection
    from streams.signature import trust
    from streams.snapshots import SnapshotStore
    from streams.time_machine import TimeMachine
    from streams.topic_identity import NOT_A_TOPIC
    from streams.topic_profiles import TopicProfiles
    from streams.topic_reader import TopicHistory, TopicReader

    topic = f"{config.text('topics.prefix')}events"
    first_model, open_model = open_models(config.text("models.first"), Path(config.text("models.directory")))
    url = config.text("snapshots.url")
    with ExitStack() as stack:

        def open_reader() -> TopicReader:
            return stack.enter_context(TopicReader(connection(config)))

        reader: TopicReader | None = None
        history: History
        if archive:
            history = ArchiveHistory(archive, topic)
        else:
            reader = open_reader()
            history = TopicHistory(reader, topic)
        store = None
        if url:
            if topic_id is None:
                topic_id = NOT_A_TOPIC if archive else ask_topic_id(config, topic)
            feature_set = first_model.feature_set.hash
            store = SnapshotStore(url, topic, topic_id, first_model=first_model.id, feature_set=feature_set)
        machine = TimeMachine(
            history,
            store,
            first_model,
            open_model,
            trust(config.secret("security.internal_key"), config.flag("security.trust_internal")),
            None if archive else TopicProfiles(connection(config), f"{config.text('topics.prefix')}entities"),
        )
        yield LookingBack(config, history, machine, open_reader, reader)
