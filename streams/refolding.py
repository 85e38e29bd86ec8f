"""Folds what was published before while the next batch is already being read and decoded.

After a crash a worker folds the records between its stored state and what is committed once more, and publishes
nothing. So nothing has to wait until such a batch is folded: one thread folds it, and the kernels, which do not hold
the interpreter's lock, run beside the consumer and the decoder. There is never more than one batch behind. What is
published is not folded here, and nothing but this thread touches the partition until `settle` or `wait` returns.
"""

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from typing import NamedTuple

from streams.intake import Trust
from streams.log import LogRecord, Output
from streams.partition import Partition


class _Folding(NamedTuple):
    partition: int
    output: Future[Output]


class Refolding:
    """The batch that is being folded in the background, if there is one.

    Args:
        background: one thread; tests give one without threads.
        trusted: whether a record of an internal kind may be believed.
    """

    def __init__(self, background: Executor, trusted: Trust) -> None:
        self._background = background
        self._trusted = trusted
        self._folding: _Folding | None = None

    def fold(self, partition: Partition, records: Sequence[LogRecord]) -> None:
        """Fold records of a partition without publishing; returns when they are decoded and those before are folded.

        Raises:
            AssayError: the batch before, or this one: see `Partition.fold`.
            UnprocessableError: likewise.
        """
        if records[0].offset < partition.careful_until:
            self.settle()
            partition.fold(records, self._trusted, publishing=False)
            return
        batch = partition.decode(records, self._trusted)
        self.settle()
        future = self._background.submit(partition.fold_decoded, batch, publishing=False)
        self._folding = _Folding(partition.engine.partition, future)

    def settle(self) -> None:
        """Wait until everything is folded.

        Raises:
            AssayError: it could not be: see `Partition.fold`.
            UnprocessableError: likewise.
        """
        folding, self._folding = self._folding, None
        if folding is not None:
            folding.output.result()

    def wait(self) -> int | None:
        """Wait until nothing is being folded; what went wrong is raised by the next `settle`.

        Returns:
            Number of the partition where it went wrong, None if nowhere: it may be half done and must not be stored.
        """
        folding = self._folding
        return None if folding is None or folding.output.exception() is None else folding.partition
