"""A directory made ready for its first start: identity, certificates, passwords, and one formatted log per node."""

import base64
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from features.errors import AssayError
from streams.broker import access
from streams.broker.certificates import make_certificates
from streams.broker.java import write_arguments
from streams.broker.private import write_private
from streams.broker.properties import LOG4J, Keys, Node, server_properties
from streams.broker.record import Record

PATIENCE_S = 120


def node_directory(directory: Path, number: int) -> Path:
    """Where node `number` keeps everything that is its own."""
    return directory / f"node-{number}"


def arguments_file(directory: Path, number: int) -> Path:
    """The argument file with which node `number` is started; also what its process is recognised by."""
    return node_directory(directory, number) / "broker.arguments"


def new_cluster_id() -> str:
    """16 random bytes as Kafka writes them; never beginning with a dash, which a command would take for an option."""
    while (text := base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")).startswith("-"):
        pass
    return text


def make_keys(directory: Path) -> None:
    """Certificates and passwords of an encrypted cluster, once."""
    (directory / "clients").mkdir(exist_ok=True)
    make_certificates(_server_file(directory), access.authority_file(directory))
    access.write_passwords(directory)


def _server_file(directory: Path) -> Path:
    return directory / "server.pem"


def write_settings(directory: Path, record: Record, jars: Sequence[Path]) -> None:
    """Write what each node reads when it starts; ports may be others than before."""
    keys = None
    if record.security:
        password = access.read_password(directory, access.ADMINISTRATOR)
        keys = Keys(_server_file(directory), access.authority_file(directory), access.ADMINISTRATOR, password)
    for node in record.nodes:
        home = node_directory(directory, node.number)
        # libraries that a killed process unpacked and left behind
        shutil.rmtree(home / "temporary", ignore_errors=True)
        (home / "temporary").mkdir(parents=True)
        (home / "log4j2.properties").write_text(LOG4J)
        settings = home / "server.properties"
        write_private(settings, server_properties(node, record.nodes, home / "data", keys))
        write_arguments(arguments_file(directory, node.number), jars, home, "kafka.Kafka", [str(settings)])


def format_nodes(directory: Path, record: Record, java: Path, jars: Sequence[Path]) -> None:
    """Format the log of every node that has none yet, all at the same time.

    Raises:
        AssayError: Kafka's formatter refused; its last line is given.
    """
    running = []
    for node in record.nodes:
        home = node_directory(directory, node.number)
        if not (home / "data" / "meta.properties").exists():
            arguments = home / "format.arguments"
            write_arguments(arguments, jars, home, "kafka.tools.StorageTool", _format_words(directory, record, node))
            running.append((node, arguments, _start(java, arguments)))
    for node, arguments, formatter in running:
        try:
            output, _ = formatter.communicate(timeout=PATIENCE_S)
        finally:
            formatter.kill()
            arguments.unlink()  # it holds passwords
        if formatter.returncode != 0:
            lines = output.strip().splitlines() or ["no reason given"]
            raise AssayError(
                f"Kafka's formatter ended with code {formatter.returncode} for node {node.number}: {lines[-1]}: "
                f"delete {directory} and run `assay broker up` again"
            )


def _format_words(directory: Path, record: Record, node: Node) -> list[str]:
    settings = node_directory(directory, node.number) / "server.properties"
    words = ["format", "--ignore-formatted", "--cluster-id", record.cluster_id, "--config", str(settings)]
    if record.security:
        for user in access.USERS:
            password = access.read_password(directory, user)
            words += ["--add-scram", f"SCRAM-SHA-512=[name={user},password={password}]"]
    return words


def _start(java: Path, arguments: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [java, f"@{arguments}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
