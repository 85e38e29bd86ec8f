"""Asks the processor to bring memory nearer before it is needed: the accounts of a batch lie anywhere in memory.

It changes no value, and an address that does not exist does no harm.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from features.compiled import compiled

_ACCOUNTS_AHEAD = 8
_HISTORIES_AHEAD = 2
_MOST_EVENTS = 48
"""How many of a history's newest events; the processor sees by itself where a longer read is going."""
_TO_READ, _TO_KEEP, _DATA = 0, 3, 1


@intrinsic  # type: ignore[untyped-decorator]
def _prefetch(typing_context: Any, array: Any, place: Any) -> Any:  # noqa: ARG001 (numba calls it)
    """Begin to load the cache line in which element `place` of a one-dimensional array begins."""
    signature = types.void(array, types.intp)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.bitcast(builder.gep(data, [arguments[1]]), cgutils.voidptr_t)
        integer = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, integer, integer, integer])
        function = builder.module.declare_intrinsic("llvm.prefetch", [cgutils.voidptr_t], kind)
        builder.call(function, [address, integer(_TO_READ), integer(_TO_KEEP), integer(_DATA)])
        return context.get_dummy_value()

    return signature, generate


@compiled
def prefetch_ahead(accounts: Any, pool: Any, slots: NDArray[np.int64], row: int) -> None:
    """While `row` is worked on, begin to load the account and the history of rows that come soon."""
    if row + _ACCOUNTS_AHEAD < len(slots):
        _prefetch(accounts, slots[row + _ACCOUNTS_AHEAD])
    if row + _HISTORIES_AHEAD < len(slots):
        account = accounts[slots[row + _HISTORIES_AHEAD]]
        end = account["start"] + account["count"]
        for place in range(end - min(account["count"], _MOST_EVENTS), end + 1):
            _prefetch(pool, place)
