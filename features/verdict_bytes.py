"""The bytes of a batch's verdicts in one compiled call: what `features.records.encode` writes, verdict by verdict.

What does not change from verdict to verdict is cut out of one that `encode` wrote, so the order of the fields and
their names stand in `features/records.py` alone.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled
from features.keys import Texts, texts_of
from features.records import Coordinates, Reason, Verdict, encode
from features.words import SLACK_BYTES, put_word, uncounted, word_at

NO_NUMBER: Final = -1
"""Value of a score in millionths, or of an expected loss, where there is none."""
_MILLION = 1_000_000
_MOST_DIGITS = 20
_ROOM = 7 * _MOST_DIGITS
"""More than all numbers of a verdict take."""
_ZERO = np.uint8(ord("0"))
_SLACK: Final = bytes(SLACK_BYTES)
_NULL = np.frombuffer(b"null" + _SLACK, dtype=np.uint8)
_NULL_LENGTH = 4

# Pieces of a template, in the order of the bytes; then one for each decision, then one for each set of flags.
_PIECES: Final = 11
_PIECE_OF_DECISION: Final = _PIECES


def stretches(texts: Texts, rows: NDArray[np.intp]) -> Texts:
    """Some of the texts, in that order."""
    return Texts(texts.data, texts.start[rows], texts.length[rows])


class Numbers(NamedTuple):
    """Numbers of each verdict."""

    time_ms: NDArray[np.int64]
    offset: NDArray[np.int64]
    entities_offset: NDArray[np.int64]
    decision: NDArray[np.uint8]
    """Place among the decisions of the template."""
    score_micro: NDArray[np.int64]
    """Millionths, `NO_NUMBER` where there is none."""
    anomaly_micro: NDArray[np.int64]
    """Millionths, `NO_NUMBER` where there is none."""
    expected_loss_minor: NDArray[np.int64]
    """0 or more, `NO_NUMBER` where there is none."""
    flags: NDArray[np.uint8]
    """Place among the sets of flags of the template."""


@lru_cache(maxsize=64)
def template(
    partition: int, model: str, policy: str, decisions: tuple[str, ...], flags: tuple[tuple[str, ...], ...]
) -> Texts:
    """What all verdicts of a partition have in common while model and policy are in force.

    Args:
        partition: of the events.
        model: as verdicts name it.
        policy: as verdicts name it.
        decisions: in the order of their numbers.
        flags: sets of flags, in the order of their numbers.
    """
    written = encode(
        Verdict(
            event_id="@1",
            account_id="@2",
            time_ms=-1001,
            decision="@3",
            score=-0.25,
            anomaly=-0.75,
            expected_loss_minor=-1002,
            reasons=[cast(Reason, "@4")],
            model=model,
            policy=policy,
            at=Coordinates(partition, -1003, -1004),
            flags=["@5"],
        )
    )
    gaps = (b"@1", b"@2", b"-1001", b"@3", b"-0.25", b"-0.75", b"-1002", b'["@4"]', b"-1003", b"-1004", b'["@5"]')
    pieces = re.split(b"|".join(map(re.escape, gaps)), written)
    assert len(pieces) == _PIECES + 1, written
    sets = [encode(cast(Any, list(names))) for names in flags]
    parts = [*pieces[:-1], *(name.encode() for name in decisions), *(each + pieces[-1] for each in sets)]
    return texts_of(parts, _SLACK)


def verdict_bytes(
    common: Texts, decisions: int, event_ids: Texts, account_ids: Texts, reasons: Sequence[bytes], numbers: Numbers
) -> list[bytes]:
    """Each verdict as `encode` would write it.

    Args:
        common: from `template`.
        decisions: how many it has.
        event_ids: n of them.
        account_ids: n of them.
        reasons: JSON of each verdict's list of reasons; n of them.
        numbers: n of each.
    """
    rows = len(numbers.time_ms)
    reason_texts = texts_of(reasons, _SLACK)
    room = sum(int(texts.length.sum()) for texts in (event_ids, account_ids, reason_texts))
    room += rows * (int(common.length.max(initial=0)) * 2 + int(common.length[:_PIECES].sum()) + _ROOM)
    out = np.empty(room, dtype=np.uint8)
    ends = np.empty(rows + 1, dtype=np.int64)
    _write(common, decisions, event_ids, account_ids, reason_texts, numbers, out, ends)
    text = out[: ends[-1]].tobytes()
    bounds = ends.tolist()
    return [text[start:end] for start, end in pairwise(bounds)]


@compiled
def _copy(out: NDArray[np.uint8], place: int, data: NDArray[np.uint8], start: int, length: int) -> int:
    """Copies eight bytes at a time, so up to seven too many, which what comes next overwrites."""
    for at in range(0, length, 8):
        put_word(out, place + at, word_at(data, start + at))
    return place + length


@compiled
def _put_text(out: NDArray[np.uint8], place: int, texts: Texts, number: int) -> int:
    return _copy(out, place, texts.data, texts.start[number], texts.length[number])


@compiled
def _put_whole(out: NDArray[np.uint8], place: int, number: int) -> int:
    if number < 0:
        out[place] = np.uint8(ord("-"))
        place += 1
        number = -number
    digits = 1
    rest = number // 10
    while rest > 0:
        digits += 1
        rest //= 10
    for at in range(place + digits - 1, place - 1, -1):
        out[at] = _ZERO + np.uint8(number % 10)
        number //= 10
    return place + digits


@compiled
def _put_loss(out: NDArray[np.uint8], place: int, loss_minor: int) -> int:
    if loss_minor < 0:
        return _copy(out, place, _NULL, 0, _NULL_LENGTH)
    return _put_whole(out, place, loss_minor)


@compiled
def _put_micro(out: NDArray[np.uint8], place: int, micro: int) -> int:
    """A number of millionths from 0 to 1000000 as the shortest decimal text that gives the same float64."""
    if micro < 0:
        return _copy(out, place, _NULL, 0, _NULL_LENGTH)
    if 0 < micro < 10:  # one digit at 10^-6: the encoder changes to an exponent
        out[place] = _ZERO + np.uint8(micro)
        out[place + 1] = np.uint8(ord("e"))
        out[place + 2] = np.uint8(ord("-"))
        out[place + 3] = _ZERO + np.uint8(6)
        return place + 4
    out[place] = _ZERO + np.uint8(micro // _MILLION)
    out[place + 1] = np.uint8(ord("."))
    rest = micro % _MILLION
    place += 2
    unit = _MILLION // 10
    out[place] = _ZERO + np.uint8(rest // unit)
    place += 1
    rest %= unit
    while rest > 0:
        unit //= 10
        out[place] = _ZERO + np.uint8(rest // unit)
        place += 1
        rest %= unit
    return place


@compiled
def _uncounted(texts: Texts) -> Texts:
    return Texts(uncounted(texts.data), uncounted(texts.start), uncounted(texts.length))


@compiled
def _write(
    common: Texts,
    decisions: int,
    event_ids: Texts,
    account_ids: Texts,
    reasons: Texts,
    numbers: Numbers,
    out: NDArray[np.uint8],
    ends: NDArray[np.int64],
) -> None:
    out = uncounted(out)
    common, reasons = _uncounted(common), _uncounted(reasons)
    event_ids, account_ids = _uncounted(event_ids), _uncounted(account_ids)
    place = 0
    ends[0] = 0
    for row in range(len(numbers.time_ms)):
        place = _put_text(out, place, common, 0)
        place = _put_text(out, place, event_ids, row)
        place = _put_text(out, place, common, 1)
        place = _put_text(out, place, account_ids, row)
        place = _put_text(out, place, common, 2)
        place = _put_whole(out, place, numbers.time_ms[row])
        place = _put_text(out, place, common, 3)
        place = _put_text(out, place, common, _PIECE_OF_DECISION + numbers.decision[row])
        place = _put_text(out, place, common, 4)
        place = _put_micro(out, place, numbers.score_micro[row])
        place = _put_text(out, place, common, 5)
        place = _put_micro(out, place, numbers.anomaly_micro[row])
        place = _put_text(out, place, common, 6)
        place = _put_loss(out, place, numbers.expected_loss_minor[row])
        place = _put_text(out, place, common, 7)
        place = _put_text(out, place, reasons, row)
        place = _put_text(out, place, common, 8)
        place = _put_whole(out, place, numbers.offset[row])
        place = _put_text(out, place, common, 9)
        place = _put_whole(out, place, numbers.entities_offset[row])
        place = _put_text(out, place, common, 10)
        place = _put_text(out, place, common, _PIECE_OF_DECISION + decisions + numbers.flags[row])
        ends[row + 1] = place
