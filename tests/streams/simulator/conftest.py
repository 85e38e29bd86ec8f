"""One simulated world for every test of the package: made once, read by all, changed by none."""

from typing import Any

import pytest

from streams.simulator import Scenario, Timeline, simulate
from streams.simulator.records import event_records


@pytest.fixture(scope="package")
def world() -> Timeline:
    """60 days of 1,500 accounts with the usual amount of fraud."""
    return simulate(Scenario(events=120_000, seed=11))


@pytest.fixture(scope="package")
def records(world: Timeline) -> list[dict[str, Any]]:
    return list(event_records(world))
