"""The `assay` script within the test's process: arguments and standard input in; code, output and errors out."""

import io
import logging
import sys
from typing import NamedTuple
from unittest.mock import patch

from streams.cli import main


class Finished(NamedTuple):
    """What a command left."""

    code: int
    output: bytes
    errors: str


def assay(*arguments: object, standard_input: bytes = b"") -> Finished:
    """Run the entry point of the script; an exception that it does not catch is the test's."""
    output, errors = io.BytesIO(), io.BytesIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()  # main() closes what it finds
    code = 0
    try:
        with (
            patch.object(sys, "argv", ["assay", *map(str, arguments)]),
            patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(standard_input))),
            patch.object(sys, "stdout", io.TextIOWrapper(output)) as standard_output,
            patch.object(sys, "stderr", io.TextIOWrapper(errors)) as standard_error,
        ):
            try:
                main()
            except SystemExit as left:
                code = left.code if isinstance(left.code, int) else 1
            standard_output.flush()
            standard_error.flush()
            return Finished(code, output.getvalue(), errors.getvalue().decode())
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


def fails_with(finished: Finished, *words: str) -> None:
    """It failed as a fault outside has to: one clear line with these words, code 1, no traceback, nothing printed."""
    assert finished.code == 1, finished
    lines = finished.errors.splitlines()
    assert len(lines) == 1, finished.errors
    assert lines[0].startswith("assay: ")
    for word in words:
        assert word in lines[0], finished.errors
    assert finished.output == b""
