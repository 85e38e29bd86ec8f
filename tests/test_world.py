"""Thousands of simulated worlds, in each of which something else goes wrong at another moment (docs/simulation.md)."""

import logging
import os
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

import pytest

from tests.world import World, broken_promise, main
from tests.world_faults import FAULTS

WORLDS = int(os.environ.get("ASSAY_WORLDS", "1600"))
SWEPT = 13
"""Two workers on two partitions, exactly once, dynamic members, small batches, many checkpoints; any gap is left to
others."""
_PROCESSES = 2


class Lived(NamedTuple):
    """What became of some worlds."""

    broken: list[str]
    occurred: Counter[tuple[str, str]]


def live(seeds: range) -> Lived:
    """Live through the worlds of these seeds."""
    logging.disable(logging.CRITICAL)
    lived = Lived([], Counter())
    for seed in seeds:
        one = World(seed)
        lived.broken.extend(filter(None, [broken_promise(one)]))
        lived.occurred.update(one.occurred)
    return lived


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Workers say a lot while they are maltreated."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def is_broken_by(fault: tuple[str, int, str]) -> bool:
    """Whether this fault, and nothing else, breaks a promise."""
    point, number, what = fault
    logging.disable(logging.CRITICAL)
    return broken_promise(World(SWEPT, faults={(point, number): what})) is not None


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    """Several processes, none of which is forked from one with threads."""
    with ProcessPoolExecutor(_PROCESSES, mp_context=get_context("spawn")) as several:
        yield several


@pytest.fixture(scope="module")
def lived(pool: ProcessPoolExecutor) -> Lived:
    """All worlds."""
    parts = list(pool.map(live, [range(first, WORLDS, _PROCESSES) for first in range(_PROCESSES)]))
    return Lived([line for part in parts for line in part.broken], sum((part.occurred for part in parts), Counter()))


def test_no_world_sees_a_broken_promise(lived: Lived) -> None:
    assert lived.broken == []


@pytest.mark.parametrize("point", FAULTS)
def test_every_fault_happened_at_every_point(lived: Lived, point: str) -> None:
    happened = {fault for where, fault in lived.occurred if where == point}
    assert happened == set(FAULTS[point])


def test_workers_were_stopped_doubled_and_handed_over(lived: Lived) -> None:
    assert lived.occurred["worker", "stopped"] > WORLDS
    assert lived.occurred["worker", "twin"] > 0


@pytest.mark.parametrize("what", ["later", "lost"])
def test_checkpoints_were_written_later_and_lost_in_between(lived: Lived, what: str) -> None:
    assert lived.occurred["checkpoint", what] > 0


@pytest.mark.parametrize("what", ["done", "crashed", "failed", "killed", "orphaned"])
def test_processes_that_catch_up_ended_in_every_way(lived: Lived, what: str) -> None:
    assert lived.occurred["catch_up", what] > 0


@pytest.mark.parametrize("what", ["crash_after", "sleep_before"])
def test_one_fault_at_every_single_effect_of_one_world_changes_nothing(pool: ProcessPoolExecutor, what: str) -> None:
    world = World(SWEPT, faults={})
    world.run()
    assert set(world.passed) == set(FAULTS) - {"abort", "append", "commit_offsets"}
    del world.passed["poll"]
    faults = [(point, number, what) for point, count in world.passed.items() for number in range(1, count + 1)]
    broken = pool.map(is_broken_by, faults, chunksize=4)
    assert [fault for fault, is_broken in zip(faults, broken, strict=True) if is_broken] == []


def story_of(seed: int) -> list[str]:
    lines: list[str] = []
    World(seed, lines.append).run()
    return lines


@pytest.mark.parametrize("seed", [3, 8, 21])
def test_a_seed_decides_everything(seed: int) -> None:
    assert story_of(seed) == story_of(seed)
    assert story_of(seed) != story_of(seed + 1)


def test_a_broken_promise_says_how_to_see_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(World, "_drain", lambda _: None)
    broken = filter(None, (broken_promise(World(seed)) for seed in range(20)))
    assert "python -m tests.world --seed " in next(broken)


def test_a_world_tells_its_story_on_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["world", "--seed", "5", "--worlds", "2", "-v"])
    assert main() == 0
    told = capsys.readouterr().out
    assert "starts" in told
    assert told.endswith("2 worlds, 0 broken\n")
