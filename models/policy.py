"""What each outcome costs: the numbers that turn a probability of fraud into a decision.

A policy is a small JSON file, `policy.json`, that a risk owner can read and change without training anything. All
money is integer minor units of the base currency; all shares and rates are numbers from 0 to 1. `models/decision.py`
holds the formula, `docs/policy.md` explains it with a worked example.
"""

import hashlib
from collections.abc import Collection
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from features.errors import AssayError
from features.money import Currency
from models.rules import AMOUNT, Rules

MAX_MINOR = 10**12
"""No cost of a policy is larger, so that every expected cost stays exact enough in float64."""

Minor = Annotated[int, msgspec.Meta(ge=0, le=MAX_MINOR)]
Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class Treatment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one outcome between "let it pass" and "turn it away" does to customers and to fraudsters.

    Attributes:
        cost_minor: what doing it costs, whoever the customer is (a text message, an analyst's minutes).
        abandon_share: share of legitimate customers who give up because of it.
        fraud_pass_share: share of fraud that gets through it all the same.
    """

    cost_minor: Minor
    abandon_share: Share
    fraud_pass_share: Share


APPROVE = Treatment(cost_minor=0, abandon_share=0.0, fraud_pass_share=1.0)
"""Approving costs nothing by itself, loses no customer and stops no fraud."""

DECLINE = Treatment(cost_minor=0, abandon_share=1.0, fraud_pass_share=0.0)
"""Declining loses every legitimate customer of the event and stops all fraud."""


class Costs(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What being wrong costs for one kind of event.

    The exposure (what can be lost) is the event's own amount if `exposure_from_amount` and the event has one above 0,
    else `exposure_minor`. Treatments must be ordered by strength: review lets no more fraud pass than step-up does,
    and loses no fewer customers; this is what makes a higher probability never give a milder outcome.

    Attributes:
        loss_given_fraud: share of the exposure that is gone for good when fraud passes.
        chargeback_fee_minor: what each fraud that passes costs on top (scheme fee, handling).
        margin: share of the exposure earned when a legitimate event goes through.
        insult_minor: what turning away a legitimate customer costs beyond the lost margin (support, churn).
        exposure_minor: fixed exposure, see above.
        exposure_from_amount: whether the event's amount is the exposure.
        step_up: ask the customer to prove who they are; null if that is not on offer for this kind of event.
        review: hold the event for an analyst; null if that is not on offer for this kind of event.

    Raises:
        ValueError: treatments are not ordered by strength.
    """

    loss_given_fraud: Share
    chargeback_fee_minor: Minor
    margin: Share
    insult_minor: Minor
    exposure_minor: Minor
    exposure_from_amount: bool
    step_up: Treatment | None
    review: Treatment | None

    def __post_init__(self) -> None:
        if self.step_up is None or self.review is None:
            return
        if self.review.fraud_pass_share > self.step_up.fraud_pass_share:
            raise ValueError(
                f"expected review.fraud_pass_share <= step_up.fraud_pass_share ({self.step_up.fraud_pass_share}), "
                f"got {self.review.fraud_pass_share}: the stronger outcome has to stop at least as much fraud"
            )
        if self.review.abandon_share < self.step_up.abandon_share:
            raise ValueError(
                f"expected review.abandon_share >= step_up.abandon_share ({self.step_up.abandon_share}), "
                f"got {self.review.abandon_share}: with fewer customers lost and less fraud passed, review would make "
                "step-up pointless; set step_up to null instead"
            )


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Costs per kind of judged event, plus what an unusual pattern alone may do.

    Attributes:
        schema: version of this file's shape.
        currency: ISO 4217 code of the money below; it has to be the base currency of the model's exchange rates.
        payment: costs of a payment.
        login: costs of a login.
        application: costs of an application for an account or for credit.
        anomaly_step_up_at: an approval becomes a step-up at or above this anomaly score (where step-up is on offer);
            null: the anomaly score decides nothing.
        rules_only: what decides while no score counts (`models/rules.py`); not set: the mildest outcome on offer that
            lets nothing simply pass (`models/substitution.py`). A policy without it has the bytes it always had.

    Raises:
        ValueError: a rule asks for an outcome that is not on offer for its kind of event.

    >>> policy = Policy.default()
    >>> Policy.from_json(policy.to_json(), "policy.json") == policy
    True
    """

    schema: Literal[1] = 1
    currency: Currency = "EUR"
    payment: Costs
    login: Costs
    application: Costs
    anomaly_step_up_at: Share | None = None
    rules_only: Rules | UnsetType = UNSET

    def __post_init__(self) -> None:
        if isinstance(self.rules_only, UnsetType):
            return
        for kind in ("payment", "login", "application"):
            costs, rules = getattr(self, kind), self.rules_only.of(kind)
            for outcome in ("step_up", "review"):
                if getattr(costs, outcome) is None and outcome in rules.outcomes:
                    raise ValueError(
                        f"expected outcomes that are on offer for a {kind}, got {outcome} in rules_only.{kind}: give "
                        f"{kind}.{outcome} its costs, or let the rules ask for something else"
                    )

    @classmethod
    def default(cls) -> "Policy":
        """Plausible starting values in euro cents: replace them with your own."""
        return cls(
            payment=Costs(
                loss_given_fraud=0.9,
                chargeback_fee_minor=2_000,
                margin=0.01,
                insult_minor=2_500,
                exposure_minor=0,
                exposure_from_amount=True,
                step_up=Treatment(cost_minor=10, abandon_share=0.05, fraud_pass_share=0.15),
                review=Treatment(cost_minor=400, abandon_share=0.10, fraud_pass_share=0.05),
            ),
            login=Costs(
                loss_given_fraud=0.5,
                chargeback_fee_minor=1_500,
                margin=0.0,
                insult_minor=1_500,
                exposure_minor=20_000,
                exposure_from_amount=False,
                step_up=Treatment(cost_minor=10, abandon_share=0.02, fraud_pass_share=0.10),
                review=None,
            ),
            application=Costs(
                loss_given_fraud=0.8,
                chargeback_fee_minor=5_000,
                margin=0.03,
                insult_minor=6_000,
                exposure_minor=100_000,
                exposure_from_amount=True,
                step_up=Treatment(cost_minor=150, abandon_share=0.08, fraud_pass_share=0.30),
                review=Treatment(cost_minor=1_200, abandon_share=0.12, fraud_pass_share=0.08),
            ),
            rules_only=Rules.default(),
        )

    @classmethod
    def from_json(cls, data: bytes, where: str) -> "Policy":
        """Read and check a policy.

        Args:
            data: UTF-8 JSON.
            where: file name or address, for the error message.

        Raises:
            AssayError: not JSON, a field is missing, misspelt, of another type or out of range, or the treatments are
                not ordered by strength. The message names the JSON path.
        """
        try:
            return msgspec.json.decode(data, type=cls)
        except msgspec.MsgspecError as error:
            fault = str(error).replace("Object contains unknown field", "No policy has a field named")
            raise AssayError(
                f"{where} is not a policy: {fault}. Correct it, see docs/policy.md for every field"
            ) from error

    def check_features(self, names: Collection[str], where: str) -> None:
        """Check that the rules look at features that there are.

        Args:
            names: of the feature set.
            where: file name, for the error message.

        Raises:
            AssayError: a rule names another one; the message has its JSON path.
        """
        unknown = None if isinstance(self.rules_only, UnsetType) else self.rules_only.unknown(names)
        if unknown is not None:
            raise AssayError(
                f"{where}: expected a feature of the model's feature set or {AMOUNT} at {unknown[0]}, "
                f"got {unknown[1]}: take a name of docs/features.md"
            )

    def to_json(self) -> bytes:
        """Canonical bytes: sorted keys, no white space, shortest numbers. Equal policies give equal bytes."""
        checked = msgspec.convert(msgspec.to_builtins(self), Policy)  # 0 and 0.0 are one number, so one text
        return msgspec.json.encode(checked, order="sorted")

    @property
    def policy_id(self) -> str:
        """First 16 hex digits of the SHA-256 of the canonical bytes: what a verdict names."""
        return hashlib.sha256(self.to_json()).hexdigest()[:16]
