"""Whether the group and the client agree on whose partitions these are.

The client can lose an assignment: when members come and go at the same moment, librdkafka (2.16) now and then never
tells a new member what its group has given it. The member goes on sending heartbeats, so the group waits for nobody,
and the partition stands still. Only the group knows, so it is asked now and then; a worker that disagrees with it for
long has to leave and come back.
"""

import time
from collections.abc import Callable, Collection
from concurrent.futures import Future
from typing import Any

from confluent_kafka import ConsumerGroupState, KafkaException
from confluent_kafka.admin import AdminClient

from features.errors import AssayError

EVERY_S = 5.0
PATIENCE_S = 20.0
"""How long the two may disagree: a rebalance takes its time, and the answer is a little old."""


class Assignments:
    """Asks a group what it has given to a member. Never waits for the answer.

    Args:
        client: a way to the broker; needs the right to DESCRIBE the group, which comes with READ.
        group: its id.
        topic: full name of the topic whose partitions count.
        clock: seconds, rising.
    """

    def __init__(
        self, client: AdminClient, group: str, topic: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._group = group
        self._topic = topic
        self._clock = clock
        self._answer: Future[Any] | None = None
        self._ask_again_s = clock() + EVERY_S
        self._differ_since_s: float | None = None

    def check(self, member: Callable[[], str | None], owned: Collection[int]) -> None:
        """Compare; to be called often.

        Args:
            member: says the id that the group has given to this member.
            owned: partitions that the client has handed out.

        Raises:
            AssayError: they have disagreed for `PATIENCE_S`.
        """
        now_s = self._clock()
        if self._answer is None:
            if now_s >= self._ask_again_s:
                self._ask_again_s = now_s + EVERY_S
                self._answer = self._client.describe_consumer_groups([self._group])[self._group]
            return
        if not self._answer.done():
            return
        answer, self._answer = self._answer, None
        try:
            given = assigned_to(answer.result(), member(), self._topic)
        except KafkaException:  # it will be asked again; the consumer itself says what is wrong
            return
        if given is None or given == set(owned):
            self._differ_since_s = None
        elif self._differ_since_s is None:
            self._differ_since_s = now_s
        elif now_s - self._differ_since_s >= PATIENCE_S:
            raise AssayError(
                f"group {self._group} has given this worker partitions {sorted(given)} of {self._topic}, its client "
                f"handed out {sorted(owned)} and does not notice; nothing is lost, start the worker again"
            )


def assigned_to(group: Any, member: str | None, topic: str) -> set[int] | None:
    """Partitions of `topic` that a group has given to a member; None if it is not one or nothing is settled."""
    if group.state != ConsumerGroupState.STABLE:
        return None
    for found in group.members:
        if found.member_id == member:
            return {place.partition for place in found.assignment.topic_partitions if place.topic == topic}
    return None
