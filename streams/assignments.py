"""Whether the group and the client agree on whose partitions these are.

The client can lose an assignment: when members come and go at the same moment, librdkafka (2.16) now and then never
tells a new member what its group has given it, leaves a partition to nobody, or lets a new member wait to be let in.
All members go on sending heartbeats, so the group waits for nothing, and the partition stands still. Only the group
knows, so it is asked now and then; a worker that disagrees with it for long has to leave it (`KafkaLog` sees to that)
and come back, and the group deals anew.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future
from typing import Any, NoReturn

from confluent_kafka import ConsumerGroupState, KafkaException
from confluent_kafka.admin import AdminClient

from features.errors import AssayError

EVERY_S = 5.0
PATIENCE_S = 20.0
"""How long something may look wrong: a rebalance takes its time, and the answer is a little old."""
JOINING_S = 40.0
"""How long a worker without partitions may wait to be dealt some: it has nothing to lose by joining anew."""


class Assignments:
    """Asks a group what it has given to a member. Never waits for the answer.

    Args:
        client: a way to the broker; needs the right to DESCRIBE the group, which comes with READ.
        group: its id.
        topic: full name of the topic whose partitions count.
        partitions: their numbers.
        clock: seconds, rising.
    """

    def __init__(
        self,
        client: AdminClient,
        group: str,
        topic: str,
        partitions: Iterable[int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._group = group
        self._topic = topic
        self._partitions = frozenset(partitions)
        self._clock = clock
        self._answer: Future[Any] | None = None
        self._ask_again_s = clock() + EVERY_S
        self._differ_since_s: float | None = None
        self._nobodys_since_s: float | None = None

    def check(self, member: Callable[[], str | None], owned: Collection[int]) -> None:
        """Compare; to be called often.

        Args:
            member: says the id that the group has given to this member.
            owned: partitions that the client has handed out.

        Raises:
            AssayError: something has been wrong for `PATIENCE_S`.
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
            given = given_by(answer.result(), self._topic)
        except KafkaException:  # it will be asked again; the consumer itself says what is wrong
            return
        is_joining = not owned and (given is None or member() not in given)
        if given is None or is_joining:
            wrong = "it has not made this worker a member that partitions are dealt to" if is_joining else ""
        else:
            wrong = self._wrong(given, member(), set(owned))
        if not wrong:
            self._differ_since_s = None
        elif self._differ_since_s is None:
            self._differ_since_s = now_s
        elif now_s - self._differ_since_s >= (JOINING_S if is_joining else PATIENCE_S):
            self._leave(wrong)
        if given is not None:
            self._check_nobodys(given, member(), now_s)

    def _wrong(self, given: Mapping[str, set[int]], member: str | None, owned: set[int]) -> str:
        """What is wrong, as far as this member is the one to do something about it."""
        if member is None or member not in given:
            return ""
        if given[member] != owned:
            return (
                f"it has given this worker partitions {sorted(given[member])} of {self._topic}, but the Kafka client "
                f"handed out {sorted(owned)}"
            )
        return ""

    def _check_nobodys(self, given: Mapping[str, set[int]], member: str | None, now_s: float) -> None:
        """See that every partition is somebody's; it is enough if one member leaves, so they do so one after another.

        First the one with the fewest partitions: it claims what the group believes to be its own, and has not got it.
        While members come and go the group tells nothing; that is no reason to begin to count anew.
        """
        nobodys = self._partitions.difference(*given.values())
        if not nobodys:
            self._nobodys_since_s = None
        elif self._nobodys_since_s is None:
            self._nobodys_since_s = now_s
        elif member is not None and member in given:
            turn = sorted(given, key=lambda name: (len(given[name]), name)).index(member)
            if now_s - self._nobodys_since_s >= PATIENCE_S * (1 + 2 * turn):
                self._leave(f"it has given partitions {sorted(nobodys)} of {self._topic} to nobody")

    def _leave(self, wrong: str) -> NoReturn:
        raise AssayError(f"group {self._group}: {wrong}; nothing is lost, start the worker again")


def given_by(group: Any, topic: str) -> dict[str, set[int]] | None:
    """Partitions of `topic` that a group has given to each member, by its id; None if nothing is settled."""
    if group.state != ConsumerGroupState.STABLE:
        return None
    return {
        member.member_id: {place.partition for place in member.assignment.topic_partitions if place.topic == topic}
        for member in group.members
    }
