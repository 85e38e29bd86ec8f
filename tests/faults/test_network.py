"""A network that cuts, swallows, delays and answers too late: the order of faults is the seed's."""

import random
import time
from pathlib import Path

from tests.faults.campaign import SHORT, STEP, campaign, under_load
from tests.faults.conftest import Fragile
from tests.faults.fork_server import ForkServer
from tests.faults.proxy import FAULTS
from tests.faults.truth import Differences

LONGEST_S = {"reset": 1.0, "silence": 8.0, "slow": 2.0, "late": 4.0}
"""Silence may outlast the session and the transaction timeout."""


def test_network_faults_lose_nothing_and_double_nothing(
    fragile: Fragile, fork_server: ForkServer, tmp_path: Path, seed: int
) -> None:
    source = random.Random(seed)
    faults = [*FAULTS, source.choice(FAULTS)]
    source.shuffle(faults)
    with campaign(
        fragile.bootstrap, "network.", tmp_path, fork_server=fork_server, seed=seed, events=6 * STEP, **SHORT
    ) as it:
        for slot in it.supervisor.settings:
            it.supervisor.start(slot)
        for fault in faults:
            under_load(it)
            fragile.proxy.behave(fault)
            time.sleep(source.uniform(0.2, 1.0) * LONGEST_S[fault])
            fragile.proxy.behave("pass")
        judgement = it.finish()
    assert judgement.differences == Differences()
    assert len(judgement.got) == len(judgement.wanted)
