"""Did the level of a measure change, without anyone saying when? ADWIN over one value a minute.

The detector is River's own class. It cannot be pickled, and its inside is not ours to store: what is kept is the
values since it began, bounded, and a restored detector is fed with them again. So the state is readable, survives a new
version of River, and a restored detector goes on as the one that was stored: a test compares them.

Source: A. Bifet, R. Gavaldà, "Learning from Time-Changing Data with Adaptive Windowing", SDM 2007.
"""

import math
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from river.drift import ADWIN

from features.errors import AssayError
from models.watch_limits import ChangeLimits


class Change(NamedTuple):
    """A change of level.

    Attributes:
        before: mean of the values before it.
        after: mean of the values since.
        minutes: how many values are since: how long it took to be noticed.
    """

    before: float
    after: float
    minutes: int


class _State(msgspec.Struct, forbid_unknown_fields=True):
    schema: Literal[1]
    values: list[float]


class ChangeDetector:
    """Watches one measure; give it one finite value a minute, in order.

    What has a daily course gives no stationary values: give it as a part of its seasonal centre instead. Values should
    be of the size of 1, for which ADWIN's bound is made. After a change the detector begins anew. At the most values of
    its limits the older half is forgotten.

    >>> detector = ChangeDetector(ChangeLimits())
    >>> changes = [detector.update(value) for value in [0.1, 0.2] * 200 + [0.4, 0.5] * 200]
    >>> [(round(change.before, 2), round(change.after, 2)) for change in changes if change]
    [(0.15, 0.45)]
    """

    def __init__(self, limits: ChangeLimits) -> None:
        self._limits = limits
        self._values: list[float] = []
        self._adwin = self._fresh()

    def update(self, value: float) -> Change | None:
        """Take the value of the next minute; returns the change, in the minute in which it is noticed."""
        assert math.isfinite(value), "leave a minute out that has no value"
        change = self._feed(value)
        if len(self._values) >= self._limits.most_values:
            newer, self._values, self._adwin = self._values[len(self._values) // 2 :], [], self._fresh()
            for kept in newer:
                self._feed(kept)
        return change

    def state(self) -> bytes:
        """The values since the detector began, as JSON."""
        return msgspec.json.encode(_State(1, self._values), order="sorted")

    @classmethod
    def restore(cls, limits: ChangeLimits, data: bytes) -> "ChangeDetector":
        """What `state` gave, under the same limits.

        Raises:
            AssayError: it is not one.
        """
        try:
            state = msgspec.json.decode(data, type=_State)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise AssayError(f"state of a change detector: {error}; remove it, the detector begins anew") from error
        detector = cls(limits)
        for value in state.values:
            detector._feed(value)
        return detector

    def _feed(self, value: float) -> Change | None:
        self._values.append(value)
        self._adwin.update(value)
        if not self._adwin.drift_detected:
            return None
        change = _split(np.array(self._values))
        self._values, self._adwin = [], self._fresh()  # River would do the same before the next value
        return change

    def _fresh(self) -> ADWIN:
        return ADWIN(delta=self._limits.delta, clock=1)


def _split(values: NDArray[np.float64]) -> Change:
    """Where the level changed, once ADWIN says that it did: the place with the clearest difference of means.

    ADWIN's own window goes on holding values from before the change, so its mean is not the level after it.
    """
    rows, sums = len(values), np.cumsum(values)
    before = np.arange(1, rows)
    mean_before, mean_after = sums[:-1] / before, (sums[-1] - sums[:-1]) / (rows - before)
    weight = np.sqrt(before * (rows - before) / rows)  # a difference counts in its own standard errors
    place = int(np.argmax(np.abs(mean_after - mean_before) * weight))
    return Change(float(mean_before[place]), float(mean_after[place]), rows - place - 1)
