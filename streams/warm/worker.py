"""A worker of the warm path: checks what it needs, puts Faust together with what watches it, and runs."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from socket import gethostname
from typing import NoReturn

import faust
from confluent_kafka.admin import AdminClient

from features.errors import AssayError
from features.events import Marker
from features.records import Alert
from features.windows import HOUR_MS
from models.watch_limits import BREAKER_ACTIONS, BreakerAction, BreakerSettings, WatchLimits
from streams.admin import connect, topic_id
from streams.beside import InThread
from streams.breaker_marker import marker_of
from streams.config import Config
from streams.control import control_message
from streams.http_server import HttpServer
from streams.kafka_clients import connection
from streams.marker_messages import marker_messages
from streams.metrics import WarmMetrics
from streams.publisher import Message
from streams.remote_files import RemoteFiles
from streams.topic_reader import TopicReader
from streams.topics import LABEL_IDS
from streams.tracing import tracing_of
from streams.warm.commit_age import CommitAges, Place
from streams.warm.continuity import Continuity
from streams.warm.entity_agent import EntityAgent, EntityTopics
from streams.warm.entity_copies import EntityCopies
from streams.warm.entity_file import EntityFile
from streams.warm.entity_publisher import EntityPublisher
from streams.warm.entity_step import entities_marker
from streams.warm.faust_app import make_app
from streams.warm.group_offsets import GroupOffsets
from streams.warm.label_step import label_step, label_topics
from streams.warm.labels_agent import Send, add_labels_agent, sender
from streams.warm.liveness import Liveness
from streams.warm.outcomes_agent import add_outcomes_agent
from streams.warm.references import references_of
from streams.warm.telemetry_agent import TelemetryAgent, telemetry_topics
from streams.warm.telemetry_step import TelemetryFold
from streams.warm.traffic_watch import TrafficWatch
from streams.webhook import webhook_of

_log = logging.getLogger("assay.warm")
_ANSWER_S = 10.0
_BEAT_EVERY_S = 1.0


class WarmWorker:
    """One worker, ready to run.

    Args:
        config: settings in force.

    Raises:
        AssayError: the broker is not there or refuses us, topics are missing, or labels would be refused by the engine.
    """

    def __init__(self, config: Config) -> None:
        prefix = config.text("topics.prefix")
        topics, telemetry = label_topics(prefix), telemetry_topics(prefix)
        entities = EntityTopics(f"{prefix}links", f"{prefix}entities")
        outcomes, control, ids_topic = f"{prefix}outcomes", f"{prefix}control", f"{prefix}warm.{LABEL_IDS}"
        client, _ = connect(connection(config))
        partitions = _check_topics(client, (*topics, ids_topic, outcomes), (*telemetry, *entities, control))
        internal_key = config.secret("security.internal_key").encode() or None
        if internal_key is None and not config.flag("security.trust_internal"):
            raise AssayError(
                "labels need a signature before the engine takes them: set security.internal_key (or its file) to the "
                "key of the engine, or security.trust_internal where only this process can write labels into the log"
            )
        self.metrics = WarmMetrics()
        self._webhook = webhook_of(config, self.metrics.webhook_failures)
        self._posting = InThread("assay-webhook")
        ages = CommitAges()
        offsets = GroupOffsets(connection(config), config.text("warm.group"), TopicReader(connection(config)))
        self.liveness = Liveness(ages, offsets, self.metrics, config.number("warm.stalled_seconds"), leave)
        self.app = make_app(config, partitions)
        step = partial(
            label_step,
            internal_key=internal_key,
            redaction_key=config.secret("security.redaction_key").encode() or None,
        )
        send, group = sender(self.app), config.text("warm.group")
        self._tracing = tracing_of(config, group, gethostname(), self.metrics.spans_dropped)
        watching = (ages, self.metrics, _leave_for, self._tracing)
        add_labels_agent(self.app, topics, ids_topic, step, send, Continuity(offsets), *watching)
        add_outcomes_agent(self.app, outcomes, telemetry.telemetry, send, *watching)
        open_reference, repeat_ms = references_of(config), int(config.number("alerts.repeat_hours") * HOUR_MS)
        limits = WatchLimits(breaker=BreakerSettings(action=_breaker_action(config)))
        to_all = partial(marker_messages, topic=topics.events, partitions=partitions, internal_key=internal_key)
        TelemetryAgent(
            self.app,
            telemetry,
            lambda: TelemetryFold(TrafficWatch(open_reference, limits), repeat_ms),
            lambda change: [*to_all(marker_of(change)), control_message(marker_of(change), control)],
            send,
            self._told,
            *watching,
        )
        self._copies = _copies_of(config, client, entities.links)
        self._add_entities(config, entities, to_all, send, ages)
        sources = frozenset({topics.labels, outcomes, telemetry.telemetry, entities.links})
        add_beat(self.app, self.liveness, sources)

    def _add_entities(
        self,
        config: Config,
        topics: EntityTopics,
        markers: Callable[[Marker], list[Message]],
        send: Send,
        ages: CommitAges,
    ) -> None:
        """Let the application work out profiles of entities, and tell the log what is visible."""

        async def mark(visible: int, time_ms: int) -> None:
            await asyncio.gather(*(send(message) for message in markers(entities_marker(visible, time_ms))))

        EntityAgent(
            self.app,
            topics,
            TopicReader(connection(config)),
            EntityFile(Path(config.text("warm.directory")) / "entities.state", config.number("warm.entities_seconds")),
            self._copies,
            EntityPublisher(connection(config)).publish,
            mark,
            ages,
            self.metrics,
            _leave_for,
        )

    def _told(self, alert: Alert) -> None:
        """An alert was published: say it in the log too, and post it beside the event loop."""
        level = logging.WARNING if alert.status == "firing" else logging.INFO
        _log.log(level, "%s is %s: %s", alert.alert, alert.status, alert.text)
        self._posting.begin(partial(self._post, alert))

    def _post(self, alert: Alert) -> None:
        if self._webhook is not None:
            self._webhook.post(alert)

    def run(self) -> None:
        """Work until SIGTERM or SIGINT: then what was begun is ended and committed."""
        for name in ("faust", "mode", "aiokafka"):
            logging.getLogger(name).setLevel(logging.WARNING)
        worker = faust.Worker(self.app, quiet=True, override_logging=False, redirect_stdouts=False)
        worker.spinner = None  # it would draw on a terminal's standard output
        self.liveness.start()
        try:
            worker.execute_from_commandline()
        except SystemExit as end:  # how Faust ends, whether it went well or not
            if not end.code:
                _log.info("stopped: everything that was done is committed")
            raise
        finally:
            self._tracing.close()
            self.liveness.stop()
            if self._copies is not None:
                self._copies.close()


def add_beat(app: faust.App, liveness: Liveness, sources: frozenset[str]) -> None:
    """Let the event loop tell the liveness check that it turns, and which partitions of `sources` it has."""

    @app.timer(_BEAT_EVERY_S)  # type: ignore[untyped-decorator]
    async def beat() -> None:
        assigned = app.consumer.assignment()
        liveness.beat(frozenset(Place(tp.topic, tp.partition) for tp in assigned if tp.topic in sources))


@contextmanager
def serving(config: Config, worker: WarmWorker) -> Iterator[HttpServer | None]:
    """Serve metrics and health while the block runs, if a port is asked for."""
    if config.whole("warm.http_port") < 0:
        yield None
        return
    address, port = config.text("http.address"), config.whole("warm.http_port")
    server = HttpServer(address, port, worker.metrics.registry, worker.liveness.wrong, worker.liveness.unready)
    try:
        yield server
    finally:
        server.stop()


def leave(why: str) -> NoReturn:
    """End the process at once: what is not committed is worked on again after the next start."""
    _log.critical("%s; the worker leaves, nothing is lost. Start it again, as your supervisor does", why)
    with suppress(Exception):
        logging.shutdown()
        sys.stderr.flush()
    os._exit(1)


def _breaker_action(config: Config) -> BreakerAction:
    """What is to happen while the breaker is open."""
    (action,) = (action for action in BREAKER_ACTIONS if action == config.text("warm.breaker_action"))
    return action


def _leave_for(error: BaseException) -> NoReturn:
    """An error of ours, or trouble outside that did not pass."""
    _log.error("a record could not be worked on", exc_info=error)
    leave(f"{type(error).__name__}: {error}")


def _copies_of(config: Config, client: AdminClient, links: str) -> EntityCopies | None:
    """Where the state of the entities is kept for other machines, if anywhere."""
    url = config.text("snapshots.url")
    if not url:
        return None
    every_s, helper = config.number("snapshots.every_seconds"), InThread("assay-entity-copies", in_no_hurry=True)
    return EntityCopies(RemoteFiles(url), links, topic_id(client, links), every_s, helper)


def _check_topics(client: AdminClient, partitioned: Sequence[str], single: Sequence[str]) -> int:
    """See that topics are there, those of accounts with one number of partitions; that number."""
    found = client.list_topics(timeout=_ANSWER_S).topics
    missing = [name for name in (*partitioned, *single) if name not in found]
    if missing:
        raise AssayError(
            f"topics are missing, or this user has no right to them: {', '.join(missing)}; create them with "
            "`assay topics apply`, or grant the rights listed in docs/security.md"
        )
    partitions = {name: len(found[name].partitions) for name in partitioned}
    if len(set(partitions.values())) > 1:
        text = ", ".join(f"{name} has {count}" for name, count in partitions.items())
        raise AssayError(
            f"expected as many partitions of each topic, because a label goes to the partition of its account; {text}: "
            "make them anew with `assay topics apply` under another --prefix"
        )
    return partitions[partitioned[0]]
