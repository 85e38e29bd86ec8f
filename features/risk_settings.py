"""What may be chosen about entity risk, and its defaults (decision record 0018)."""

import hashlib
import math
from dataclasses import asdict, dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.errors import AssayError
from features.risk_rows import KINDS
from features.windows import DAY_MS

LONGEST_WINDOW_DAYS = 90
_LONGEST_DELAY_DAYS = 365


@dataclass(frozen=True, slots=True)
class RiskSettings:
    """Fixed for the life of a state: a state of other settings is refused.

    Attributes:
        delay_days: by kind (`features.risk_rows.KINDS`), from which age on payments count; 0 to 365. Long where most
            frauds come as chargebacks, short where customers and analysts report them within hours.
        prior_payments: the weight of the prior rate, in payments; above 0.
        root_rate: the prior of a whole kind, 0 to 1: what is assumed before anything is known.
        changed_share: a rate has changed when it moved by more than this share of what was published, and
        changed_rate: by more than this.
        enough_payments: so many matured payments in 30 days are worth telling at once.
        published_for_ms: a profile is published again after this time in any case.

    Raises:
        AssayError: a value does not fit.

    >>> RiskSettings(root_rate=2.0)
    Traceback (most recent call last):
        ...
    features.errors.AssayError: entity risk: root_rate: expected 0 to 1, got 2.0; correct the setting
    """

    delay_days: tuple[int, ...] = (7, 0, 0, 7, 7, 0)
    prior_payments: float = 20.0
    root_rate: float = 0.001
    changed_share: float = 0.1
    changed_rate: float = 0.0005
    enough_payments: int = 20
    published_for_ms: int = DAY_MS

    def __post_init__(self) -> None:
        delays_fit = len(self.delay_days) == len(KINDS) and all(0 <= d <= _LONGEST_DELAY_DAYS for d in self.delay_days)
        for name, expected, fits in (
            ("delay_days", f"{len(KINDS)} numbers from 0 to {_LONGEST_DELAY_DAYS}", delays_fit),
            ("prior_payments", "a number above 0", 0.0 < self.prior_payments < math.inf),
            ("root_rate", "0 to 1", 0.0 <= self.root_rate <= 1.0),
            ("changed_share", "0 or more", 0.0 <= self.changed_share < math.inf),
            ("changed_rate", "0 or more", 0.0 <= self.changed_rate < math.inf),
            ("enough_payments", "0 or more", self.enough_payments >= 0),
            ("published_for_ms", "1 or more", self.published_for_ms >= 1),
        ):
            if not fits:
                got = getattr(self, name)
                raise AssayError(f"entity risk: {name}: expected {expected}, got {got}; correct the setting")

    @property
    def digest(self) -> bytes:
        """32 bytes that name these settings."""
        return hashlib.sha256(msgspec.json.encode(asdict(self), order="deterministic")).digest()

    def last_days(self, now_ms: int) -> NDArray[np.int64]:
        """The newest day whose payments count at `now_ms`, int64[kinds]; windows end with it.

        >>> RiskSettings(delay_days=(7, 0, 0, 7, 7, 0)).last_days(20 * DAY_MS).tolist()
        [12, 19, 19, 12, 12, 19]
        """
        return now_ms // DAY_MS - 1 - np.array(self.delay_days, dtype=np.int64)

    def first_kept_day(self, now_ms: int) -> int:
        """The oldest day that is kept at `now_ms`, of all kinds: one more than any window reaches back to."""
        return now_ms // DAY_MS - max(self.delay_days) - LONGEST_WINDOW_DAYS - 1
