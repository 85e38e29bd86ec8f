"""A consumer group in memory: cooperative rebalances, static members, sessions that expire, offsets that are fenced.

A partition has at most one owner at any moment. One that moves is first asked back (`revoked_of`), and given away only
after its owner has released it, has left, or was not heard of for a session.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple


class StaleMemberError(Exception):
    """The group does not know this member any more, or a rebalance has passed since it looked."""


class Identity(NamedTuple):
    """Whom the group takes a request to be from; read before the request is sent, so it may be stale on arrival."""

    member: int
    generation: int


@dataclass(slots=True)
class _Membership:
    instance: str | None
    heard_s: float


class Group:
    """One group on the partitions of one topic.

    Args:
        partitions: numbers of the partitions.
        session_s: a member that is silent for longer is removed.

    Attributes:
        committed: next offset by partition, as far as committed.
        on_commit: told (partition, offset) before an offset becomes committed.
    """

    def __init__(self, partitions: Iterable[int], session_s: float) -> None:
        self.committed: dict[int, int] = {}
        self.on_commit: Callable[[int, int], None] = lambda _partition, _offset: None
        self._session_s = session_s
        self._generation = 0
        self._members: dict[int, _Membership] = {}
        self._joined = 0
        self._target: dict[int, int | None] = dict.fromkeys(partitions)
        self._owner: dict[int, int | None] = dict.fromkeys(self._target)

    def join(self, instance: str | None, now_s: float) -> int:
        """A new member; its id. One with a known instance takes the place of the old one, without a rebalance."""
        self._joined += 1
        member = self._joined
        old = next((number for number, one in self._members.items() if instance and one.instance == instance), None)
        self._members[member] = _Membership(instance, now_s)
        if old is None:
            self._rebalance()
        else:
            del self._members[old]
            self._target = {part: member if who == old else who for part, who in self._target.items()}
            self._owner = {part: None if who == old else who for part, who in self._owner.items()}
        return member

    def knows(self, member: int) -> bool:
        """Whether it is still a member."""
        return member in self._members

    def is_replaced(self, member: int, instance: str | None) -> bool:
        """Whether another member has taken its place under the same instance."""
        instances = (one.instance for number, one in self._members.items() if number != member)
        return instance is not None and instance in instances

    def identity(self, member: int, last_known: Identity | None = None) -> Identity:
        """What the member's requests carry; one that was removed in the meantime still carries what it last knew."""
        return Identity(member, self._generation) if self.knows(member) or last_known is None else last_known

    def check(self, identity: Identity) -> None:
        """Let pass who is a member now.

        Raises:
            StaleMemberError: it is not.
        """
        if not self.knows(identity.member) or identity.generation != self._generation:
            raise StaleMemberError

    def heartbeat(self, member: int, now_s: float) -> None:
        """The member is alive."""
        if member in self._members:
            self._members[member].heard_s = now_s

    def revoked_of(self, member: int) -> list[int]:
        """Partitions that it has and has to release."""
        return [part for part, who in self._owner.items() if who == member and self._target[part] != member]

    def waiting_for(self, member: int) -> list[int]:
        """Partitions that it can take now."""
        return [part for part, who in self._target.items() if who == member and self._owner[part] is None]

    def take(self, member: int, partitions: Iterable[int]) -> None:
        """The member has them from now on."""
        for part in partitions:
            assert self._owner[part] is None, "a partition has one owner"
            self._owner[part] = member

    def release(self, member: int, partitions: Iterable[int]) -> None:
        """The member has given them up; the others learn of it through another generation."""
        if not self.knows(member):
            return
        for part in partitions:
            if self._owner[part] == member:
                self._owner[part] = None
        self._generation += 1

    def leave(self, member: int) -> None:
        """A member without an instance is gone at once; one with an instance only when its session ends."""
        if member in self._members and self._members[member].instance is None:
            self._remove(member)

    def expire(self, now_s: float) -> None:
        """Remove members that were silent for longer than a session."""
        for member, one in list(self._members.items()):
            if now_s - one.heard_s > self._session_s:
                self._remove(member)

    def commit(self, identity: Identity, offsets: Mapping[int, int]) -> None:
        """Commit offsets outside of any transaction.

        Raises:
            StaleMemberError: see `check`.
        """
        self.check(identity)
        self.store(offsets)

    def store(self, offsets: Mapping[int, int]) -> None:
        """Offsets become committed."""
        for part, offset in offsets.items():
            self.on_commit(part, offset)
            self.committed[part] = offset

    def _remove(self, member: int) -> None:
        del self._members[member]
        for held in (self._target, self._owner):
            for part, who in held.items():
                if who == member:
                    held[part] = None
        self._rebalance()

    def _rebalance(self) -> None:
        """Share out evenly, moving as little as possible."""
        self._generation += 1
        if not self._members:
            return
        share = {member: [part for part, who in self._target.items() if who == member] for member in self._members}
        for part, who in self._target.items():
            if who is None:
                self._give(part, min(share, key=lambda member: (len(share[member]), member)), share)
        while True:
            poorest = min(share, key=lambda member: (len(share[member]), member))
            richest = max(share, key=lambda member: (len(share[member]), -member))
            if len(share[richest]) - len(share[poorest]) < 2:
                return
            self._give(share[richest].pop(), poorest, share)

    def _give(self, part: int, member: int, share: dict[int, list[int]]) -> None:
        self._target[part] = member
        share[member].append(part)
