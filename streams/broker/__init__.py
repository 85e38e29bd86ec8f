"""A real Apache Kafka on this machine, without Docker: for a laptop and for tests.

    with streams.broker.start(directory) as broker:
        Producer(broker.client_settings)

`properties`, `access` and `record` say what a cluster is; `libraries`, `java`, `certificates`, `format` and `process`
each do one thing to the machine; `cluster` decides their order;
`describe` looks at what runs.
"""

from pathlib import Path

from streams.broker.cluster import RunningBroker, delete, start, stop
from streams.broker.describe import Description, describe
from streams.broker.java import find_java
from streams.broker.libraries import KAFKA_VERSION, Report, jars, no_report

__all__ = [
    "DEFAULT_DIRECTORY",
    "KAFKA_VERSION",
    "Description",
    "Report",
    "RunningBroker",
    "delete",
    "describe",
    "prepare",
    "start",
    "stop",
]

DEFAULT_DIRECTORY = Path.home() / ".local" / "state" / "assay" / "broker"


def prepare(report: Report = no_report) -> None:
    """Everything a broker needs and this machine may lack: Java, and Kafka's jars (fetched now if need be).

    Raises:
        AssayError: what is missing, and the other ways to go.
    """
    find_java()
    jars(report)
