"""Card numbers have no business here: what looks like one, what is stored in its place, what a message may say.

A look-alike is 13 to 19 ASCII digits that pass the Luhn check (ISO/IEC 7812-1), with spaces or dashes anywhere
between them. What other identifiers produce by chance is left alone: digits inside a hexadecimal hash or a UUID,
unbroken runs of more than 19 digits, and telephone numbers that start with ``+``.
"""

import hmac
import re
from itertools import accumulate
from typing import Final

DIGITS_AND_SEPARATORS: Final = "0123456789 -\t"
"""Every character that a card number may be written with here."""

_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)  # the digit sum of twice each digit
_may_hold_a_run = re.compile(r"[0-9 \t-]{13}").search
_MARKED: Final = bytes(ord("0" if chr(at) in DIGITS_AND_SEPARATORS else "~") for at in range(256))
_MARKED_RUN: Final = b"0" * 13
_runs = re.compile(r"[0-9](?:[ \t-]*[0-9]){12,}").finditer
_groups = re.compile(r"[0-9]+").findall
_without_uuids = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE).sub
# Whole words of 16, 20, 24 ... hexadecimal digits with at least one letter among them.
_without_hashes = re.compile(
    r"(?<![0-9a-z])(?=[0-9]*[a-f])(?:[0-9a-f]{4}){4,}(?![0-9a-z])", re.IGNORECASE | re.ASCII
).sub

# Members that hold long numbers by contract; a value longer than the contract allows is not among them.
_without_long_numbers = re.compile(
    r'"(?:event_id|account_id|merchant_id|beneficiary_id|judged_event_id|time_ms|known_at_ms)"\s*:\s*'
    r'(?:"[^"\\]{0,64}"|-?[0-9]+)'
).sub
_unescape = re.compile(r"\\u([0-9a-fA-F]{4})").sub
_decimals = re.compile(r"(?<![0-9.])-?[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?(?![0-9.])").sub
_MAX_SCANNED_BYTES: Final = 1 << 20
_TIMESTAMP_LENGTHS: Final = (13, 16, 19)  # milliseconds, microseconds, nanoseconds since 1970, until 2033

_e_mails = re.compile(r"(?<![^\s@\"'<>])[^\s@\"'<>]+@[^\s\"'<>]+").sub
_long_numbers = re.compile(r"[0-9](?:[ \t-]*[0-9]){6,}").sub


def looks_like_card_number(text: str) -> bool:
    """Whether `text` holds something that looks like a card number.

    >>> looks_like_card_number("4111 1111-1111 1111"), looks_like_card_number("tok_9f8e7d6c5b4a3210")
    (True, False)
    """
    if not may_hold_card_number(text):
        return False
    # In bytes, because translating and searching those takes a third of what a regular expression does.
    return text.encode("utf-8", "replace").translate(_MARKED).find(_MARKED_RUN) >= 0 and _card_number_in(text)


def may_hold_card_number(text: str) -> bool:
    """The fast negative, right for most tokens: False when `text` cannot hold a card number.

    In up to 25 characters, every 13 in a row include those in the middle; for more the answer is True.
    """
    return len(text) > 12 and not text[len(text) - 13 : 13].lstrip(DIGITS_AND_SEPARATORS)


def record_holds_card_number(raw: bytes) -> bool:
    """Whether a refused record holds something that looks like a card number; works on any bytes, in linear time.

    Looks at everything, JSON or not, member names included, but for the members that hold long numbers by contract
    (`event_id`, `account_id`, `merchant_id`, `beneficiary_id`, `judged_event_id` and times), decimal fractions, and
    numbers that are plausible times since 1970. When in doubt the answer is yes: a record redacted needlessly can
    be sent again, a card number stored cannot be taken back. So it is, unread, for more than 1 MiB.
    """
    if len(raw) > _MAX_SCANNED_BYTES:
        return True
    text = raw.replace(b"\0", b"").decode("utf-8", "replace")
    if "\\" in text:
        text = _unescape(lambda match: chr(int(match[1], 16)), text)
        text = text.replace("\\t", " ").replace("\\n", " ").replace("\\r", " ")
    text = _without_long_numbers("~", text)
    return _may_hold_a_run(text) is not None and _card_number_in(_decimals("~", text), spare_timestamps=True)


def _card_number_in(text: str, spare_timestamps: bool = False) -> bool:
    """Whether some whole groups of digits in a row, with separators between them, look like a card number."""
    text = _without_hashes("~", _without_uuids("~", text))
    for run in _runs(text):
        groups = _groups(run[0])
        if len(groups) == 1 and len(groups[0]) > 19:
            continue
        digits = [int(digit) for digit in "".join(groups)]
        # Luhn totals of every prefix, doubling every second digit in either phase: any slice is one subtraction.
        totals = [
            list(accumulate((_DOUBLED[d] if at % 2 == phase else d for at, d in enumerate(digits)), initial=0))
            for phase in (0, 1)
        ]
        starts = list(accumulate(map(len, groups), initial=0))
        is_telephone = text[run.start() - 1 : run.start()] == "+"
        for at in range(1 if is_telephone else 0, len(groups)):
            start = starts[at]
            for end in starts[at + 1 : at + 20]:
                length = end - start
                if length > 19:
                    break
                if length < 13 or (spare_timestamps and digits[start] == 1 and length in _TIMESTAMP_LENGTHS):
                    continue
                prefix_totals = totals[end % 2]  # the last digit is not doubled, the one before it is
                if (prefix_totals[end] - prefix_totals[start]) % 10 == 0:
                    return True
    return False


def redacted(raw: bytes, key: bytes | None = None) -> bytes:
    """What is stored in place of a record that holds a card number: its length and, with a `key`, its HMAC-SHA256.

    The keyed hash lets an operator recognise a repetition without the record; a hash without a key would let anyone
    try all card numbers (PCI DSS 4.0.1, 3.5.1.1), so without a key there is none.

    >>> redacted(b"4111111111111111")
    b'[redacted 16 bytes]'
    """
    if not key:
        return b"[redacted %d bytes]" % len(raw)
    return b"[redacted %d bytes, hmac-sha256 %s]" % (len(raw), hmac.digest(key, raw, "sha256").hex().encode())


def mask(text: str) -> str:
    """`text` for a message: runs of 7 or more digits and everything like an e-mail address are replaced.

    >>> mask("card 4111 1111 1111 1111 of jo@example.org, 12 times")
    'card [16 digits] of [e-mail] 12 times'
    """
    if "@" in text:
        text = _e_mails("[e-mail]", text)
    return _long_numbers(lambda match: f"[{sum(map(str.isdecimal, match[0]))} digits]", text)
