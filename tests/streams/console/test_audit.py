"""An action is told before it is done: a crash after any step leaves nothing done that was not told."""

import pytest

from features.errors import AssayError
from streams.console.audit import Asked, AuditRecord, AuditTrail, audit_json


class Crash(BaseException):
    """The process dies here."""


class World:
    """Writes and effects in their order; dies before or after one of them."""

    def __init__(self, steps_to_live: float = float("inf"), refuses: str = "") -> None:
        self.log: list[str] = []
        self.records: list[AuditRecord] = []
        self._left = steps_to_live
        self._refuses = refuses

    def _step(self, name: str) -> None:
        if self._left <= 0:
            raise Crash
        self._left -= 1
        if name == self._refuses:
            raise AssayError(f"{name} is refused")
        self.log.append(name)

    def write(self, record: AuditRecord) -> None:
        self._step(record.stage)
        self.records.append(record)

    def effect(self) -> int:
        self._step("effect")
        return 3

    def act(self) -> int:
        asked = Asked(self.write, "redrive", "ana", "127.0.0.1", {"code": "not_json"}, clock_ms=lambda: 7)
        return asked.then(self.effect, lambda sent: {"sent": sent})


@pytest.mark.parametrize("steps", range(4))
def test_a_crash_anywhere_leaves_nothing_done_that_was_not_told(steps: int) -> None:
    world = World(steps_to_live=steps)
    if steps < 3:
        with pytest.raises(Crash):
            world.act()
    else:
        world.act()
    assert world.log == ["asked", "effect", "done"][:steps]


def test_what_came_of_it_is_told_under_the_same_id() -> None:
    world = World()
    assert world.act() == 3
    first, last = world.records
    assert first.id == last.id
    assert first.details == {"code": "not_json"}
    assert last.details == {"code": "not_json", "sent": 3}
    assert (first.who, first.source, first.at_ms) == ("ana", "127.0.0.1", 7)


def test_without_a_trail_nothing_is_done() -> None:
    world = World(refuses="asked")
    with pytest.raises(AssayError, match="refused"):
        world.act()
    assert world.log == []


def test_an_effect_that_fails_is_told_too() -> None:
    world = World(refuses="effect")
    with pytest.raises(AssayError, match="refused"):
        world.act()
    assert world.log == ["asked", "failed"]
    assert world.records[1].details["error"] == "effect is refused"


def test_the_trail_shows_what_was_asked_and_not_finished() -> None:
    trail, done, dead = AuditTrail(), World(), World(steps_to_live=2)
    done.act()
    with pytest.raises(Crash):
        dead.act()
    for each in [*done.records, *dead.records, *done.records]:  # a topic that is read again changes nothing
        trail.take(audit_json(each))
    trail.take(b"rubbish")
    newest, oldest = trail.newest(5)
    assert [record.stage for record in newest] == ["asked"]
    assert [record.stage for record in oldest] == ["asked", "done"]


def test_the_trail_is_bounded() -> None:
    trail = AuditTrail(most=2)
    for _ in range(5):
        world = World()
        world.act()
        for each in world.records:
            trail.take(audit_json(each))
    assert len(trail.newest(9)) == 2
