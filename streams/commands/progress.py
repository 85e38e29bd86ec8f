"""Progress of long work: a bar on standard error when that is a terminal, silence otherwise."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def records_progress(what: str) -> Iterator[Callable[[int, int, int | None], None]]:
    """A bar over bytes with records and records/s beside it; yields ``progress(records, bytes, all_bytes)``."""
    if not sys.stderr.isatty():
        yield lambda _records, _bytes, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[records]:,} records, {task.fields[rate]:,.0f}/s"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None, records=0, rate=0.0)

        def update(records: int, read_bytes: int, total_bytes: int | None) -> None:
            elapsed = bar.tasks[0].elapsed or 0.0
            bar.update(
                task,
                total=total_bytes,
                completed=read_bytes,
                records=records,
                rate=records / elapsed if elapsed > 0 else 0.0,
            )

        yield update


@contextmanager
def amount_progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar with the time left; yields ``progress(done, all)`` in any unit."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
