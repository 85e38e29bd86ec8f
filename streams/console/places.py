"""Places of a log as people and addresses of pages write them. Pure."""

import re
from typing import Final, NamedTuple

from features.errors import AssayError

_PLACE: Final = re.compile(r"([0-9]{1,9}):([0-9]{1,18})", re.ASCII)


class LogPlace(NamedTuple):
    """A record of a partition."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


def place_in(text: str) -> LogPlace | None:
    """A place ``partition:offset``; None if it is none.

    >>> place_in("0:17"), place_in("0:١٧"), place_in("17")
    (LogPlace(partition=0, offset=17), None, None)
    """
    found = _PLACE.fullmatch(text)
    return None if found is None else LogPlace(int(found[1]), int(found[2]))


def wanted_place(text: str) -> LogPlace:
    """A place ``partition:offset``.

    Raises:
        AssayError: it is none.
    """
    place = place_in(text)
    if place is None:
        raise AssayError("expected a place as PARTITION:OFFSET")
    return place
