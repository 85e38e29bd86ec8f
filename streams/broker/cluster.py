"""Starting, watching and ending a local cluster; the only place that decides the order of these steps."""

import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from features.errors import AssayError
from streams.broker import access
from streams.broker.format import (
    arguments_file,
    format_nodes,
    make_keys,
    new_cluster_id,
    node_directory,
    write_settings,
)
from streams.broker.java import find_java
from streams.broker.libraries import KAFKA_VERSION, Report, jars, no_report
from streams.broker.process import POLL_S, end, free_ports, is_free, is_open, is_ours, spawn
from streams.broker.properties import Node, Security
from streams.broker.record import FILE_NAME, Record, locked, read_record, write_record

START_S = 180.0  # a busy machine with three nodes takes a third of it
ANSWER_S = 5.0
STOP_S = 30.0
ATTEMPTS = 3
PORT_TAKEN = "Address already in use"


@dataclass(frozen=True, slots=True)
class RunningBroker:
    """A cluster that runs; as a context manager it is stopped at the end. Its data stays.

    Attributes:
        directory: with everything it keeps.
        was_running: it ran before it was asked for.
    """

    directory: Path
    was_running: bool = False

    @property
    def record(self) -> Record:
        """What its directory says now."""
        return _record_of(self.directory)

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect: ``host:port``, separated by commas."""
        return self.record.bootstrap_servers

    @property
    def client_settings(self) -> dict[str, str]:
        """Settings of any client of confluent-kafka that may do everything."""
        return self.settings_of(access.ADMINISTRATOR)

    def settings_of(self, user: str) -> dict[str, str]:
        """Settings with which `user` logs in; without security everybody may do everything."""
        if self.record.security is None:
            return {"bootstrap.servers": self.bootstrap_servers}
        return access.user_settings(self.bootstrap_servers, self.directory, user)

    def stop(self) -> None:
        """End every node in an orderly way; whichever is not done in 30 s is killed."""
        stop(self.directory)

    def kill(self, number: int | None = None) -> None:
        """Kill node `number`, or all of them, at once, as a loss of power would."""
        record = self.record
        end(_processes(self.directory, record, number), signal.SIGKILL, STOP_S)

    def restart(self) -> None:
        """Start the nodes that do not run, on the ports they had, and wait until clients can work."""
        with locked(self.directory):
            jars()
            _launch(self.directory, self.record, find_java())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start(
    directory: Path,
    nodes: int = 1,
    security: Security | None = None,
    port: int = 0,
    report: Report = no_report,
) -> RunningBroker:
    """Start a cluster in `directory` and wait until clients can work; one that runs already is left as it is.

    Args:
        directory: made if missing. Data of an earlier start is kept, if it has as many nodes and the same security.
        nodes: 1, or 3 with three copies of every partition.
        security: None for unencrypted on the loopback address, or ``sasl_ssl``: TLS, passwords (SCRAM-SHA-512), rights.
        port: of the first node, the others follow; 0 takes free ones.
        report: told about every step.

    Raises:
        AssayError: Java, Maven or openssl is missing, a jar is damaged, a port is taken, the directory holds another
            kind of cluster, or Kafka ended; then nothing is left running.
    """
    directory = directory.expanduser().resolve()
    if "," in str(directory):
        raise AssayError(f"the directory of a broker may have no comma in its path, got {directory}: choose another")
    with locked(directory):
        record = read_record(directory)
        if record is not None:
            _must_be_alike(directory, record, nodes, security)
            if all(is_ours(*process) for process in _processes(directory, record)):
                _wait(directory, record)  # whoever started it may have been killed before it was ready
                return RunningBroker(directory, was_running=True)
        java = find_java()
        classpath = jars(report)
        if record is None:
            if security:
                make_keys(directory)
            record = Record(KAFKA_VERSION, new_cluster_id(), security, tuple(Node(n + 1, 0, 0) for n in range(nodes)))
        _start_nodes(directory, record, java, classpath, port, report)
    return RunningBroker(directory)


def stop(directory: Path) -> list[int]:
    """End every node of the cluster in `directory`; returns the numbers of those that ran."""
    directory = directory.expanduser().resolve()
    if not (directory / FILE_NAME).exists():
        return []
    with locked(directory):
        record = _record_of(directory)
        running = running_nodes(directory, record)
        end(_processes(directory, record), signal.SIGTERM, STOP_S)
    return running


def delete(directory: Path) -> None:
    """Stop the cluster in `directory` and remove the directory; one that holds no broker is left alone."""
    stop(directory)
    directory = directory.expanduser().resolve()
    if (directory / FILE_NAME).exists():
        shutil.rmtree(directory)


def running_nodes(directory: Path, record: Record) -> list[int]:
    """Numbers of the nodes whose processes run."""
    processes = _processes(directory, record)
    return [node.number for node, process in zip(record.nodes, processes, strict=True) if is_ours(*process)]


def _record_of(directory: Path) -> Record:
    record = read_record(directory)
    if record is None:
        raise AssayError(f"no broker was started in {directory}: run `assay broker up --directory {directory}`")
    return record


def _processes(directory: Path, record: Record, number: int | None = None) -> list[tuple[int, Path]]:
    nodes = [node for node in record.nodes if number in (None, node.number)]
    if not nodes:
        raise AssayError(f"expected one of the nodes {[node.number for node in record.nodes]}, got {number}")
    return [(node.pid, arguments_file(directory, node.number)) for node in nodes]


def _must_be_alike(directory: Path, record: Record, nodes: int, security: Security | None) -> None:
    is_, asked = (
        f"{count} node{'s' if count > 1 else ''}, {protection or 'unencrypted'}"
        for count, protection in ((len(record.nodes), record.security), (nodes, security))
    )
    if is_ != asked:
        raise AssayError(
            f"{directory} holds a broker with {is_}; asked for was {asked}: "
            "give the same options, choose another --directory, or remove this one with `assay broker down --delete`"
        )
    if record.kafka_version != KAFKA_VERSION:
        raise AssayError(
            f"{directory} was written by Kafka {record.kafka_version}, this is {KAFKA_VERSION}: "
            "choose another --directory, or remove this one with `assay broker down --delete`"
        )


def _start_nodes(
    directory: Path, record: Record, java: Path, classpath: Sequence[Path], port: int, report: Report
) -> None:
    """Choose ports, then format what is new and launch; once more with others if a chosen port is lost meanwhile."""
    running = running_nodes(directory, record)
    for attempt in range(1, ATTEMPTS + 1):
        if not running:  # else the others know the ports of a node that is down, and it gets them back
            record = _with_ports(record, port)
            write_record(directory, record)
            write_settings(directory, record, classpath)
        report(f"formatting the log of {len(record.nodes)} node(s)", 0, 0)
        format_nodes(directory, record, java, classpath)
        report(f"starting Apache Kafka {KAFKA_VERSION}", 0, 0)
        try:
            _launch(directory, record, java)
            return
        except AssayError as error:
            if port or running or PORT_TAKEN not in str(error) or attempt == ATTEMPTS:
                raise


def _with_ports(record: Record, port: int) -> Record:
    count = len(record.nodes)
    ports = list(range(port, port + count)) if port else []
    for each in ports:
        if not is_free(each):
            raise AssayError(f"port {each} is taken: choose another with --port, or --port 0 for a free one")
    free = [each for each in free_ports(3 * count) if each not in ports]
    pairs = zip(ports or free[count : 2 * count], free[:count], strict=True)
    nodes = tuple(Node(number, *pair) for number, pair in enumerate(pairs, start=1))
    return replace(record, nodes=nodes)


def _launch(directory: Path, record: Record, java: Path) -> None:
    """Start the nodes that do not run, and wait; if that fails, none of those started here is left behind."""
    started: list[tuple[int, Path]] = []
    try:
        for node in record.nodes:
            arguments = arguments_file(directory, node.number)
            if not is_ours(node.pid, arguments):
                home = node_directory(directory, node.number)
                log = home / "broker.log"
                log.unlink(missing_ok=True)
                started.append((spawn(java, arguments, log, home), arguments))
                record = record.with_node(replace(node, pid=started[-1][0]))
                write_record(directory, record)
        _wait(directory, record)
    except BaseException:
        end(started, signal.SIGKILL, STOP_S)
        raise


def _wait(directory: Path, record: Record) -> None:
    deadline = time.monotonic() + START_S
    while lacking := _lacking(directory, record):
        if time.monotonic() > deadline:
            raise AssayError(f"{lacking}; waited {START_S:g} s")
        time.sleep(POLL_S)
    if record.security:
        access.grant_rights(RunningBroker(directory).client_settings)


def _lacking(directory: Path, record: Record) -> str | None:
    """What the cluster lacks to be of use to clients; None when it is.

    Raises:
        AssayError: a node has ended.
    """
    from streams.admin import connect

    for node in record.nodes:
        if not is_ours(node.pid, arguments_file(directory, node.number)):
            raise AssayError(_last_words(directory, node, "ended while starting"))
    for node in record.nodes:
        if not is_open(node.port):
            return _last_words(directory, node, "does not listen")
    # An open port is not yet a broker, nor surely ours: the cluster itself has to name every node.
    try:
        _, members = connect(RunningBroker(directory).client_settings, ANSWER_S)
    except AssayError as error:
        return str(error)
    absent = [node for node in record.nodes if node.number not in members]
    return _last_words(directory, absent[0], "did not join the cluster") if absent else None


def _last_words(directory: Path, node: Node, what: str) -> str:
    log = node_directory(directory, node.number) / "broker.log"
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    complaints = [line for line in lines if " ERROR " in line or " FATAL " in line or PORT_TAKEN in line]
    reason = next((line for line in lines if PORT_TAKEN in line), (complaints or lines or ["it said nothing"])[0])
    return f"Kafka node {node.number} on port {node.port} {what}: {reason.strip()} (all of it: {log})"
