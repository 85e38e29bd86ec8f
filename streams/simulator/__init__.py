"""The simulator: a platform's payments, logins and applications with known fraud in them, and its labels.

Every number comes from one seed, none from a clock: the same scenario gives the same bytes on every run. The parts, in
the order in which they work: `scenario` what is asked for, `population` and `merchants` who is there, `habits` what
they do, `attacks` what is done to them, `sale` a crowd that is not fraud, `clock` in which order it arrives, `labels`
what becomes known and when, `records` and `writer` the contract's shapes, `broadcast` the same records into Kafka.
"""

from streams.simulator.scenario import Scenario
from streams.simulator.timeline import Timeline, simulate

__all__ = ["Scenario", "Timeline", "simulate"]
