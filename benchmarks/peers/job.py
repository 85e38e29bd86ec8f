"""What every rival does to an event: windows of its account, LightGBM, River's detector, a verdict.

Written by hand with stock libraries, the way a team without this product would: lists, `bisect`, `Booster.predict`, and
the pipeline of River's documentation. It is a lighter job than the product's: four windows and 27 features instead of
nine and 125, no checks of the input, no conversion of currencies, no reasons, no late events put in their place, no
duplicates found. The hosts add what their library is for: reading, state by key, writing.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import lightgbm
import numpy as np
import orjson
from river import anomaly, compose, preprocessing

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
WINDOWS_MS = {"1h": HOUR_MS, "1d": DAY_MS, "7d": 7 * DAY_MS, "30d": 30 * DAY_MS}
LONGEST_MS = max(WINDOWS_MS.values())
METHODS = {name: float(code) for code, name in enumerate(("card", "bnpl", "p2p", "transfer", "password", "passkey"))}
CHANNELS = {name: float(code) for code, name in enumerate(("ecom", "app", "pos", "atm", "api"))}
FEATURES = (
    *(f"{what}_{window}" for window in WINDOWS_MS for what in ("count", "sum", "mean", "max", "amount_to_mean")),
    "amount",
    "seconds_since_last",
    "hour",
    "weekday",
    "method",
    "channel",
    "is_payment",
)
"""Columns of the model, in the order that `features` gives them."""
DETECTOR_FEATURES = (
    "count_1h",
    "count_1d",
    "amount",
    "seconds_since_last",
    *(f"amount_to_mean_{w}" for w in WINDOWS_MS),
)
_DETECTOR_COLUMNS = [FEATURES.index(name) for name in DETECTOR_FEATURES]
N_TREES, HEIGHT = 25, 8
STEP_UP_FROM, DECLINE_FROM = 0.2, 0.8
_NAN = float("nan")

History = tuple[list[int], list[int]]
"""One account's past: times in epoch milliseconds and amounts in minor units, side by side, in order of arrival."""


def features(event: dict[str, Any], history: History) -> list[float]:
    """The row of `FEATURES` for an event, from what its account did before; the event is then added to the history.

    Args:
        event: decoded JSON; `amount_minor` counts as 0 where there is none.
        history: changed in place; what is older than the longest window is dropped.
    """
    times, amounts = history
    now_ms, amount = event["time_ms"], event.get("amount_minor", 0)
    row: list[float] = []
    for width_ms in WINDOWS_MS.values():
        part = amounts[bisect_right(times, now_ms - width_ms) :]
        if part:
            count, total = len(part), sum(part)
            mean = total / count
            row += (count, total, mean, max(part), amount / mean if mean else _NAN)
        else:
            row += (0, 0, _NAN, _NAN, _NAN)
    row += (
        amount,
        (now_ms - times[-1]) / 1000 if times else _NAN,
        now_ms // HOUR_MS % 24,
        now_ms // DAY_MS % 7,
        METHODS.get(event.get("method"), _NAN),
        CHANNELS.get(event.get("channel"), _NAN),
        event["type"] == "payment",
    )
    times.append(now_ms)
    amounts.append(amount)
    expired = bisect_right(times, now_ms - LONGEST_MS)
    if expired:
        del times[:expired]
        del amounts[:expired]
    return row


class Models:
    """LightGBM and River's detector, as their documentation has them.

    Args:
        model_file: LightGBM's text, with the columns `FEATURES`.
    """

    def __init__(self, model_file: str) -> None:
        self._booster = lightgbm.Booster(model_file=model_file)
        scaler, trees = preprocessing.MinMaxScaler(), anomaly.HalfSpaceTrees(n_trees=N_TREES, height=HEIGHT, seed=42)
        self._detector = compose.Pipeline(scaler, trees)

    def judge(self, event: dict[str, Any], row: Sequence[float]) -> bytes:
        """The verdict of one event, from one call of each model."""
        score = float(self._booster.predict(np.array([row]), num_threads=1)[0])
        return _verdict(event, score, self._anomaly(row))

    def judge_many(self, events: Sequence[dict[str, Any]], rows: Sequence[Sequence[float]]) -> list[bytes]:
        """The verdicts of a batch: LightGBM takes all rows in one call, River knows no batches."""
        scores = self._booster.predict(np.array(rows), num_threads=1).tolist()
        return [
            _verdict(event, score, self._anomaly(row)) for event, score, row in zip(events, scores, rows, strict=True)
        ]

    def _anomaly(self, row: Sequence[float]) -> float:
        """Score, then learn; what is not known counts as 0, because River's trees have no notion of it."""
        values = [row[column] for column in _DETECTOR_COLUMNS]
        inputs = {n: v if v == v else 0.0 for n, v in zip(DETECTOR_FEATURES, values, strict=True)}
        score = float(self._detector.score_one(inputs))
        self._detector.learn_one(inputs)
        return score


def _verdict(event: dict[str, Any], score: float, unusual: float) -> bytes:
    decision = "decline" if score >= DECLINE_FROM else "step_up" if score >= STEP_UP_FROM else "approve"
    return orjson.dumps(
        {
            "event_id": event["event_id"],
            "account_id": event["account_id"],
            "time_ms": event["time_ms"],
            "decision": decision,
            "score": round(score, 6),
            "anomaly": round(unusual, 6),
        }
    )
