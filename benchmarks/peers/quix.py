"""The job on Quix Streams: a StreamingDataFrame, state by key in RocksDB with a changelog, exactly once."""

from typing import Any

from quixstreams import Application, State

from benchmarks.peers.arguments import Arguments, parse
from benchmarks.peers.job import Models, features


def run(arguments: Arguments) -> None:
    """Work until the process is ended."""
    application = Application(
        broker_address=arguments.bootstrap,
        consumer_group=arguments.group,
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        state_dir=arguments.directory,
        loglevel="WARNING",
    )
    events = application.topic(arguments.events, key_deserializer="str", value_deserializer="json")
    verdicts = application.topic(arguments.verdicts, key_serializer="str", value_serializer="bytes")
    models = Models(arguments.model)

    def judge(event: dict[str, Any], state: State) -> bytes:
        history = state.get("history", ([], []))
        row = features(event, history)
        state.set("history", history)
        return models.judge(event, row)

    application.dataframe(events).apply(judge, stateful=True).to_topic(verdicts)
    application.run()


if __name__ == "__main__":
    run(parse())
