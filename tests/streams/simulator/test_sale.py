"""The sale: a crowd at a few merchants that is no attack."""

import numpy as np

from streams.simulator import Timeline, rows
from streams.simulator import sale as sales
from streams.simulator.scenario import DAY_MS
from tests.streams.simulator.selections import part_of, payments


def test_a_sale_triples_the_traffic_with_larger_baskets_and_no_fraud_of_its_own(world: Timeline) -> None:
    events, sale = world.events, world.sale
    now = sales.during(sale, events["time_ms"]).sum()
    before = [sales.during(sale, events["time_ms"] + week * 7 * DAY_MS).sum() for week in (1, 2, 3)]
    assert 2.4 < now / np.mean(before) < 3.6
    crowd = part_of(world, "sale")
    assert set(crowd["merchant"]) == set(sale.merchants)
    assert (crowd["fraud_type"] < 0).all()
    elsewhen = payments(events[(events["attack"] == rows.NONE) & np.isin(events["merchant"], sale.merchants)])
    assert np.median(crowd["cents"]) > 1.4 * np.median(elsewhen["cents"])
