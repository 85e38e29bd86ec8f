"""The Faust application: its settings, each with its reason, and what of Faust 0.15 has to be put right.

Faust is told nothing about the contents of records: keys and values are bytes, so that nothing can fail where it would
be acknowledged unseen.
"""

import ssl
from pathlib import Path
from typing import Any

import faust
from aiokafka import AIOKafkaConsumer
from faust.transport.drivers import aiokafka as driver
from faust.types.auth import CredentialsT, SASLMechanism

from streams.config import Config
from streams.kafka_clients import connection
from streams.topics import LARGEST_STATE

COMMIT_EVERY_S = 1.0
REQUEST_S = 30.0
_BLOCK_CACHE_BYTES = 8 << 20
"""Of each partition of each table; Faust's own default is 2 GiB."""

TABLE_OPTIONS = {"driver": "rocksdict", "block_cache_size": _BLOCK_CACHE_BYTES}


class ReadCommitted(AIOKafkaConsumer):  # type: ignore[misc]
    """The consumer that Faust makes, but one that does not see what an aborted transaction left.

    Faust reads uncommitted records unless it is told to be `exactly_once`, which it is not
    (docs/decisions/0019-the-warm-path.md).
    """

    def __init__(self, *topics: str, **settings: Any) -> None:
        super().__init__(*topics, **{**settings, "isolation_level": "read_committed"})


def read_committed() -> None:
    """Let every consumer that Faust makes in this process read committed records only."""
    driver.aiokafka.AIOKafkaConsumer = ReadCommitted  # type: ignore[attr-defined]


def make_app(config: Config, partitions: int) -> faust.App:
    """The application, for one worker; nothing is started yet.

    Args:
        config: settings in force.
        partitions: of the topics that it reads, and so of its tables.
    """
    read_committed()
    settings = connection(config)
    directory = Path(config.text("warm.directory")).absolute()
    directory.mkdir(parents=True, exist_ok=True)
    return faust.App(
        config.text("warm.group"),
        broker=[f"kafka://{address.strip()}" for address in config.text("kafka.bootstrap").split(",")],
        broker_credentials=_credentials(settings),
        broker_max_poll_records=500,  # larger answers fill queues, and Faust then sleeps for a second
        broker_commit_interval=COMMIT_EVERY_S,
        broker_request_timeout=REQUEST_S,
        broker_session_timeout=config.whole("kafka.session_timeout_ms") / 1000,
        broker_heartbeat_interval=config.whole("kafka.session_timeout_ms") / 10_000,
        processing_guarantee="at_least_once",  # its exactly_once is not; every effect of ours may be repeated
        producer_acks=-1,
        producer_request_timeout=REQUEST_S,
        producer_max_request_size=LARGEST_STATE,
        producer_compression_type="lz4",  # states are JSON with many zeros
        producer_linger=0.005,
        consumer_auto_offset_reset="earliest",
        key_serializer="raw",
        value_serializer="raw",
        topic_partitions=partitions,
        topic_allow_declare=False,  # topics are made by `assay topics apply`
        topic_disable_leader=True,
        store="rocksdb://",
        datadir=str(directory),
        autodiscover=False,
        web_enabled=False,
    )


def _credentials(settings: dict[str, Any]) -> CredentialsT | None:
    """What Faust calls the security of a connection, from the settings of our other clients."""
    protocol = settings["security.protocol"]
    if protocol == "PLAINTEXT":
        return None
    context = ssl.create_default_context(cafile=settings.get("ssl.ca.location"))
    if protocol == "SSL":
        return faust.SSLCredentials(context)
    return faust.SASLCredentials(
        username=settings["sasl.username"],
        password=settings["sasl.password"],
        ssl_context=context,
        mechanism=SASLMechanism.SCRAM_SHA_512,
    )
