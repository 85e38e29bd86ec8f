"""What campaigns share: workers that start at once, and a broker that may be hurt."""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from streams import broker as kafka
from streams.broker import format as formatting
from streams.broker.process import free_ports
from streams.broker.properties import HOST, Keys, Node, server_properties
from tests.faults.fork_server import ForkServer
from tests.faults.proxy import Proxy
from tests.streams import workers


class Fragile(NamedTuple):
    """A broker of our own, behind a proxy of our own; every client reaches it through the proxy."""

    broker: kafka.RunningBroker
    proxy: Proxy
    bootstrap: str


@pytest.fixture
def seed() -> int:
    """Of everything drawn in a test: ``ASSAY_FAULTS_SEED``, else 1. Pytest prints it when a test fails."""
    number = int(os.environ.get("ASSAY_FAULTS_SEED", "1"))
    sys.stdout.write(f"ASSAY_FAULTS_SEED={number}\n")
    return number


@pytest.fixture(scope="session")
def fork_server() -> ForkServer:
    """Forks workers with the small model's kernels loaded."""
    return workers.fork_server()


@pytest.fixture(scope="session")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fragile]:
    """One Kafka node that advertises the port of a proxy, which passes everything on until it is told otherwise."""
    (port,) = free_ports(1)

    def behind_the_proxy(node: Node, nodes: Sequence[Node], data: Path, keys: Keys | None = None) -> str:
        text = server_properties(node, nodes, data, keys)
        line = f"advertised.listeners=PLAINTEXT://{HOST}:"
        assert f"{line}{node.port}" in text
        return text.replace(f"{line}{node.port}", f"{line}{port}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(formatting, "server_properties", behind_the_proxy)
        broker = kafka.start(tmp_path_factory.mktemp("fragile"))
    with broker, Proxy(port, broker.record.nodes[0].port) as proxy:
        yield Fragile(broker, proxy, f"{HOST}:{port}")
