"""What runs in a directory, for people and machines. Passwords are named by their files, never shown."""

from dataclasses import dataclass
from pathlib import Path

from streams.broker import access
from streams.broker.cluster import running_nodes
from streams.broker.properties import HOST
from streams.broker.record import read_record


@dataclass(frozen=True, slots=True)
class NodeDescription:
    """One node: its number, where clients connect, its process, and whether that runs."""

    number: int
    address: str
    pid: int
    running: bool


@dataclass(frozen=True, slots=True)
class Description:
    """One cluster.

    Attributes:
        directory: with everything it keeps.
        running: every node runs.
        kafka_version: None if no broker was ever started there, as for the next two.
        security: None is unencrypted.
        bootstrap_servers: None if no broker was ever started there.
        nodes: each of them.
        clients: for every user, the environment variables with which `assay` connects; without security the user is
            ``anyone``.
    """

    directory: str
    running: bool
    kafka_version: str | None
    security: str | None
    bootstrap_servers: str | None
    nodes: tuple[NodeDescription, ...]
    clients: dict[str, dict[str, str]]


def describe(directory: Path) -> Description:
    """Look at the processes of `directory`, whether or not there are any.

    Raises:
        AssayError: its ``broker.json`` is damaged.
    """
    directory = directory.expanduser().resolve()
    record = read_record(directory)
    if record is None:
        return Description(str(directory), False, None, None, None, (), {})
    running = running_nodes(directory, record)
    nodes = tuple(NodeDescription(n.number, f"{HOST}:{n.port}", n.pid, n.number in running) for n in record.nodes)
    bootstrap = record.bootstrap_servers
    clients = (
        {user: access.user_environment(bootstrap, directory, user) for user in access.USERS}
        if record.security
        else {"anyone": {"ASSAY_KAFKA_BOOTSTRAP": bootstrap}}
    )
    return Description(
        directory=str(directory),
        running=len(running) == len(nodes),
        kafka_version=record.kafka_version,
        security=record.security,
        bootstrap_servers=bootstrap,
        nodes=nodes,
        clients=clients,
    )
