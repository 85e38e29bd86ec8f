"""Where a fold finds profiles of entities: what the log says is visible, or what it works out by itself.

A log that went through the warm path says by `entities` markers up to which offset of the entities topic profiles are
visible from there on. A log that did not, such as a file of events, has no such markers: there the same fold that the
warm path hosts (`features/entity_fold.py`) runs beside the engine, and a profile is visible right after the record that
closed the flush which made it.
"""

from typing import Protocol

from features.entity_table import EntityTable, Versions
from features.errors import AssayError


class Profiles(Protocol):
    """Profiles as the entities topic has them."""

    @property
    def versions(self) -> Versions:
        """The table as kernels see it; it may be another one after each reading."""
        ...

    def read_until(self, offset: int, seen_from: int) -> None:
        """See to it that the profile at `offset` and all before it are there; waits for them, within bounds.

        Args:
            offset: of the entities topic.
            seen_from: the lowest offset that is visible where this is asked for: versions that matter there are there.

        Raises:
            AssayError: they do not come, or cannot be read.
        """
        ...


class NoProfiles:
    """There is nothing to read: a log that asks for profiles cannot be folded.

    >>> NoProfiles().read_until(7, -1)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    features.errors.AssayError: the log asks for profiles of entities up to offset 7, ...
    """

    def __init__(self) -> None:
        self._table = EntityTable()

    @property
    def versions(self) -> Versions:
        """An empty table."""
        return self._table.versions

    def read_until(self, offset: int, _seen_from: int) -> None:
        """See `Profiles`."""
        raise AssayError(
            f"the log asks for profiles of entities up to offset {offset}, and there is no entities topic to read them "
            "from: work on the topics themselves, or let `assay score` work them out from the log alone"
        )
