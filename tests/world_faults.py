"""What can go wrong in the simulated world, and where: every effect of a worker is a point, each has its faults."""

import random
from collections.abc import Mapping

CRASH = ("crash_before", "crash_after")
"""The process is gone; what it had asked for before stays done."""
SLEEP = ("sleep_before", "sleep_after")
"""The process stands still, without heartbeats, while the others go on; then it goes on where it was."""
OPEN_END = ("lost_answer", "late", "never")
"""No answer comes: the request was carried out, is carried out some time later, or never."""
REFUSED = ("refused",)
"""It was not done, and the worker is told so."""

FAULTS: Mapping[str, tuple[str, ...]] = {
    "init": CRASH + SLEEP + OPEN_END,
    "join": CRASH + SLEEP,
    "take": CRASH + SLEEP,
    "release": CRASH + SLEEP,
    "leave": CRASH + SLEEP,
    "poll": (*CRASH, *SLEEP, "step_back"),
    "committed": CRASH + SLEEP + REFUSED,
    "bounds": CRASH + SLEEP,
    "produce": CRASH + SLEEP + REFUSED,
    "send_offsets": CRASH + SLEEP + OPEN_END + REFUSED,
    "commit": CRASH + SLEEP + OPEN_END + REFUSED,
    "abort": CRASH + SLEEP + OPEN_END,
    "append": CRASH + SLEEP + OPEN_END,
    "commit_offsets": CRASH + SLEEP + OPEN_END + REFUSED,
    "open": (*CRASH, *SLEEP, *REFUSED, "disk_lost", "disk_older"),
    "write": CRASH + SLEEP + REFUSED,
    "close": CRASH + SLEEP,
}
"""By point: requests to the broker (`tests/memory_log.py`), and the three effects on a disk."""

_USUAL_NUMBER = {"produce": 18, "append": 18, "poll": 20, "send_offsets": 6, "commit": 6, "commit_offsets": 6,
                 "write": 5, "close": 3, "open": 3, "committed": 3, "bounds": 3}  # fmt: skip
_MOST_FAULTS = 8
_POINTS = (*FAULTS, "send_offsets", "commit", "commit_offsets", "write", "write")
"""Where a fault is likeliest to matter counts more than once."""


def draw_faults(source: random.Random) -> dict[tuple[str, int], str]:
    """Some faults: at the n-th time (from 1) that a point is passed, what happens."""
    faults = {}
    for _ in range(source.randint(1, _MOST_FAULTS)):
        point = source.choice(_POINTS)
        number = 1 + int(source.expovariate(1 / _USUAL_NUMBER.get(point, 1.5)))
        faults[point, number] = source.choice(FAULTS[point])
        if point == "abort":  # there is one only where something was refused
            faults[source.choice(("produce", "send_offsets", "commit")), number] = "refused"
    return faults
