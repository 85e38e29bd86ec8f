"""Why a verdict changed: the amount at stake, the score at which the decision turns, the features that moved it."""

import math
from collections.abc import Iterable, Mapping
from heapq import nlargest
from typing import NamedTuple

import msgspec
import numpy as np

from features.columns import APPLICATION, LOGIN, PAYMENT
from features.decode import decode
from features.errors import AssayError, InvalidRecord
from features.events import Application, Event, Login, Payment
from features.identity import EventName
from features.records import Verdict
from models.decision import OUTCOMES, decide
from models.policy import Policy
from models.thresholds import threshold
from streams.diff_labels import UNLABELLED, Attacks
from streams.log import LogRecord
from streams.model_in_force import ModelInForce
from streams.partition import OpenModel
from streams.verdict_diff import ChangedVerdict, Judgement, Moved, Pair, Side, change_of

MOST_MOVED = 3
"""Features told per changed verdict."""


class _Stake(NamedTuple):
    """Kind of the event, and its amount in the base currency, 0 if it has none."""

    kind: int
    amount_minor: int


_decode_verdict = msgspec.json.Decoder(Verdict).decode


class KnownModels:
    """Models and policies as verdicts name them, opened when one first asks.

    Args:
        open_model: opens a model by the first digits of its id.
        models: given on the command line, so that no store needs to have them.
        policies: given on the command line.
    """

    def __init__(
        self, open_model: OpenModel, models: Iterable[ModelInForce] = (), policies: Iterable[Policy] = ()
    ) -> None:
        self._open_model = open_model
        self._models: dict[str, ModelInForce | None] = {model.id[:16]: model for model in models}
        self._policies = {policy.policy_id: policy for policy in policies}

    def model(self, verdict: Verdict) -> ModelInForce | None:
        """The model that gave a verdict; None if it cannot be opened any more."""
        if verdict.model not in self._models:
            try:
                self._models[verdict.model] = self._open_model(verdict.model)
            except AssayError:
                self._models[verdict.model] = None
        return self._models[verdict.model]

    def policy(self, verdict: Verdict) -> Policy | None:
        """The policy that a verdict follows; None if it is not known."""
        if verdict.policy in self._policies:
            return self._policies[verdict.policy]
        model = self.model(verdict)
        return model.policy if model is not None and model.artefact.policy_id[:16] == verdict.policy else None


class Causes:
    """Explains changed verdicts.

    Args:
        models: that the verdicts name.
    """

    def __init__(self, models: KnownModels) -> None:
        self._models = models

    def changed(self, pair: Pair, record: LogRecord | None, partition: int, attacks: Attacks) -> ChangedVerdict:
        """What changed, and why.

        Args:
            pair: two sides that are not equal.
            record: the event; None if the log does not hold it.
            partition: of the log.
            attacks: what events turned out to be.
        """
        before = None if pair.before is None else _decode_verdict(pair.before.value)
        after = None if pair.after is None else _decode_verdict(pair.after.value)
        known = after or before
        assert known is not None, "a pair has a side"
        change = change_of(before, after)
        stronger = None
        moved: list[Moved] = []
        if before is not None and after is not None and change == "decision":
            stronger = max(before.decision, after.decision, key=OUTCOMES.index)
            moved = self._moved(before, after, pair)
        event = None if record is None else decode(record.value, key=record.key, timestamp_ms=record.timestamp_ms)
        stakes = [self._stake(before, event), self._stake(after, event)]
        amounts = [stake.amount_minor for stake in stakes if stake is not None]
        sides = [self._side(*each, stronger) for each in zip((before, after), stakes, strict=True)]
        return ChangedVerdict(
            event_id=known.event_id,
            account_id=known.account_id,
            time_ms=known.time_ms,
            partition=partition,
            offset=known.at.offset,
            change=change,
            attack=attacks.get(EventName(known.event_id, known.account_id), UNLABELLED),
            amount_minor=amounts[-1] if amounts else None,
            before=sides[0],
            after=sides[1],
            moved=moved,
        )

    def _side(self, verdict: Verdict | None, stake: _Stake | None, stronger: str | None) -> Side | None:
        if verdict is None:
            return None
        policy = self._models.policy(verdict)
        turns_at = None
        if stronger is not None and stake is not None and policy is not None and _decides(policy, verdict, stake):
            turns_at = threshold(policy, stronger, stake.amount_minor, stake.kind)
        return Side(
            decision=verdict.decision,
            score=verdict.score,
            expected_loss_minor=verdict.expected_loss_minor,
            threshold=None if turns_at is None else round(turns_at, 6),
            model=verdict.model,
            policy=verdict.policy,
        )

    def _stake(self, verdict: Verdict | None, event: Event | InvalidRecord | None) -> _Stake | None:
        """What was at stake at the exchange rates of the verdict's model; None if it or the event is not known."""
        model = None if verdict is None else self._models.model(verdict)
        if model is None or not isinstance(event, Payment | Login | Application):
            return None
        if isinstance(event, Login):
            return _Stake(LOGIN, 0)
        if isinstance(event, Payment):
            kind, amount_minor, currency = PAYMENT, event.amount_minor, event.currency
        elif event.requested_minor is None or event.currency is None:
            return _Stake(APPLICATION, 0)
        else:
            kind, amount_minor, currency = APPLICATION, event.requested_minor, event.currency
        if not model.rates.has(currency):
            return None
        return _Stake(kind, model.rates.to_base_minor(amount_minor, currency))

    def _moved(self, before: Verdict, after: Verdict, pair: Pair) -> list[Moved]:
        """Computed from the features where both models are known, else from the reasons that the verdicts give."""
        assert pair.before is not None
        assert pair.after is not None
        shares = [self._shares(before, pair.before, pair.after), self._shares(after, pair.after, pair.before)]
        if shares[0] is not None and shares[1] is not None:
            return moved(shares[0], shares[1])
        return moved(_told(before), _told(after))

    def _shares(self, verdict: Verdict, own: Judgement, other: Judgement) -> dict[str, float] | None:
        """Log-odds per feature. Both sides fold one log, so where one has no features the other's are the same."""
        model = self._models.model(verdict)
        if model is None:
            return None
        for features, feature_set in ((own.features, own.feature_set), (other.features, other.feature_set)):
            if features is not None and feature_set == model.feature_set.hash:
                values = model.scorer.contributions(features[None, :]).values[0]
                return dict(zip(model.feature_set.names, values.tolist(), strict=True))
        return None


def _decides(policy: Policy, verdict: Verdict, stake: _Stake) -> bool:
    """Whether the decision is the policy's own; not if the breaker took the place of it, then no score turns it."""
    if verdict.score is None:
        return False
    anomaly = math.nan if verdict.anomaly is None else verdict.anomaly
    kind, amount_minor = np.array([stake.kind], dtype=np.uint8), np.array([stake.amount_minor])
    outcome = decide(policy, np.array([verdict.score]), np.array([anomaly]), amount_minor, kind).outcome
    return OUTCOMES[int(outcome[0])] == verdict.decision


def moved(before: Mapping[str, float], after: Mapping[str, float]) -> list[Moved]:
    """The features whose shares differ most, strongest first; to 6 significant digits.

    >>> moved({"a": 1.0, "b": 0.5}, {"a": 1.0, "b": 0.25, "c": -2.0})
    [Moved(feature='c', before=0.0, after=-2.0), Moved(feature='b', before=0.5, after=0.25)]
    """
    both = [(name, before.get(name, 0.0), after.get(name, 0.0)) for name in dict.fromkeys([*before, *after])]
    strongest = nlargest(MOST_MOVED, both, key=lambda item: abs(item[2] - item[1]))
    told = [Moved(name, _digits(one), _digits(other)) for name, one, other in strongest]
    return [each for each in told if each.before != each.after]


def _told(verdict: Verdict) -> dict[str, float]:
    """Log-odds per feature as far as the reasons of a verdict tell."""
    return {reason.feature: reason.contribution for reason in verdict.reasons if reason.feature is not None}


def _digits(value: float) -> float:
    return float(f"{value:.6g}")
