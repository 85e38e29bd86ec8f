"""Both extremes of a thread in the background, without one: everything at once, or nothing before it must be."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any


class AtOnce(Executor):
    """Does what is submitted before it returns."""

    def submit(self, task: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """See `Executor`."""
        future: Future[Any] = Future()
        _do(future, lambda: task(*arguments, **named))
        return future


class AsLateAsPossible(Executor):
    """Does what is submitted when somebody asks for what came of it."""

    def submit(self, task: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """See `Executor`."""
        return _LateFuture(lambda: task(*arguments, **named))


class _LateFuture(Future[Any]):
    def __init__(self, task: Callable[[], Any]) -> None:
        super().__init__()
        self._task: Callable[[], Any] | None = task

    def result(self, timeout: float | None = None) -> Any:
        self._do_it()
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        self._do_it()
        return super().exception(timeout)

    def _do_it(self) -> None:
        if self._task is not None:
            task, self._task = self._task, None
            _do(self, task)


def _do(future: Future[Any], task: Callable[[], Any]) -> None:
    try:
        future.set_result(task())
    except BaseException as error:
        future.set_exception(error)
