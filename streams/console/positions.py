"""Where consumer groups stand, asked of the broker."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from confluent_kafka import Consumer, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from features.errors import AssayError
from streams.console.lag import Place, Position, Sample

_ANSWER_S: Final = 10.0


class Positions:
    """Asks for the positions of groups in topics. Use it from one thread at a time.

    A consumer asks, which never joins its group: the administrator's client of librdkafka 2 dies (a segmentation fault)
    where a broker answers that the group's coordinator is not ready.

    Args:
        settings: connection settings of a client.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = {**settings, "log_level": 0}
        self._client = AdminClient(self._settings)
        self._members: dict[str, Consumer] = {}

    def of(self, group: str, topics: Sequence[str]) -> Sample:
        """Where `group` stands in every partition of `topics` (full names); topics that are not there are left out.

        Raises:
            AssayError: the broker does not tell.
        """
        try:
            known = self._client.list_topics(timeout=_ANSWER_S).topics
            places = [
                TopicPartition(name, number) for name in topics if name in known for number in known[name].partitions
            ]
            ends = self._offsets(places, OffsetSpec.latest())
            lows = self._offsets(places, OffsetSpec.earliest())
            committed = self._committed(group, places)
        except KafkaException as error:
            raise AssayError(f"asking where {group} stands: {error.args[0].str()}") from None
        return Sample(
            time.time_ns() // 1_000_000,
            {place: Position(committed.get(place), lows[place], end) for place, end in ends.items()},
        )

    def close(self) -> None:
        """Let go of connections."""
        for member in self._members.values():
            member.close()
        self._members.clear()

    def _committed(self, group: str, places: Sequence[TopicPartition]) -> dict[Place, int]:
        if group not in self._members:
            self._members[group] = Consumer({**self._settings, "group.id": group, "enable.auto.commit": False})
        answers = self._members[group].committed(list(places), timeout=_ANSWER_S)
        for answer in answers:
            if answer.error is not None:
                raise KafkaException(answer.error)
        return {Place(each.topic, each.partition): each.offset for each in answers if each.offset >= 0}

    def _offsets(self, places: Sequence[TopicPartition], spec: OffsetSpec) -> dict[Place, int]:
        answers = self._client.list_offsets(
            dict.fromkeys(places, spec), isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=_ANSWER_S
        )
        return {Place(place.topic, place.partition): answer.result().offset for place, answer in answers.items()}
