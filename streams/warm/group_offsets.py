"""What the broker knows of the warm path's group: committed offsets, and where the partitions end."""

from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from features.errors import AssayError
from streams.kafka_clients import ask_all_committed
from streams.topic_reader import TopicReader
from streams.warm.commit_age import Place

_ANSWER_S = 10.0


class GroupOffsets:
    """Asks with a consumer that never joins; see `streams.warm.liveness.Offsets`.

    Args:
        settings: connection settings of a client (`streams.kafka_clients.connection`).
        group: of the warm path.
        reader: looks into partitions.
    """

    def __init__(self, settings: Mapping[str, Any], group: str, reader: TopicReader) -> None:
        self._client = AdminClient(dict(settings))
        self._consumer = Consumer({**settings, "group.id": group, "enable.auto.commit": False})
        self._group = group
        self._reader = reader

    def committed(self, places: frozenset[Place]) -> Mapping[Place, int]:
        """See `Offsets`."""
        asked = [TopicPartition(*place) for place in sorted(places)]
        try:
            found = ask_all_committed(self._consumer, asked, _ANSWER_S) if asked else []
        except KafkaException as error:
            raise AssayError(f"asking what {self._group} has committed: {error.args[0].str()}") from None
        return {Place(one.topic, one.partition): max(-1, one.offset) for one in found}

    def begin_of(self, place: Place) -> int:
        """See `streams.warm.continuity.LogView`."""
        committed = self.committed(frozenset({place}))[place]
        return committed if committed >= 0 else self._reader.bounds(*place).low

    def has_records(self, place: Place, start: int, end: int) -> bool:
        """See `streams.warm.continuity.LogView`; what retention has dropped is not there."""
        start = max(start, self._reader.bounds(*place).low)
        return any(self._reader.read(*place, start, end))

    def ends(self, places: frozenset[Place]) -> Mapping[Place, int]:
        """See `Offsets`."""
        asked = {TopicPartition(*place): OffsetSpec.latest() for place in places}
        answers = self._client.list_offsets(asked, request_timeout=_ANSWER_S)
        return {
            Place(place.topic, place.partition): int(_result(answer, f"asking where {place.topic} ends").offset)
            for place, answer in answers.items()
        }


def _result(answer: Any, doing: str) -> Any:
    try:
        return answer.result()
    except KafkaException as error:
        raise AssayError(f"{doing}: {error.args[0].str()}") from None
