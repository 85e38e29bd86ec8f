"""Workers come, go, and come back from the dead: a partition has one owner whose records count."""

import signal
from pathlib import Path

import pytest

from streams.broker import RunningBroker
from tests.faults.campaign import SHORT, STEP, Campaign, campaign, under_load
from tests.faults.fork_server import ForkServer
from tests.faults.supervisor import Run
from tests.faults.truth import Differences


@pytest.mark.parametrize("static", ["true", "false"])
def test_workers_join_and_leave_while_events_flow(
    broker: RunningBroker, fork_server: ForkServer, tmp_path: Path, seed: int, static: str
) -> None:
    with campaign(
        broker.bootstrap_servers, f"join-{static}.", tmp_path, fork_server=fork_server, seed=seed, events=5 * STEP,
        ASSAY_KAFKA_STATIC_MEMBERSHIP=static, **SHORT,
    ) as it:  # fmt: skip
        it.supervisor.start("0")
        under_load(it)
        handed_over = 0
        for stays, how in (("0", signal.SIGTERM), ("0", signal.SIGKILL), ("1", signal.SIGTERM)):
            (goes,) = {"0", "1"} - {stays}
            joined = it.supervisor.running.get("1") or it.supervisor.start("1")
            it.feed.send(STEP)
            it.wait(lambda joined=joined: bool(joined.take_overs()), "the second worker owns something")
            it.supervisor.end(goes, how)
            under_load(it)
            handed_over += len(joined.take_overs())
        judgement = it.finish()
    assert judgement.differences == Differences()
    assert len(judgement.got) == len(judgement.wanted)
    assert handed_over >= 3


def frozen(it: Campaign, slot: str) -> Run:
    """A worker stopped in the middle of its work, no longer the supervisor's."""
    under_load(it)
    zombie = it.supervisor.running.pop(slot)
    zombie.send(signal.SIGSTOP)
    return zombie


@pytest.mark.parametrize("heir", ["1", "0"], ids=["another slot", "the same slot"])
def test_a_worker_that_wakes_up_after_it_was_replaced(
    broker: RunningBroker, fork_server: ForkServer, tmp_path: Path, seed: int, heir: str
) -> None:
    """It slept for longer than its session; someone else has its partitions and has gone on."""
    with campaign(
        broker.bootstrap_servers, f"zombie-{heir}.", tmp_path, fork_server=fork_server, seed=seed, events=5 * STEP,
        own_states=True, **SHORT,
    ) as it:  # fmt: skip
        it.supervisor.start("0")
        zombie = frozen(it, "0")
        try:
            it.supervisor.settings[heir] = {
                **it.supervisor.settings[heir],
                "ASSAY_STATE_DIRECTORY": str(tmp_path / "state-heir"),
            }
            successor = it.supervisor.start(heir)
            it.wait(lambda: len(successor.take_overs()) == 2, "the heir owns both partitions")
            under_load(it)
            it.feed.send(STEP)
            zombie.send(signal.SIGCONT)
            if heir == "0":
                assert zombie.wait() == 1, zombie.said()
                assert "slot" in zombie.said(), zombie.said()
            else:
                it.wait(lambda: len(zombie.take_overs()) > 2 or zombie.poll() is not None, "the zombie notices")
                zombie.send(signal.SIGTERM)
                assert zombie.wait() in (0, 1), zombie.said()
            judgement = it.finish()
        finally:
            zombie.send(signal.SIGCONT)
            zombie.send(signal.SIGKILL)
    assert judgement.differences == Differences()
    assert len(judgement.got) == len(judgement.wanted)
