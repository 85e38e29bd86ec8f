"""What a broker's directory says about itself (``broker.json``), and the lock that lets one command change it."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from features.errors import AssayError
from streams.broker.properties import HOST, Node, Security

FILE_NAME = "broker.json"
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Record:
    """One cluster in one directory.

    Attributes:
        kafka_version: that formatted the data.
        cluster_id: 22 characters, drawn once.
        security: None is unencrypted.
        nodes: as they were last started; a pid says nothing until it is compared with the process.
    """

    kafka_version: str
    cluster_id: str
    security: Security | None
    nodes: tuple[Node, ...]

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect: ``host:port``, separated by commas."""
        return ",".join(f"{HOST}:{node.port}" for node in self.nodes)

    def with_node(self, node: Node) -> "Record":
        """The same with `node` in the place of the one with its number."""
        return replace(self, nodes=tuple(node if each.number == node.number else each for each in self.nodes))


def read_record(directory: Path) -> Record | None:
    """What `directory` holds; None if no broker was ever started there.

    Raises:
        AssayError: the file is damaged or of another schema.
    """
    path = directory / FILE_NAME
    try:
        content = json.loads(path.read_text())
        if content["schema"] != SCHEMA:
            raise AssayError(
                f"{path}: expected schema {SCHEMA}, got {content['schema']}: "
                f"stop that broker with the version of assay that started it, or delete {directory}"
            )
        return Record(
            kafka_version=content["kafka_version"],
            cluster_id=content["cluster_id"],
            security=content["security"],
            nodes=tuple(Node(**node) for node in content["nodes"]),
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise AssayError(
            f"{path} is damaged ({error.__class__.__name__}): stop any java process that names {directory}, "
            "then delete that directory"
        ) from None


def write_record(directory: Path, record: Record) -> None:
    """Replace the file in one step, so that a reader never sees half of it."""
    path = directory / FILE_NAME
    content = {"schema": SCHEMA, **asdict(record), "bootstrap_servers": record.bootstrap_servers}
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(content, indent=2) + "\n")
    draft.replace(path)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Nobody else starts or stops this broker meanwhile; a second command waits. A killed holder lets go."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (directory / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
