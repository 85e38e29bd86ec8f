"""What the watch has to say: one thing that is not as it should be, with the numbers it follows from."""

from typing import Literal

import msgspec

Level = Literal["warn", "act"]
"""`warn`: someone should look in working hours. `act`: someone should look now."""


class Finding(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One fault that was found. Equal faults have equal names, so that an alert can be told from its repetition.

    Attributes:
        name: kind of fault and what it is about, for example ``psi:account_payment_count_1h``.
        level: how urgent it is.
        value: what was measured.
        expected: what it was compared with, in the same unit.
        text: the same in words, for whoever is on call.
    """

    name: str
    level: Level
    value: float
    expected: float
    text: str
