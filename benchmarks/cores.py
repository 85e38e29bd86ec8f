"""Which core does what: the client under test has the first, the broker and everything else the last."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


def first_core() -> int:
    """The core of whatever is measured."""
    return min(os.sched_getaffinity(0))


def last_core() -> int:
    """The core of everything around it; the same one on a machine with a single core."""
    return max(os.sched_getaffinity(0))


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Keep the calling thread, and what it starts, on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
