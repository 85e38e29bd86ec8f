"""The batch that is being published while the next one is folded: never more than one."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from time import perf_counter
from typing import NamedTuple

from features.errors import AssayError
from streams.beside import Helper
from streams.log import Output
from streams.metrics import WorkerMetrics
from streams.publisher import AbortedError, Message, Publisher


class _Begun(NamedTuple):
    """A batch under way, and what is to be counted once it is published."""

    work: "Future[None]"
    outputs: Sequence[Output]


class Sending:
    """Publishes one batch after the other, and remembers if one could not be.

    Args:
        publisher: of the batches; used by nobody else.
        helper: carries it out.
        metrics: count what was published.

    Attributes:
        aborted_in_a_row: how many batches were not published since the last one that was.
    """

    def __init__(self, publisher: Publisher, helper: Helper, metrics: WorkerMetrics) -> None:
        self._publisher = publisher
        self._helper = helper
        self._metrics = metrics
        self._begun: _Begun | None = None
        self._failed: AbortedError | AssayError | None = None
        self.aborted_in_a_row = 0

    def begin(self, messages: Sequence[Message], offsets: Mapping[int, int], outputs: Sequence[Output]) -> None:
        """Begin to publish a batch; see `Publisher.publish`."""
        assert self._begun is None, "one batch at a time"
        assert self._failed is None, "what went wrong comes first"
        self._begun = _Begun(self._helper.begin(partial(self._publish, messages, offsets)), outputs)

    def settle(self) -> bool:
        """Wait for the batch under way; whether everything that was begun is committed.

        What went wrong is raised by `end`: this may be called where nothing may be raised.
        """
        begun, self._begun = self._begun, None
        if begun is not None:
            try:
                begun.work.result()
            except AbortedError as error:
                self._failed = error
                self.aborted_in_a_row += 1
            except AssayError as error:
                self._failed = error
            else:
                self.aborted_in_a_row = 0
                for output in begun.outputs:
                    self._metrics.count(output)
        return self._failed is None

    def end(self) -> None:
        """Wait for the batch under way.

        Raises:
            AbortedError: see `Publisher.publish`.
            AssayError: see `Publisher.publish`.
        """
        if not self.settle():
            failed = self._failed
            assert failed is not None
            if isinstance(failed, AbortedError):
                self._failed = None  # the caller goes back to the stored states; from anything else nobody goes on
            raise failed

    def close(self) -> None:
        """Wait for the batch under way, and let go of the publisher."""
        self.settle()
        self._helper.close()
        self._publisher.close()

    def _publish(self, messages: Sequence[Message], offsets: Mapping[int, int]) -> None:
        started_s = perf_counter()
        self._publisher.publish(messages, offsets)
        self._metrics.commit_seconds.observe(perf_counter() - started_s)
