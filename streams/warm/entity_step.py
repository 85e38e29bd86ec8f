"""What becomes of one record of the links topic: profiles to publish, and what is to be visible. No Faust, no clock."""

from typing import Final

import msgspec

from features.entity_fold import EntityFold
from features.entity_profile import profile_records
from features.errors import AssayError
from features.events import Marker
from features.links import flushes_of
from streams.publisher import Message

_SCHEMA: Final = 1


class _State(msgspec.Struct, frozen=True):
    schema: int
    next_offset: int
    fold: bytes


class EntityStep:
    """The entity fold, as far as the links topic was read.

    Attributes:
        next_offset: offset of the links topic from which it goes on.
        fold: graph, rates, and what was told.

    Args:
        topic: full name of the entities topic.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self.fold = EntityFold()
        self.next_offset = 0

    def take(self, offset: int, value: bytes) -> list[Message]:
        """Fold one record; the profiles to publish. One that was taken before has none.

        Raises:
            MissingFlushError: records between were not seen; nothing was taken.
            ValueError, msgspec.DecodeError: it is no record of links; nothing was taken.
        """
        if offset < self.next_offset:
            return []
        partition, flushes = flushes_of(value)
        told = self.fold.step(partition, flushes)
        self.next_offset = offset + 1
        numbers = flushes.flushes["flush"][told.turns].tolist()
        records = profile_records(told.profiles, partition, numbers)
        return [Message(self._topic, 0, key, profile, None) for key, profile in records]

    def state(self) -> bytes:
        """Everything, for `restore`."""
        return msgspec.msgpack.encode(_State(_SCHEMA, self.next_offset, self.fold.state()))

    def restore(self, data: bytes) -> None:
        """Go on from where another one said `state`.

        Raises:
            AssayError: it is damaged, or another version wrote it.
        """
        try:
            state = msgspec.msgpack.decode(data, type=_State)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise AssayError(f"state of entities: {error}") from error
        if state.schema != _SCHEMA:
            raise AssayError(f"state of entities: expected schema {_SCHEMA}, got {state.schema}")
        self.fold.restore(state.fold)
        self.next_offset = state.next_offset


def entities_marker(visible: int, time_ms: int) -> Marker:
    """The record that lets events behind it see profiles up to an offset.

    Args:
        visible: offset of the entities topic.
        time_ms: newest time of what the profiles know.
    """
    return Marker(event_id=f"entities-{visible}", time_ms=time_ms, marker="entities", value=str(visible))
