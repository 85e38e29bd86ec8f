"""What the kernel measures for one event; features are declared over these measures.

A measure is a float64 at a fixed place of one vector. First come the measures taken per window (statistic-major:
`WINDOWED * n_windows + window`), then those taken once. The kernel fills all of them in one walk over the history,
so a new feature over existing measures is one declaration and no new code.
"""

from features.windows import WINDOW_NAMES

N_WINDOWS = len(WINDOW_NAMES)

# Per window. Payments:
COUNT = 0
SUM = 1
MEAN = 2
STD = 3
MIN = 4
MAX = 5
DECLINES = 6
# Other kinds:
LOGINS = 7
FAILED_LOGINS = 8
PROFILE_CHANGES = 9
# Distinct entities over events of every kind:
MERCHANTS = 10
DEVICES = 11
IPS = 12
COUNTRIES = 13
BENEFICIARIES = 14
N_WINDOWED = 15

_ONCE = N_WINDOWED * N_WINDOWS
# The event itself:
AMOUNT = _ONCE
IS_PAYMENT = _ONCE + 1
IS_LOGIN = _ONCE + 2
IS_APPLICATION = _ONCE + 3
METHOD = _ONCE + 4
CHANNEL = _ONCE + 5
LOCAL_HOUR = _ONCE + 6
LOCAL_WEEKDAY = _ONCE + 7
# The account's whole past:
LIFETIME_COUNT = _ONCE + 8
LIFETIME_MEAN = _ONCE + 9
LIFETIME_STD = _ONCE + 10
LIFETIME_EVENTS = _ONCE + 11
SINCE_FIRST = _ONCE + 12
# Seconds since the most recent ...:
SINCE_PAYMENT = _ONCE + 13
SINCE_LOGIN = _ONCE + 14
SINCE_FAILED_LOGIN = _ONCE + 15
SINCE_PROFILE_CHANGE = _ONCE + 16
SINCE_NEW_DEVICE = _ONCE + 17
# 1 if this event brings an entity that the account's past does not hold, 0 if it holds it, NaN if it brings none:
NEW_MERCHANT = _ONCE + 18
NEW_DEVICE = _ONCE + 19
NEW_IP = _ONCE + 20
NEW_COUNTRY = _ONCE + 21
NEW_BENEFICIARY = _ONCE + 22
# From the most recent event with a position to this one:
DISTANCE_KM = _ONCE + 23
SPEED_KMH = _ONCE + 24

N_MEASURES = _ONCE + 25


def windowed(statistic: int, window: str) -> int:
    """Place of a per-window statistic in the vector of measures.

    >>> windowed(COUNT, "1m"), windowed(SUM, "5m")
    (0, 10)
    """
    return statistic * N_WINDOWS + WINDOW_NAMES.index(window)
