"""Every feature, declared once.

`FEATURES` is the feature set in force; its hash names the exact list and meaning, and a model refuses a set that it was
not trained on. `docs/features.md` is generated from here.
"""

from collections.abc import Iterator

from features import measures as m
from features.entity_features import entity_features
from features.feature import DEVIATIONS, DIRECT, RATIO, Feature, FeatureSet, Measured
from features.windows import WINDOW_NAMES, WINDOW_TEXTS, WINDOWS_MS

FEATURE_SET_VERSION = 2
"""Raise it when the meaning of an existing measure changes: the hash then changes with it."""

_INFINITY = float("inf")
_PAYMENT_WINDOWS = tuple(name for name in WINDOW_NAMES if name != "1m")
_DISTINCT_WINDOWS = ("1h", "1d", "7d", "30d")
_NO_PAYMENT = "no payment in the window"


def _direct(measure: int) -> Measured:
    return Measured(DIRECT, measure)


def _windowed(statistic: int, window: str) -> Measured:
    return Measured(DIRECT, m.windowed(statistic, window))


def _count(
    what: str, plural: str, statistic: int, windows: tuple[str, ...], reason_code: str, *, usual_window: str = "90d"
) -> Iterator[Feature]:
    for window in windows:
        usual = None
        if usual_window in windows and window != usual_window:
            usual = (f"account_{what}_count_{usual_window}", WINDOWS_MS[window] / WINDOWS_MS[usual_window])
        yield Feature(
            name=f"account_{what}_count_{window}",
            entity="account",
            definition=f"{plural} of the account in {WINDOW_TEXTS[window]}",
            unit="events",
            low=0,
            high=_INFINITY,
            nan="",
            reason_code=reason_code,
            measured=_windowed(statistic, window),
            window=window,
            usual=usual,
        )


def _amounts() -> Iterator[Feature]:
    statistics = {
        "sum": (m.SUM, "sum of payment amounts", "VEL02", 0.0, ""),
        "mean": (m.MEAN, "mean payment amount", "AMT03", 0.0, _NO_PAYMENT),
        "std": (m.STD, "sample standard deviation of payment amounts", "AMT03", 0.0, "fewer than 2 payments"),
        "min": (m.MIN, "smallest payment amount", "AMT03", 0.0, _NO_PAYMENT),
        "max": (m.MAX, "largest payment amount", "AMT03", 0.0, _NO_PAYMENT),
    }
    for stat, (statistic, text, code, low, nan) in statistics.items():
        for window in _PAYMENT_WINDOWS:
            usual = None
            if stat == "sum" and window != "90d":
                usual = ("account_amount_minor_sum_90d", WINDOWS_MS[window] / WINDOWS_MS["90d"])
            elif stat != "sum" and window != "90d":
                usual = (f"account_amount_minor_{stat}_90d", 1.0)
            yield Feature(
                name=f"account_amount_minor_{stat}_{window}",
                entity="account",
                definition=f"{text} of the account in {WINDOW_TEXTS[window]}",
                unit="minor",
                low=low,
                high=_INFINITY,
                nan=nan,
                reason_code=code,
                measured=_windowed(statistic, window),
                window=window,
                usual=usual,
            )


def _distinct() -> Iterator[Feature]:
    entities = {
        "merchant": (m.MERCHANTS, "DIV01"),
        "device": (m.DEVICES, "DIV02"),
        "ip": (m.IPS, "DIV03"),
        "country": (m.COUNTRIES, "DIV04"),
        "beneficiary": (m.BENEFICIARIES, "DIV05"),
    }
    for entity, (statistic, code) in entities.items():
        for window in _DISTINCT_WINDOWS:
            yield Feature(
                name=f"account_{entity}_distinct_{window}",
                entity="account",
                definition=f"distinct values of {entity} in the account's events of {WINDOW_TEXTS[window]}",
                unit="events",
                low=0,
                high=_INFINITY,
                nan="",
                reason_code=code,
                measured=_windowed(statistic, window),
                window=window,
                usual=None if window == "30d" else (f"account_{entity}_distinct_30d", 1.0),
            )


def _recency() -> Iterator[Feature]:
    since = {
        "payment": (m.SINCE_PAYMENT, "payment", "REC01"),
        "login": (m.SINCE_LOGIN, "login, successful or not", "REC02"),
        "failed_login": (m.SINCE_FAILED_LOGIN, "failed login", "REC03"),
        "profile_change": (m.SINCE_PROFILE_CHANGE, "profile change", "REC04"),
        "new_device": (m.SINCE_NEW_DEVICE, "event that brought a device not seen on the account before", "REC05"),
    }
    for what, (measure, text, code) in since.items():
        yield Feature(
            name=f"account_seconds_since_last_{what}",
            entity="account",
            definition=f"seconds since the account's most recent {text}",
            unit="s",
            low=0,
            high=_INFINITY,
            nan="there was none",
            reason_code=code,
            measured=_direct(measure),
        )


def _novelty() -> Iterator[Feature]:
    entities = {
        "merchant": (m.NEW_MERCHANT, "NEW01"),
        "device": (m.NEW_DEVICE, "NEW02"),
        "ip": (m.NEW_IP, "NEW03"),
        "country": (m.NEW_COUNTRY, "NEW04"),
        "beneficiary": (m.NEW_BENEFICIARY, "NEW05"),
    }
    for entity, (measure, code) in entities.items():
        yield Feature(
            name=f"account_{entity}_is_new",
            entity="account",
            definition=f"1 if the account's past does not hold this event's {entity}, else 0",
            unit="flag",
            low=0,
            high=1,
            nan=f"the event has no {entity}",
            reason_code=code,
            measured=_direct(measure),
        )


def _own_history() -> Iterator[Feature]:
    yield Feature(
        "account_amount_minor",
        "event",
        "amount of this event",
        "minor",
        0,
        _INFINITY,
        "the event has no amount",
        "AMT02",
        _direct(m.AMOUNT),
        usual=("account_amount_minor_mean_90d", 1.0),
    )
    for window in ("7d", "30d", "90d"):
        mean, std = m.windowed(m.MEAN, window), m.windowed(m.STD, window)
        yield Feature(
            f"account_amount_z_{window}",
            "account",
            f"distance of the amount from the account's mean of {WINDOW_TEXTS[window]}, in standard deviations",
            "std",
            -_INFINITY,
            _INFINITY,
            "no amount, fewer than 2 payments, or all amounts equal",
            "AMT01",
            Measured(DEVIATIONS, m.AMOUNT, mean, std),
            window=window,
        )
    yield Feature(
        "account_amount_z_lifetime",
        "account",
        "distance of the amount from the account's mean over its whole past, in standard deviations",
        "std",
        -_INFINITY,
        _INFINITY,
        "no amount, fewer than 2 payments, or all amounts equal",
        "AMT01",
        Measured(DEVIATIONS, m.AMOUNT, m.LIFETIME_MEAN, m.LIFETIME_STD),
    )
    for stat, statistic, window in (("mean", m.MEAN, "30d"), ("mean", m.MEAN, "90d"), ("max", m.MAX, "90d")):
        yield Feature(
            f"account_amount_to_{stat}_ratio_{window}",
            "account",
            f"amount divided by the account's {stat} payment amount of {WINDOW_TEXTS[window]}",
            "ratio",
            0,
            _INFINITY,
            "no amount, no payment in the window, or only amounts of 0",
            "AMT01",
            Measured(RATIO, m.AMOUNT, m.windowed(statistic, window)),
            window=window,
        )


def _velocity() -> Iterator[Feature]:
    pairs = (("5m", "1h"), ("1h", "1d"), ("1h", "30d"), ("1d", "7d"), ("1d", "30d"), ("7d", "90d"))
    for what, statistic in (("payment_count", m.COUNT), ("amount", m.SUM)):
        for short, long in pairs:
            yield Feature(
                f"account_{what}_ratio_{short}_{long}",
                "account",
                f"{what.replace('_', ' ')} of {WINDOW_TEXTS[short]} against the average of {WINDOW_TEXTS[long]}",
                "ratio",
                0,
                WINDOWS_MS[long] / WINDOWS_MS[short],
                "nothing in the longer window",
                "VEL03",
                Measured(
                    RATIO,
                    m.windowed(statistic, short),
                    m.windowed(statistic, long),
                    scale=WINDOWS_MS[long] / WINDOWS_MS[short],
                ),
            )
    for window in ("1d", "30d"):
        yield Feature(
            f"account_declined_share_{window}",
            "account",
            f"share of declined payments in {WINDOW_TEXTS[window]}",
            "ratio",
            0,
            1,
            _NO_PAYMENT,
            "DEC01",
            Measured(RATIO, m.windowed(m.DECLINES, window), m.windowed(m.COUNT, window)),
            window=window,
        )


def _context() -> Iterator[Feature]:
    flags = (
        ("event_is_payment", m.IS_PAYMENT, "1 for a payment, else 0"),
        ("event_is_login", m.IS_LOGIN, "1 for a login, else 0"),
        ("event_is_application", m.IS_APPLICATION, "1 for an application, else 0"),
    )
    for name, measure, text in flags:
        yield Feature(name, "event", text, "flag", 0, 1, "", "CTX01", _direct(measure))
    yield Feature(
        "event_method",
        "event",
        "1 card, 2 bnpl, 3 p2p, 4 transfer",
        "code",
        1,
        4,
        "not a payment",
        "CTX01",
        _direct(m.METHOD),
    )
    yield Feature(
        "event_channel",
        "event",
        "1 ecom, 2 app, 3 pos, 4 atm, 5 api",
        "code",
        1,
        5,
        "not given",
        "CTX01",
        _direct(m.CHANNEL),
    )
    no_place = "the event has neither a position nor a listed country"
    yield Feature(
        "event_local_hour",
        "event",
        "hour of the day where the event happened",
        "hour",
        0,
        23,
        no_place,
        "TIM01",
        _direct(m.LOCAL_HOUR),
    )
    yield Feature(
        "event_local_weekday",
        "event",
        "day of the week where the event happened, Monday is 0",
        "weekday",
        0,
        6,
        no_place,
        "TIM01",
        _direct(m.LOCAL_WEEKDAY),
    )
    no_position = "this event or every earlier one has no position"
    yield Feature(
        "account_distance_km_from_last",
        "account",
        "great-circle distance from the account's last position",
        "km",
        0,
        20_039,
        no_position,
        "GEO02",
        _direct(m.DISTANCE_KM),
    )
    yield Feature(
        "account_speed_kmh_from_last",
        "account",
        "that distance over the time between the two events (at least one second)",
        "km/h",
        0,
        _INFINITY,
        no_position,
        "GEO01",
        _direct(m.SPEED_KMH),
    )
    yield Feature(
        "account_payment_count_lifetime",
        "account",
        "payments in the account's whole past",
        "events",
        0,
        _INFINITY,
        "",
        "ACC01",
        _direct(m.LIFETIME_COUNT),
    )
    yield Feature(
        "account_event_count_lifetime",
        "account",
        "events of every kind in the account's whole past",
        "events",
        0,
        _INFINITY,
        "",
        "ACC01",
        _direct(m.LIFETIME_EVENTS),
    )
    yield Feature(
        "account_age_seconds",
        "account",
        "seconds since the account's first event",
        "s",
        0,
        _INFINITY,
        "this is the first event",
        "ACC01",
        _direct(m.SINCE_FIRST),
    )


FEATURES = FeatureSet(
    version=FEATURE_SET_VERSION,
    features=(
        *_count("payment", "payments", m.COUNT, _PAYMENT_WINDOWS, "VEL01"),
        *_amounts(),
        *_distinct(),
        *_recency(),
        *_novelty(),
        *_own_history(),
        *_velocity(),
        *_count("declined", "declined payments", m.DECLINES, _DISTINCT_WINDOWS, "DEC01", usual_window="30d"),
        *_count("failed_login", "failed logins", m.FAILED_LOGINS, ("1h", "1d", "7d"), "ATO01", usual_window="7d"),
        *_count("login", "logins", m.LOGINS, ("1h", "1d", "30d"), "ATO03", usual_window="30d"),
        *_count(
            "profile_change", "profile changes", m.PROFILE_CHANGES, ("1d", "7d", "30d"), "ATO02", usual_window="30d"
        ),
        *_context(),
        *entity_features(),
    ),
)
"""The feature set in force."""
