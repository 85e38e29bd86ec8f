"""Workers killed at any moment: one answer to each event, with the bytes of an undisturbed fold."""

import signal
import sys
from pathlib import Path

import pytest

from streams.broker import RunningBroker
from tests.faults.fork_server import ForkServer
from tests.faults.kills import KillReport, kill_campaign, plan
from tests.faults.truth import Differences

KILLS = 100


def assert_it_was_not_blind(report: KillReport) -> None:
    """Kills have to find workers at different work, else the campaign shows nothing."""
    assert 0 < report.killed_before_owning < report.kills, "some kills find a worker joining, others one that works"
    assert report.folded_again > 0, "some starts find a state that is older than what was published"


def test_a_hundred_kills_lose_nothing_and_double_nothing(
    broker: RunningBroker, fork_server: ForkServer, tmp_path: Path, seed: int
) -> None:
    report = kill_campaign(broker.bootstrap_servers, "kills.", tmp_path, fork_server, kills=KILLS, seed=seed)
    sys.stdout.write("\n".join(report.lines()) + "\n")
    assert report.judgement.differences == Differences()
    assert len(report.judgement.got) == len(report.judgement.wanted) > report.judgement.events / 2
    assert_it_was_not_blind(report)
    assert report.judgement.aborted > 0, "some kills fall into an open transaction"


def test_at_least_once_repeats_after_a_kill_with_the_same_bytes(
    broker: RunningBroker, fork_server: ForkServer, tmp_path: Path, seed: int
) -> None:
    report = kill_campaign(
        broker.bootstrap_servers, "repeats.", tmp_path, fork_server, kills=15, seed=seed, delivery="at_least_once"
    )
    sys.stdout.write("\n".join(report.lines()) + "\n")
    assert report.judgement.differences == Differences()
    assert_it_was_not_blind(report)


@pytest.mark.parametrize("kills", [1, 2, 300])
def test_a_plan_is_the_seed_s_and_holds_what_was_asked_for(kills: int) -> None:
    blows = plan(kills, seed=5)
    assert blows == plan(kills, seed=5) != plan(kills, seed=6)
    assert sum(len(blow.slots) for blow in blows if blow.how is signal.SIGKILL) == kills
    if kills > 100:
        assert {blow.how for blow in blows} == {signal.SIGKILL, signal.SIGTERM}
        assert {len(blow.slots) for blow in blows} == {1, 2}
        assert {blow.after_records > 0 for blow in blows} == {False, True}
