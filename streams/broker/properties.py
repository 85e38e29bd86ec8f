"""The settings of each Kafka node, as text. Pure: the same layout gives the same files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Security = Literal["sasl_ssl"]
HOST = "127.0.0.1"

LOG4J = """\
rootLogger.level=WARN
rootLogger.appenderRef.stdout.ref=STDOUT
appender.console.type=Console
appender.console.name=STDOUT
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=[%d] %p %m (%c)%n
logger.server.name=kafka.server.KafkaRaftServer
logger.server.level=INFO
"""

# One laptop, not a data centre: few threads, small buffers, short sessions.
COMMON = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": "5",
    "transaction.state.log.num.partitions": "5",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    "num.network.threads": "2",
    "num.io.threads": "2",
    "background.threads": "2",
    "num.recovery.threads.per.data.dir": "1",
    "log.cleaner.threads": "1",
    "log.cleaner.dedupe.buffer.size": "4194304",  # the default of 128 MiB alone overflows the small heap
    "group.min.session.timeout.ms": "1000",
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.session.timeout.ms": "3000",
    "group.consumer.min.heartbeat.interval.ms": "300",
    "group.consumer.heartbeat.interval.ms": "500",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
}
# A node that was killed comes back in 4.5 s instead of 13 s.
ONE_NODE = {"broker.session.timeout.ms": "1500", "broker.heartbeat.interval.ms": "300"}
# Followers share the cores of the leader: a session long enough that load alone does not move leadership.
SEVERAL_NODES = {
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "num.replica.fetchers": "1",
    "controller.quorum.election.timeout.ms": "500",
    "controller.quorum.fetch.timeout.ms": "1000",
    "replica.lag.time.max.ms": "5000",
}


@dataclass(frozen=True, slots=True)
class Node:
    """One Kafka process: broker and controller in one.

    Attributes:
        number: from 1.
        port: where clients connect, on the loopback address.
        controller_port: where the nodes elect a controller.
        pid: process, 0 before the first start.
    """

    number: int
    port: int
    controller_port: int
    pid: int = 0


@dataclass(frozen=True, slots=True)
class Keys:
    """What a node with ``sasl_ssl`` needs besides its ports.

    Attributes:
        server: PEM file with the node's private key, its certificate and that of the authority.
        authority: PEM file with the certificate of the authority.
        administrator: user name with every right; nodes use it among themselves.
        password: of the administrator.
    """

    server: Path
    authority: Path
    administrator: str
    password: str


def server_properties(node: Node, nodes: Sequence[Node], data: Path, keys: Keys | None = None) -> str:
    """``server.properties`` of `node`, one of `nodes`, with its log in `data`; encrypted when `keys` are given.

    The voters are named anew on every start, so ports may change between two starts of the same data.

    >>> node = Node(1, port=9092, controller_port=9093)
    >>> text = server_properties(node, [node], Path("/data"))
    >>> [line for line in text.splitlines() if "voters" in line or line.startswith("listeners")]
    ['controller.quorum.voters=1@127.0.0.1:9093', 'listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093']
    """
    listener = "SASL_SSL" if keys else "PLAINTEXT"
    controller = "SSL" if keys else "PLAINTEXT"
    replicas = str(len(nodes))
    in_sync = str(max(1, len(nodes) - 1))
    settings = {
        "node.id": str(node.number),
        "controller.quorum.voters": ",".join(f"{each.number}@{HOST}:{each.controller_port}" for each in nodes),
        "listeners": f"{listener}://{HOST}:{node.port},CONTROLLER://{HOST}:{node.controller_port}",
        "advertised.listeners": f"{listener}://{HOST}:{node.port}",
        "inter.broker.listener.name": listener,
        "listener.security.protocol.map": f"CONTROLLER:{controller},{listener}:{listener}",
        "log.dirs": str(data),
        "default.replication.factor": replicas,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": in_sync,
        **COMMON,
        **(SEVERAL_NODES if len(nodes) > 1 else ONE_NODE),
        **(_encrypted(keys) if keys else {}),
    }
    return properties(settings)


def _encrypted(keys: Keys) -> dict[str, str]:
    login = f'username="{keys.administrator}" password="{keys.password}"'
    return {
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
            f"org.apache.kafka.common.security.scram.ScramLoginModule required {login};"
        ),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(keys.server),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(keys.authority),
        "ssl.enabled.protocols": "TLSv1.3,TLSv1.2",
        # only a holder of the nodes' own certificate may speak to a controller
        "listener.name.controller.ssl.client.auth": "required",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:{keys.administrator};User:CN={CERTIFICATE_NAME}",
        "allow.everyone.if.no.acl.found": "false",
    }


CERTIFICATE_NAME = "assay-local-broker"


def properties(settings: Mapping[str, str]) -> str:
    """Text of a Java properties file; backslashes are escaped.

    >>> properties({"log.dirs": "/data", "node.id": "1"})
    'log.dirs=/data\\nnode.id=1\\n'
    """
    return "".join(f"{name}={value.replace(chr(92), chr(92) * 2)}\n" for name, value in settings.items())
