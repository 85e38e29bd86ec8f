"""What the liveness check of a warm worker notices, and what it lets pass."""

from collections.abc import Mapping

import pytest

from features.errors import AssayError
from streams.metrics import WarmMetrics
from streams.warm.commit_age import CommitAges, Place
from streams.warm.continuity import Continuity
from streams.warm.liveness import Liveness

LIMIT_S = 60.0
ONE, TWO = Place("t.labels", 0), Place("t.labels", 1)
BOTH = frozenset({ONE, TWO})


class World:
    """A check with a clock that stands still, and a broker that says what it is told to say."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.offsets: dict[Place, int] = {}
        self.records: set[int] = set()
        self.is_away = False
        self.left: list[str] = []
        self.ages = CommitAges()
        self.metrics = WarmMetrics()
        self.liveness = Liveness(self.ages, self, self.metrics, LIMIT_S, self.left.append, lambda: self.now_s)

    def committed(self, places: frozenset[Place]) -> Mapping[Place, int]:
        if self.is_away:
            raise AssayError("nobody answers")
        return {place: self.offsets.get(place, -1) for place in places}

    def ends(self, places: frozenset[Place]) -> Mapping[Place, int]:
        return dict.fromkeys(places, 10)

    def begin_of(self, place: Place) -> int:
        return max(0, self.offsets.get(place, 0))

    def has_records(self, place: Place, start: int, end: int) -> bool:
        return any(start <= offset < end for offset in self.records)

    def pass_time(self, seconds: float, beating: bool = True) -> None:
        for _ in range(int(seconds)):
            self.now_s += 1.0
            if beating:
                self.liveness.beat(BOTH)
            self.liveness.look()

    def work(self, place: Place, next_offset: int) -> None:
        self.ages.worked(place, next_offset, self.now_s)

    def sample(self, name: str, place: Place) -> float | None:
        return self.metrics.registry.get_sample_value(name, {"topic": place.topic, "partition": str(place.partition)})


@pytest.fixture
def world() -> World:
    made = World()
    made.liveness.beat(BOTH)
    return made


def test_an_idle_worker_is_well(world: World) -> None:
    world.pass_time(1_000)
    assert world.left == []
    assert world.liveness.wrong() is None
    assert world.liveness.unready() is None


def test_a_worker_that_commits_is_well_however_long_it_works(world: World) -> None:
    for offset in range(1, 1_000):
        world.work(ONE, offset + 1)
        world.offsets[ONE] = offset
        world.pass_time(1)
    assert world.left == []


def test_one_partition_whose_commits_stand_still_ends_the_worker(world: World) -> None:
    for offset in range(1, 200):
        world.work(ONE, offset)
        world.work(TWO, offset)
        world.offsets = {ONE: offset, TWO: min(offset, 50)}
        world.pass_time(1)
        if world.left:
            break
    assert "t.labels[1]" in world.left[0]
    assert offset - 50 == pytest.approx(LIMIT_S, abs=2)


def test_a_broker_that_is_away_is_waited_for(world: World) -> None:
    world.work(ONE, 5)
    world.is_away = True
    world.pass_time(10 * LIMIT_S)
    assert world.left == []
    world.is_away = False
    world.pass_time(LIMIT_S - 2)
    assert world.left == []
    world.pass_time(5)
    assert "t.labels[0]" in world.left[0]


def test_a_loop_that_stands_still_ends_the_worker(world: World) -> None:
    world.pass_time(LIMIT_S - 2, beating=False)
    assert world.left == []
    world.pass_time(5, beating=False)
    assert "event loop" in world.left[0]


def test_a_partition_that_went_to_another_worker_is_not_waited_for(world: World) -> None:
    world.work(TWO, 5)
    for _ in range(200):
        world.now_s += 1.0
        world.liveness.beat(frozenset({ONE}))
        world.liveness.look()
    assert world.left == []


def test_before_the_first_beat_it_is_not_ready() -> None:
    assert World().liveness.unready() is not None


def test_metrics_say_age_and_lag(world: World) -> None:
    world.work(ONE, 5)
    world.offsets = {ONE: 3, TWO: 10}
    world.pass_time(7)
    assert world.sample("assay_warm_commit_age_seconds", ONE) == 6.0
    assert world.sample("assay_warm_lag_records", ONE) == 7.0
    assert world.sample("assay_warm_lag_records", TWO) == 0.0


def test_the_thread_looks_by_itself_and_stops(world: World) -> None:
    world.liveness.start()
    world.liveness.stop()
    assert world.left == []


def test_records_that_wait_although_everything_is_committed_end_the_worker(world: World) -> None:
    """Faust has passed over the last records of a partition: nothing waits to be committed."""
    world.offsets = {ONE: 10, TWO: 7}
    world.pass_time(2 * LIMIT_S)
    assert world.left == [], "the end of a transaction takes an offset, and is no record"
    world.records = {8}
    world.pass_time(2)
    assert "t.labels[1]: records from 7 on" in world.left[0]


def test_a_partition_that_moves_on_is_no_standstill(world: World) -> None:
    world.records = set(range(10))
    for offset in range(9):
        world.offsets = {ONE: offset, TWO: offset}
        world.pass_time(LIMIT_S - 10)
    assert world.left == []


def test_a_hole_with_a_record_in_it_is_seen_and_one_without_is_not(world: World) -> None:
    continuity = Continuity(world)
    world.offsets = {ONE: 3}
    assert continuity.hole_before(ONE, 3) is None
    assert continuity.hole_before(ONE, 5) is None
    world.records = {4}
    assert continuity.hole_before(ONE, 5) == (3, 5)
    continuity.worked(ONE, 5)
    assert continuity.hole_before(ONE, 5) is None
    assert continuity.hole_before(ONE, 2) is None, "what comes again is no hole"
    continuity.forget()
    assert continuity.hole_before(ONE, 6) == (3, 6)
