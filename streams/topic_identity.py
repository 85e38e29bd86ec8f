"""Which log a state belongs to: the id that Kafka gave its topic, kept inside the state.

A topic that is deleted and made anew keeps its name and its offsets begin at 0 again: only its id tells a state of the
former one from a state of this one. It is written into a store before anything is folded into it, and goes with every
copy: checkpoint, snapshot, restored state.
"""

from features.errors import AssayError
from features.store import StateStore
from streams.fold_state import stored_state

NOT_A_TOPIC = ""
"""The id of a log that is no topic of Kafka: a file, standard input, an archive.

It is compared like any other: a worker goes on with no such state and takes no such snapshot, and what reads files goes
on with no state of a topic. One file is not told from another by it. A state that holds no id counts as such a one.
"""

_TOPIC_ID = "topic_id"


class OtherLogError(AssayError):
    """A state was made from another log than the one that it was to go on with."""


def topic_id_of(store: StateStore) -> str:
    """Id of the topic that a state was made from, `NOT_A_TOPIC` if it was none."""
    return (store.get_value(_TOPIC_ID) or b"").decode()


def topic_id_value(topic_id: str) -> dict[str, bytes]:
    """The id as a named value of a store, to be written with the state or before it.

    >>> topic_id_value("8k-athHsTQuB79KXk46wbw")
    {'topic_id': b'8k-athHsTQuB79KXk46wbw'}
    """
    return {_TOPIC_ID: topic_id.encode()}


def log_text(topic_id: str) -> str:
    """A log by its id, for people.

    >>> log_text("8k-athHsTQuB79KXk46wbw"), log_text(NOT_A_TOPIC)
    ('topic id 8k-athHsTQuB79KXk46wbw', 'no topic of Kafka')
    """
    return f"topic id {topic_id}" if topic_id else "no topic of Kafka"


def claim(store: StateStore, partition: int, topic_id: str, *, state: str, do: str) -> None:
    """See that a state goes on with the log that it was made from; one in which nothing was folded is given to it.

    Args:
        store: of the state, opened for writing.
        partition: its number.
        topic_id: of the log that is to be folded into it.
        state: where the state is, for messages.
        do: what to do if it is another's, for messages.

    Raises:
        OtherLogError: it was made from another log; it is left as it is.
        AssayError: another version wrote it, or it cannot be read or written.
    """
    found = topic_id_of(store)
    if found == topic_id:
        return
    if stored_state(store, partition) is not None:
        raise OtherLogError(
            f"{state} was made from another log: expected {log_text(topic_id)}, got {log_text(found)}. Offsets of the "
            f"one say nothing in the other; {do}"
        )
    store.write([], topic_id_value(topic_id))
