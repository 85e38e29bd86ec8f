"""The broker is restarted, killed, frozen, one of three is lost: the workers come back by themselves."""

import os
import signal
import time
from pathlib import Path

from confluent_kafka.admin import AdminClient

from streams import broker as kafka
from tests.faults.campaign import SHORT, STEP, Campaign, campaign, under_load
from tests.faults.conftest import Fragile
from tests.faults.fork_server import ForkServer
from tests.faults.truth import Differences


def test_a_broker_that_stops_and_one_that_is_killed(
    fragile: Fragile, fork_server: ForkServer, tmp_path: Path, seed: int
) -> None:
    with campaign(
        fragile.bootstrap, "restart.", tmp_path, fork_server=fork_server, seed=seed, events=5 * STEP, **SHORT
    ) as it:
        for slot in it.supervisor.settings:
            it.supervisor.start(slot)
        for end in (lambda: _kill_between_commits(fragile.broker, it), fragile.broker.stop):
            under_load(it)
            it.feed.send(STEP)
            end()
            fragile.broker.restart()
            under_load(it)
        judgement = it.finish()
    assert judgement.differences == Differences()
    assert len(judgement.got) == len(judgement.wanted)


def _kill_between_commits(broker: kafka.RunningBroker, it: Campaign) -> None:
    """Kill the only node while transactions are open, but none is just being committed.

    A node that comes back alone and finds a commit half done may call it complete and write no markers (seen on Kafka
    4.3.1): readers of committed records wait behind it for ever, and no client can help. See docs/faults.md.
    """
    for run in it.supervisor.running.values():
        run.send(signal.SIGSTOP)
    time.sleep(1.0)  # a commit that was asked for is done long before
    broker.kill()
    for run in it.supervisor.running.values():
        run.send(signal.SIGCONT)


def test_a_broker_frozen_for_longer_than_sessions_and_transactions(
    fragile: Fragile, fork_server: ForkServer, tmp_path: Path, seed: int
) -> None:
    with campaign(
        fragile.bootstrap, "frozen.", tmp_path, fork_server=fork_server, seed=seed, events=4 * STEP, **SHORT
    ) as it:
        for slot in it.supervisor.settings:
            it.supervisor.start(slot)
        under_load(it)
        it.feed.send(STEP)
        pid = fragile.broker.record.nodes[0].pid
        os.kill(pid, signal.SIGSTOP)
        try:
            it.wait(lambda: it.supervisor.ended_by_themselves.total() >= 2, "both workers gave up")
        finally:
            os.kill(pid, signal.SIGCONT)
        under_load(it)
        judgement = it.finish()
    assert judgement.differences == Differences()
    assert len(judgement.got) == len(judgement.wanted)


def test_one_of_three_nodes_is_lost(fork_server: ForkServer, tmp_path: Path, seed: int) -> None:
    """First the leader of a partition of events, then the coordinator of a worker's transactions."""
    with (
        kafka.start(tmp_path / "three", nodes=3) as three,
        campaign(
            three.bootstrap_servers, "three.", tmp_path, fork_server=fork_server, seed=seed, events=6 * STEP, **SHORT
        ) as it,
    ):
        for slot in it.supervisor.settings:
            it.supervisor.start(slot)
        under_load(it)
        client = AdminClient({"bootstrap.servers": three.bootstrap_servers, "log_level": 0})
        for topic, partition in (("three.events", 0), ("__transaction_state", _coordinated_by("three.engine-0"))):
            it.feed.send(STEP)
            leader = client.list_topics(topic, timeout=20).topics[topic].partitions[partition].leader
            three.kill(leader)
            under_load(it)
            three.restart()
        judgement = it.finish()
    assert judgement.differences == Differences()
    assert len(judgement.got) == len(judgement.wanted)


def _coordinated_by(transactional_id: str, partitions: int = 5) -> int:
    """Partition of the transaction log that keeps this id: Java's hash of the text."""
    code = 0
    for letter in transactional_id.encode():
        code = (31 * code + letter) & 0xFFFFFFFF
    return (code & 0x7FFFFFFF) % partitions
