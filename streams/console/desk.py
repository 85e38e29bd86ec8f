"""What a page needs to look back or to act: the log, a time machine, readers; each lane of work has its own.

The time machine rebuilds the state before a record, so what a page tells of an event is what the engine did.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from features.decode import decode
from features.errors import AssayError, InvalidRecord
from features.events import Event, Marker
from streams.account_at import ShownAccount, account_at
from streams.account_place import search_order
from streams.commands.looking_back import LookingBack, looking_back_with
from streams.config import Config
from streams.console.jobs import Report
from streams.explain import Explanation, Witnessed, explain, witness
from streams.explain_find import Found, find_event
from streams.explain_published import Compared, compared
from streams.kafka_clients import connection
from streams.log_range import resolve
from streams.topic_reader import TopicReader


class Explained(NamedTuple):
    """One record from left to right.

    Attributes:
        seen: folded under observation.
        told: what became of it.
        published: beside what was published; None if it was not judged.
    """

    seen: Witnessed
    told: Explanation
    published: Compared | None


class Desk:
    """Looks back, one question at a time; opened when it is first asked. Use each from one thread only.

    Args:
        config: settings in force.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._stack = ExitStack()
        self._tools: LookingBack | None = None

    @property
    def tools(self) -> LookingBack:
        """The log, the time machine, a reader.

        Raises:
            AssayError: a setting is wrong, no broker, or a model cannot be opened.
        """
        if self._tools is None:
            self._tools = self._stack.enter_context(looking_back_with(self._config))
        return self._tools

    def topic(self, name: str) -> str:
        """Full name of a topic."""
        return f"{self._config.text('topics.prefix')}{name}"

    @contextmanager
    def own_reader(self) -> Iterator[TopicReader]:
        """A reader beside the others."""
        with TopicReader(connection(self._config)) as reader:
            yield reader

    def explained(self, partition: int, offset: int, report: Report) -> Explained:
        """What became of the record at a place.

        Raises:
            AssayError: see `streams.explain.witness`.
        """
        tools, folded = self.tools, 0

        def count(records: int) -> None:
            nonlocal folded
            folded += records
            report(folded, folded, offset)

        seen = witness(tools.machine, partition, offset, count)
        told = explain(seen)
        published = None
        if told.verdict is not None:
            published = compared(tools.reader, self.topic("verdicts"), partition, offset, bytes(told.verdict))
        return Explained(seen, told, published)

    def found(self, event_id: str, report: Report) -> list[Found]:
        """Every record of the whole log with this event id.

        Raises:
            AssayError: see `streams.explain_find.find_event`.
        """
        history = self.tools.history
        return find_event(history, event_id, resolve(history, [], None, None), report)

    def account_of(self, partition: int, offset: int) -> str:
        """The account that the record at a place names.

        Raises:
            AssayError: there is no such record, or it names none.
        """
        event = self._event(partition, offset)
        if isinstance(event, InvalidRecord | Marker):
            raise AssayError(f"{partition}:{offset}: expected an event of an account, this record names none")
        return event.account_id

    def account(self, account_id: str, partition: int | None, report: Report) -> ShownAccount:
        """An account as of the end of the log; None searches its partition.

        Raises:
            AssayError: it has no past, or it cannot be rebuilt.
        """
        tools = self.tools
        there = tools.history.partitions()
        for number in [partition] if partition is not None else search_order(account_id, there, len(there)):
            end = tools.history.bounds(number).high
            shown = account_at(tools.machine, account_id, number, end, lambda done, whole: report(done, done, whole))
            if shown is not None:
                return shown
        raise AssayError("this account has no past in the log: check its id")

    def close(self) -> None:
        """Let go of connections."""
        self._stack.close()
        self._tools = None

    def _event(self, partition: int, offset: int) -> Event | InvalidRecord:
        history = self.tools.history
        low, high = history.bounds(partition) if partition in history.partitions() else (0, 0)
        if not low <= offset < high:
            raise AssayError(f"{partition}:{offset} is not in the log")
        for records in history.read(partition, offset, offset + 1):
            return decode(records[0].value)
        raise AssayError(f"{partition}:{offset}: the log holds no record there (transactions leave gaps)")
