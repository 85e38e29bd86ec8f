"""The order in which accounts were last used: a list that is threaded through their records.

Use moves one link, and whoever needs memory walks from the other end: both cost the same whatever the number of
accounts.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled

NEWEST = 0
OLDEST = 1


def empty_ends() -> NDArray[np.int64]:
    """int64[2], the slots at both ends of a list of nothing."""
    return np.full(2, -1, dtype=np.int64)


@compiled
def unlink(accounts: Any, ends: NDArray[np.int64], slot: int) -> None:
    """Take a slot out of the list; `accounts` has the fields `newer` and `older`, -1 at the ends."""
    newer, older = accounts[slot]["newer"], accounts[slot]["older"]
    if newer >= 0:
        accounts[newer]["older"] = older
    else:
        ends[NEWEST] = older
    if older >= 0:
        accounts[older]["newer"] = newer
    else:
        ends[OLDEST] = newer


@compiled
def link_as_newest(accounts: Any, ends: NDArray[np.int64], slot: int) -> None:
    """Put a slot that is not in the list at its new end."""
    newest = ends[NEWEST]
    accounts[slot]["newer"] = -1
    accounts[slot]["older"] = newest
    if newest >= 0:
        accounts[newest]["newer"] = slot
    else:
        ends[OLDEST] = slot
    ends[NEWEST] = slot


@compiled
def use(accounts: Any, ends: NDArray[np.int64], slot: int) -> None:
    """Make a slot of the list the newest."""
    if ends[NEWEST] != slot:
        unlink(accounts, ends, slot)
        link_as_newest(accounts, ends, slot)
