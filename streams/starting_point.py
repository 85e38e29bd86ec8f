"""Where a partition goes on after a start: numbers that have to fit together, or a refusal that says what to do."""

import logging

from features.errors import AssayError
from streams.history import Bounds

_log = logging.getLogger("assay.starting_point")


def starting_point(
    *, where: str, state: str, stored: int, committed: int | None, bounds: Bounds, accept_gap: bool = False
) -> tuple[int, int]:
    """From which offset to read, and from which on to publish.

    Args:
        where: topic and partition, for messages.
        state: where the stored state is, for messages.
        stored: its next offset, 0 if there is none.
        committed: what the group has committed, None if nothing.
        bounds: of the log.
        accept_gap: go on although the log dropped records that were never judged.

    Raises:
        AssayError: state, group and log do not fit together; guessing would give wrong verdicts.

    >>> starting_point(where="t[0]", state="the state", stored=5, committed=8, bounds=Bounds(0, 20))
    (5, 8)
    """
    low, high = bounds
    if committed is None:
        if stored > 0:
            raise AssayError(
                f"{where}: {state} stands at offset {stored}, but the group has committed nothing: "
                "set kafka.group to the group that this state belongs to, or move the state directory away"
            )
        return low, low
    if committed > high:
        raise AssayError(
            f"{where}: the group has committed {committed}, beyond the log (up to {high}): the topic was made anew "
            f"and its records would pass for published. Set another kafka.group, and move {state} away"
        )
    if stored > committed:
        raise AssayError(
            f"{where}: {state} stands at offset {stored}, beyond what is committed ({committed}): "
            "the group was made anew, or the state is another's; move the state directory away"
        )
    if stored < low and stored < committed:
        raise AssayError(
            f"{where}: {state} stands at offset {stored}, the log begins at {low} and {committed} is "
            "committed: the records between are gone and windows would be wrong. Restore a newer state "
            "(`assay state restore`, or set snapshots.url), rebuild it from an archive (`assay state rebuild "
            "--archive`), or set another kafka.group to begin anew where the log begins"
        )
    if committed < low:
        gap = f"{where}: the log begins at {low}, {committed} is committed: the records between were dropped unjudged"
        if not accept_gap:
            raise AssayError(
                f"{gap}. Judge them from an archive (`assay score`), lengthen the topic's retention, then set "
                "engine.accept_gap=true for one start to go on without them"
            )
        _log.warning("%s; going on without them, as engine.accept_gap says", gap)
    return max(stored, low), committed
