"""The job on Faust: an agent, histories in a table with a changelog, at least once.

Its `exactly_once` writes outputs outside of the transaction, so it would promise no more and be slower. Batches
(`take`) are out of the question: a table can only be written for the event in hand.
"""

import sys
from typing import Any

import faust

from benchmarks.peers.arguments import Arguments, parse
from benchmarks.peers.job import Models, features


def application(arguments: Arguments) -> faust.App:
    """The application; its worker is started like any other's."""
    app = faust.App(
        arguments.group,
        broker=f"kafka://{arguments.bootstrap}",
        store="rocksdb://",
        datadir=arguments.directory,
        topic_partitions=2,
        topic_replication_factor=1,
        web_enabled=False,
    )
    events = app.topic(arguments.events, key_type=str, key_serializer="raw", value_serializer="json")
    verdicts = app.topic(arguments.verdicts, key_serializer="raw", value_serializer="raw")
    histories = app.Table("histories", default=lambda: [[], []], key_type=str)
    models = Models(arguments.model)

    @app.agent(events)
    async def judge(stream: Any) -> None:
        async for event in stream:
            account_id = event["account_id"]
            history = histories[account_id]
            row = features(event, history)
            histories[account_id] = history
            await verdicts.send(key=account_id.encode(), value=models.judge(event, row))

    return app


if __name__ == "__main__":
    parsed = parse()
    sys.argv[1:] = ["worker", "--loglevel", "warn"]
    application(parsed).main()
