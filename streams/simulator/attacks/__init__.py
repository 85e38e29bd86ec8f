"""Attacks on the simulated platform: one file per story, a table of them, and the stage on which they play.

Their parameters vary from one instance to the next, and many imitate their victims, so that no single feature of an
event tells them apart from ordinary life.
"""

from streams.simulator.attacks.table import ATTACKS, Attack, plan

__all__ = ["ATTACKS", "Attack", "plan"]
