"""Lines of a replay into a file that appears complete or not at all, or into a stream.

A replay that was killed leaves ``NAME.partial`` and no NAME; run again, it begins anew and replaces both. Going on in
the middle would save little, because the state has to be folded again anyway.
"""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from features.errors import AssayError
from streams.event_files import STANDARD
from streams.log import LogRecord, Output
from streams.sinks import LineSink
from streams.verdict_diff import ChangedVerdict

_encode = msgspec.json.Encoder().encode


class WholeFile:
    """JSON lines; a file gets its name at the end of the block unless that ends with an exception.

    Args:
        path: ``-`` is standard output; that, a pipe or a device takes the lines as they come.

    Raises:
        AssayError: the file cannot be written (also by the methods).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_stream = path == STANDARD or (path.exists() and not path.is_file())
        self._written = path if self._is_stream else path.with_name(f"{path.name}.partial")
        self._lines = LineSink(self._written)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.close()
        if kind is None and not self._is_stream:
            try:
                self._written.replace(self._path)
            except OSError as failure:
                raise AssayError(f"{self._path}: expected a path for a file ({failure.strerror})") from None

    def add(self, lines: Sequence[bytes]) -> None:
        """Append lines."""
        self._lines.write(lines)


class VerdictFile(WholeFile):
    """The verdicts of a replay: `streams.replay.Out`."""

    def write(self, partition: int, records: Sequence[LogRecord], output: Output) -> None:  # noqa: ARG002
        """See `Out`; verdicts name their places themselves."""
        self.add([verdict.value for verdict in output.verdicts])


class ChangesFile(WholeFile):
    """Changed verdicts."""

    def take(self, changed: ChangedVerdict) -> None:
        """Append one."""
        self.add([_encode(changed)])
