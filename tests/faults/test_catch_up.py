"""Gaps that processes fold beside the worker: killed in the middle of it, handed over, and the others judged meanwhile.

A process that catches up is stopped (SIGSTOP) where a test needs it in the middle of its work for long enough.
"""

import os
import random
import re
import signal
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from streams.broker import RunningBroker
from tests.faults.campaign import SHORT, STEP, Campaign, campaign
from tests.faults.fork_server import ForkServer
from tests.faults.supervisor import Run
from tests.faults.truth import Differences

BLOWS = 4
LARGE = 100
"""Records that make a gap large."""
SETTINGS = {
    **SHORT,
    "ASSAY_ENGINE_CATCH_UP_RECORDS": str(LARGE),
    "ASSAY_ENGINE_CATCH_UP_PROCESSES": "2",
    "ASSAY_ENGINE_BATCH_EVENTS": "200",
    "ASSAY_STATE_CHECKPOINT_SECONDS": "0",
}
NOTHING_STORED = {"ASSAY_STATE_CHECKPOINT_SECONDS": "1000"}
PROCESS = re.compile(r"partition (\d+): process (\d+) folds up to (\d+)")
CAUGHT_UP = re.compile(r"partition (\d+): caught up to (\d+) of (\d+) in ")

_numbers = count(1)


def processes(run: Run) -> dict[int, int]:
    """Pid of the process that catches up each partition, as its worker says."""
    return {int(partition): int(pid) for partition, pid, _ in PROCESS.findall(run.said())}


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for yet counts as ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.fixture
def it(
    broker: RunningBroker, fork_server: ForkServer, tmp_path: Path, seed: int, request: pytest.FixtureRequest
) -> Iterator[Campaign]:
    """Everything that was sent is judged, nothing of it is stored, and nobody runs."""
    with campaign(
        broker.bootstrap_servers, f"catch-up-{next(_numbers)}.", tmp_path, fork_server=fork_server, seed=seed,
        events=20 * STEP, ASSAY_KAFKA_STATIC_MEMBERSHIP=getattr(request, "param", "true"), **SETTINGS,
    ) as made:  # fmt: skip
        settings = dict(made.supervisor.settings["0"])
        made.supervisor.settings["0"] = {**settings, **NOTHING_STORED}
        made.supervisor.start("0")
        made.feed.send(19 * STEP)
        made.wait_for(19 * STEP)
        made.supervisor.end("0", signal.SIGKILL)
        made.supervisor.settings["0"] = settings
        yield made


def started(it: Campaign) -> tuple[Run, dict[int, int]]:
    """A worker, and the processes that fold for it."""
    run = it.supervisor.start("0")
    it.wait(lambda: len(processes(run)) == 2, "processes catch up")
    return run, processes(run)


def has_taken_over(run: Run) -> bool:
    """Whether a worker has opened both partitions, and every large gap has its process."""
    found = run.take_overs()[:2]
    large = {each.partition for each in found if (each.committed or 0) - each.stored >= LARGE}
    return len(found) == 2 and large <= set(processes(run))


def write_ahead_logs(it: Campaign) -> dict[Path, int]:
    """Sizes of what was written to the states since they were opened."""
    return {path: path.stat().st_size for path in it.directory.glob("state/*/*.log")}


def test_kill_9_of_a_worker_that_catches_up(it: Campaign, seed: int) -> None:
    """At moments from the start of the processes to their end, and when they have just stored something."""
    source = random.Random(seed)
    killed = 0
    for _ in range(BLOWS):
        run = it.supervisor.start("0")
        before = write_ahead_logs(it)
        it.wait(lambda run=run: has_taken_over(run), "it owns both partitions")
        pids = processes(run)
        if not pids:
            break  # every gap is closed: this one is left to finish the work
        if killed % 2:
            it.wait(lambda before=before: has_written(it, before), "something is stored")
        else:
            time.sleep(source.uniform(0.0, 2.0) if killed else 0.0)
        it.supervisor.end("0", signal.SIGKILL)
        killed += 1
        it.wait(lambda pids=pids: all(map(is_gone, pids.values())), "processes leave with their worker")
    else:
        run = it.supervisor.start("0")
    assert killed > 1
    judgement = it.finish()
    assert judgement.differences == Differences()
    assert len(judgement.got) == len(judgement.wanted)
    assert run is it.supervisor.runs[-1], run.said()


def has_written(it: Campaign, before: dict[Path, int]) -> bool:
    """Whether a file that was not there before has something in it."""
    return any(size > 0 and path not in before for path, size in write_ahead_logs(it).items())


def test_what_processes_have_folded_is_gone_on_with(it: Campaign) -> None:
    run, pids = started(it)
    it.wait(lambda: len(CAUGHT_UP.findall(run.said())) == 2, "both are caught up")
    assert all(map(is_gone, pids.values()))
    before, after = run.take_overs()[:2], run.take_overs()[2:]
    assert [each.stored for each in before] == [0, 0]
    assert sorted(each[:1] + each[2:] for each in after) == sorted(each[:1] + each[2:] for each in before)
    assert all(each.stored == each.committed for each in after)
    judgement = it.finish()
    assert judgement.differences == Differences()
    assert len(judgement.got) == len(judgement.wanted)


def test_a_process_that_dies_leaves_the_rest_to_its_worker(it: Campaign) -> None:
    run, pids = started(it)
    os.kill(pids[0], signal.SIGKILL)
    it.wait(lambda: "the worker folds the rest itself" in run.said(), "the worker notices")
    judgement = it.finish()
    assert judgement.differences == Differences()
    assert len(judgement.got) == len(judgement.wanted)
    assert len(processes(run)) == len(PROCESS.findall(run.said())) == 2, "nobody is sent twice"


@pytest.mark.parametrize("it", ["false"], indirect=True)
def test_a_partition_that_is_handed_over_while_it_is_caught_up(it: Campaign) -> None:
    run, pids = started(it)
    for pid in pids.values():
        os.kill(pid, signal.SIGSTOP)
    heir = it.supervisor.start("1")
    it.wait(lambda: bool(heir.take_overs()), "the other worker has a partition")
    (moved,) = {each.partition for each in heir.take_overs()}
    assert is_gone(pids[moved])
    os.kill(pids[1 - moved], signal.SIGCONT)
    judgement = it.finish()
    assert judgement.differences == Differences()
    assert len(judgement.got) == len(judgement.wanted)
    assert "somebody else goes on" in run.said()


def test_the_other_partitions_are_judged_meanwhile(it: Campaign) -> None:
    """One process dies, so its worker has that partition; the other stands still, and so does its partition only."""
    run, pids = started(it)
    os.kill(pids[0], signal.SIGSTOP)
    os.kill(pids[1], signal.SIGKILL)
    before = it.progress.committed()
    assert before is not None
    it.feed.send(STEP)
    it.wait(lambda: (it.progress.committed() or before)[1] == it.feed.sent[1], "one partition is judged")
    assert (it.progress.committed() or before)[0] == before[0]
    assert not is_gone(pids[0])
    os.kill(pids[0], signal.SIGCONT)
    judgement = it.finish()
    assert judgement.differences == Differences()
    assert len(judgement.got) == len(judgement.wanted)
    assert CAUGHT_UP.search(run.said())
