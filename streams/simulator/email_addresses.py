"""E-mail addresses as producers send them: a hash in place of the name, and the domain.

Most people are with a few large providers, many with small ones. An address for one purchase is often with one of the
services that hand out such: thieves use them, and people who do not want to be written to.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.simulator.identifiers import DOMAIN, EMAIL, names, scrambled

_LARGE = ("gmail.example", "outlook.example", "icloud.example", "gmx.example", "web.example", "orange.example")
_LARGE_SHARE = (0.42, 0.2, 0.12, 0.08, 0.05, 0.03)
_SMALL = 200
_THROWAWAY = tuple(f"{name}.example" for name in ("tenminutes", "dropmail", "onetime", "trashbox", "quickinbox"))
_THROWAWAY_SHARE = 0.5


def email_addresses(codes: NDArray[np.signedinteger[Any]], accounts: int, seed: int) -> list[str | None]:
    """An address for each code; None where it is negative.

    Args:
        codes: int[n]; below `accounts` the usual address of an account, above it anybody's other one.
        accounts: how many there are.
        seed: of the scenario.

    >>> usual, none, other = email_addresses(np.array([2, -1, 1_000_000]), 500, seed=1)
    >>> usual.partition("@")[1:], none
    (('@', 'gmail.example'), None)
    """
    draw = scrambled(np.maximum(codes, 0), DOMAIN, seed)
    share = (draw >> np.uint64(11)) / np.float64(1 << 53)
    is_throwaway = (codes >= accounts) & (share < _THROWAWAY_SHARE)
    large = np.searchsorted(np.cumsum(_LARGE_SHARE), share, side="right")
    among = (draw % np.uint64(_SMALL)).astype(np.int64)
    domains = [
        _THROWAWAY[small % len(_THROWAWAY)]
        if throwaway
        else _LARGE[provider]
        if provider < len(_LARGE)
        else f"mail{small}.example"
        for throwaway, provider, small in zip(is_throwaway.tolist(), large.tolist(), among.tolist(), strict=True)
    ]
    hashes = names(codes, EMAIL, "", seed)
    return [None if name is None else f"{name}@{domain}" for name, domain in zip(hashes, domains, strict=True)]
