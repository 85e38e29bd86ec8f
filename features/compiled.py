"""The one place that compiles kernels to machine code, with a type that mypy understands."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numba

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def compiled(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Compile `function` with numba on its first call; machine code is cached beside the source.

    IEEE semantics are kept (no fast math), so results are the same bits on every run. The lock of the interpreter
    is released while a kernel runs.
    """
    result: Callable[Parameters, Result] = numba.njit(cache=True, nogil=True)(function)
    return result
