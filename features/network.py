"""The network of an IP address: what neighbours behind one provider, office or rented machine have in common.

Of an IPv4 address it is the 256 addresses that share its first three numbers, of an IPv6 address the /48 of its site
(RFC 6177). A pseudonym in place of an address has none. The network is a number, so that the kernels need no text.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled

NO_NETWORK: Final = 0
_OF_IPV4: Final = np.uint64(1 << 24)
_OF_IPV6: Final = np.uint64(1 << 31)
_SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)
_GROUP_BITS: Final = np.uint64(16)
_GROUPS: Final = 8
_MAPPED: Final = np.uint64(0xFFFF)
_DOT, _COLON, _ZERO = (np.uint8(ord(sign)) for sign in ".:0")
_HEX = np.full(256, 16, dtype=np.uint64)
_HEX[[ord(sign) for sign in "0123456789abcdef"]] = np.arange(16)
_HEX[[ord(sign) for sign in "ABCDEF"]] = np.arange(10, 16)
_NOT_HEX: Final = np.uint64(16)
_ZERO_64, _ONE_64, _BYTE, _FOUR = np.uint64(0), np.uint64(1), np.uint64(8), np.uint64(4)
_INVALID: Final = np.uint64(1 << 63)


@compiled
def _ipv4(data: NDArray[np.uint8], start: int, end: int) -> Any:
    """uint64: the 32 bits of an address in dotted form, `_INVALID` if it is none."""
    address, part, digits, parts = _ZERO_64, _ZERO_64, 0, 0
    for place in range(start, end + 1):
        if place == end or data[place] == _DOT:
            if digits == 0 or part > np.uint64(255) or parts == 4:
                return _INVALID
            address = address << _BYTE | part
            part, digits, parts = _ZERO_64, 0, parts + 1
        else:
            digit = _HEX[data[place]]
            if digit > np.uint64(9) or digits == 3 or (digits > 0 and part == _ZERO_64):  # no zero leads
                return _INVALID
            part, digits = part * np.uint64(10) + digit, digits + 1
    return address if parts == 4 else _INVALID


@compiled
def _ipv6_network(data: NDArray[np.uint8], start: int, end: int) -> Any:
    """uint64: network of an address with colons (RFC 4291, 2.2), 0 if it is none."""
    # groups before and behind `::`, each shifted in from the right
    before_high = before_low = behind_high = behind_low = _ZERO_64
    before = behind = 0
    gap = False
    place = start
    if place + 1 < end and data[place] == _COLON and data[place + 1] == _COLON:
        gap, place = True, place + 2
    while place < end:
        stop = place
        is_dotted = False
        while stop < end and data[stop] != _COLON:
            is_dotted |= data[stop] == _DOT
            stop += 1
        value, bits = _ZERO_64, _GROUP_BITS
        if is_dotted:
            value, bits = _ipv4(data, place, stop), np.uint64(32)
            if value == _INVALID or stop < end:
                return _ZERO_64
        else:
            if not 1 <= stop - place <= 4:
                return _ZERO_64
            for sign in range(place, stop):
                if _HEX[data[sign]] == _NOT_HEX:
                    return _ZERO_64
                value = value << _FOUR | _HEX[data[sign]]
        groups = 2 if is_dotted else 1
        if gap:
            behind_high = behind_high << bits | behind_low >> (np.uint64(64) - bits)
            behind_low = behind_low << bits | value
            behind += groups
        else:
            before_high = before_high << bits | before_low >> (np.uint64(64) - bits)
            before_low = before_low << bits | value
            before += groups
        if before + behind > _GROUPS:
            return _ZERO_64
        if stop == end:
            break
        place = stop + 1
        if place == end:
            return _ZERO_64  # it ends with one colon
        if data[place] == _COLON:
            if gap:
                return _ZERO_64
            gap, place = True, place + 1
    if before + behind == _GROUPS if gap else before + behind != _GROUPS:
        return _ZERO_64
    for _ in range(_GROUPS - before):
        before_high = before_high << _GROUP_BITS | before_low >> np.uint64(48)
        before_low <<= _GROUP_BITS
    high, low = before_high | behind_high, before_low | behind_low
    if high == _ZERO_64 and low >> np.uint64(32) == _MAPPED:
        return _OF_IPV4 | low >> _BYTE & np.uint64(0xFFFFFF)
    site = high >> _GROUP_BITS
    return _OF_IPV6 | (site ^ site >> np.uint64(23)) * _SPREAD >> np.uint64(33)


@compiled
def network_at(data: NDArray[np.uint8], start: int, length: int) -> Any:
    """uint64 below 2^32: network of the address that a stretch of text is; 0 if it is no address.

    Args:
        data: uint8[m], ASCII or UTF-8.
        start: where the text begins.
        length: in bytes.
    """
    end = start + length
    for place in range(start, end):
        if data[place] == _COLON:
            return _ipv6_network(data, start, end)
    address = _ipv4(data, start, end)
    return _ZERO_64 if address == _INVALID else _OF_IPV4 | address >> _BYTE


def network_of(address: str) -> int:
    """Network of an address; 0 if it is none.

    >>> network_of("203.0.113.7") == network_of("203.0.113.250") == network_of("::ffff:203.0.113.9")
    True
    >>> network_of("2001:db8:1::7") == network_of("2001:db8:1:ffff::1") != network_of("2001:db8:2::7")
    True
    >>> network_of("9f86d081884c7d65"), network_of("203.0.113.300")
    (0, 0)
    """
    text = address.encode()
    return int(network_at(np.frombuffer(text, dtype=np.uint8), 0, len(text)))
