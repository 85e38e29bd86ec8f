"""The job on Bytewax: a dataflow with a stateful step by account and a batched one for the models, at least once."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import orjson
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from benchmarks.peers.arguments import Arguments, parse
from benchmarks.peers.job import History, Models, features

EPOCH = timedelta(seconds=10)
Row = tuple[dict[str, Any], list[float]]


def dataflow(arguments: Arguments) -> Dataflow:
    """Events in, verdicts out."""
    flow = Dataflow("peer")
    models = Models(arguments.model)
    brokers = arguments.bootstrap.split(",")

    def keyed(message: KafkaSourceMessage[bytes, bytes]) -> tuple[str, dict[str, Any]]:
        event = orjson.loads(message.value)
        return event["account_id"], event

    def windows(history: History | None, event: dict[str, Any]) -> tuple[History, Row]:
        history = history or ([], [])
        return history, (event, features(event, history))

    def judge(batch: list[tuple[str, Row]]) -> list[KafkaSinkMessage[bytes, bytes]]:
        verdicts = models.judge_many([event for _, (event, _) in batch], [row for _, (_, row) in batch])
        return [KafkaSinkMessage(key.encode(), value) for (key, _), value in zip(batch, verdicts, strict=True)]

    events = op.input("events", flow, KafkaSource(brokers, [arguments.events]))
    rows = op.stateful_map("windows", op.map("keyed", events, keyed), windows)
    op.output("verdicts", op.flat_map_batch("judge", rows, judge), KafkaSink(brokers, arguments.verdicts))
    return flow


def run(arguments: Arguments) -> None:
    """Work until the process is ended."""
    stored = Path(arguments.directory)
    stored.mkdir(parents=True, exist_ok=True)
    init_db_dir(stored, 1)
    cli_main(dataflow(arguments), epoch_interval=EPOCH, recovery_config=RecoveryConfig(stored))


if __name__ == "__main__":
    run(parse())
