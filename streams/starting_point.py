"""Where a partition goes on after a start: numbers that have to fit together, or a refusal that says what to do."""

from pathlib import Path

from features.errors import AssayError


def starting_point(
    *, where: str, directory: Path, stored: int, committed: int | None, low: int, high: int
) -> tuple[int, int]:
    """From which offset to read, and from which on to publish.

    Args:
        where: topic and partition, for messages.
        directory: of the state, for messages.
        stored: next offset of the stored state, 0 if there is none.
        committed: what the group has committed, None if nothing.
        low: first offset that the log still has.
        high: offset after its last record.

    Raises:
        AssayError: state, group and log do not fit together; guessing would give wrong verdicts.

    >>> starting_point(where="t[0]", directory=Path("s"), stored=5, committed=8, low=0, high=20)
    (5, 8)
    """
    if committed is None:
        if stored > 0:
            raise AssayError(
                f"{where}: the state in {directory} stands at offset {stored}, but the group has committed nothing: "
                "set kafka.group to the group that this state belongs to, or move the state directory away"
            )
        return low, low
    if committed > high:
        raise AssayError(
            f"{where}: the group has committed {committed}, beyond the log (up to {high}): the topic was made anew "
            f"and its records would pass for published. Set another kafka.group, and move {directory} away"
        )
    if stored > committed:
        raise AssayError(
            f"{where}: the state in {directory} stands at offset {stored}, beyond what is committed ({committed}): "
            "the group was made anew, or the state is another's; move the state directory away"
        )
    if stored < low and stored < committed:
        raise AssayError(
            f"{where}: the state in {directory} stands at offset {stored}, the log begins at {low} and {committed} is "
            "committed: the records between are gone and windows would be wrong. Bring back a newer state directory, "
            "or set another kafka.group to begin anew where the log begins"
        )
    return max(stored, low), committed
