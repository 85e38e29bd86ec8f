"""What is in force, by the records of the control topic."""

from features.events import Marker
from streams.control import control_message, in_force
from streams.log import LogRecord


def marker(number: int, kind: str, value: str) -> Marker:
    return Marker(event_id=f"m{number}", time_ms=number, marker=kind, value=value, reason="why")


def records(*markers: Marker) -> list[LogRecord]:
    return [LogRecord(one.time_ms, control_message(one, "control").value, one.marker.encode()) for one in markers]


def test_the_newest_of_each_name_is_in_force() -> None:
    opened, model, closed = marker(1, "breaker", "step_up"), marker(2, "model", "ab"), marker(3, "breaker", "closed")
    assert in_force(records(opened, model)) == {"breaker": opened, "model": model}
    assert in_force(records(opened, model, closed)) == {"breaker": closed, "model": model}


def test_what_is_no_marker_changes_nothing() -> None:
    opened = marker(1, "breaker", "step_up")
    others = [LogRecord(2, b"{}", b"breaker"), LogRecord(3, None, b"breaker"), LogRecord(4, b"\xff", b"breaker")]
    assert in_force(records(opened) + others) == {"breaker": opened}
