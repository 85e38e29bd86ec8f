"""The one place that compiles kernels to machine code, with a type that mypy understands.

Machine code is kept in the user's cache, in a directory named by a hash of every source that kernels are made from.
numba itself looks only at the file of the function that it caches: after a change in a file that the function calls
into, it would go on running the old code.
"""

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import numba

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def _cache_directory() -> Path | None:
    """Where machine code is kept; None if there is no place to write."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256(f"{numba.__version__} {sys.version}".encode())
    for source in sorted([*(root / "features").glob("*.py"), *(root / "models").glob("*.py")]):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    home = os.environ.get("ASSAY_CACHE")
    try:
        base = Path(home) if home else Path.home() / ".cache" / "assay"
        directory = base / "kernels" / digest.hexdigest()[:16]
        directory.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # a read-only machine, or a user without a home: compile in each process
        return None
    return directory if os.access(directory, os.W_OK) else None


_CACHE_DIRECTORY = _cache_directory()
if _CACHE_DIRECTORY is not None:
    numba.config.CACHE_DIR = str(_CACHE_DIRECTORY)


def compiled(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Compile `function` with numba on its first call; machine code is cached (see above).

    IEEE semantics are kept (no fast math), so results are the same bits on every run. The lock of the interpreter
    is released while a kernel runs.
    """
    result: Callable[Parameters, Result] = numba.njit(cache=_CACHE_DIRECTORY is not None, nogil=True)(function)
    return result
