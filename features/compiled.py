"""The one place that compiles kernels to machine code, with a type that mypy understands.

Machine code is kept in the user's cache, in a directory named by a hash of every source that kernels are made from:
the files with kernels, and whatever these import. numba itself looks only at the file of the function that it caches:
after a change in a file that the function calls into, it would go on running the old code.
"""

import hashlib
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import numba

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


_ROOT = Path(__file__).resolve().parents[1]
_IMPORT = re.compile(r"^\s*from (features|models)(?:\.(\w+))? import ([^\n(]*)", re.MULTILINE)


def kernel_sources(root: Path = _ROOT) -> list[Path]:
    """Files of `features/` and `models/` that hold kernels, and those that they import, directly or not."""
    files = [*(root / "features").glob("*.py"), *(root / "models").glob("*.py")]
    waiting = [path for path in files if "\n@compiled\n" in path.read_text(encoding="utf-8")]
    found: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path in found or not path.exists():
            continue
        found.add(path)
        for package, module, names in _IMPORT.findall(path.read_text(encoding="utf-8")):
            modules = [module] if module else [name.split(" as ")[0].strip() for name in names.split(",")]
            waiting += [root / package / f"{name}.py" for name in modules]
    return sorted(found)


def _cache_directory() -> Path | None:
    """Where machine code is kept; None if there is no place to write."""
    digest = hashlib.sha256(f"{numba.__version__} {sys.version}".encode())
    for source in kernel_sources():
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
    result: Callable[Parameters, Result] = numba.njit(
        cache=_CACHE_DIRECTORY is not None, nogil=True, error_model="numpy"
    )(function)
    return result
