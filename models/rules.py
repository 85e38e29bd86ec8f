"""Rules that need no score: what decides while the breaker has put `rules_only` in force.

An optional part of `policy.json`. `models/ruling.py` applies them; `docs/policy.md` explains them.
"""

from collections.abc import Collection
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

AMOUNT: Final = "amount_minor"
"""Name in a rule for the event's own amount, minor units of the base currency; not known where the event has none."""

Ruled = Literal["approve", "step_up", "review", "decline"]
Bound = Annotated[float, msgspec.Meta(ge=-1e15, le=1e15)]
MOST_RULES: Final = 100


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One comparison and what follows from it; a value that is not known matches nothing.

    Attributes:
        feature: name of a feature, or `AMOUNT`.
        at_least: it matches from this value on.
        below: it matches under this value. A rule has either one or the other.
        outcome: what is decided where it matches.

    Raises:
        ValueError: both bounds, or none.
    """

    feature: str
    at_least: Bound | UnsetType = UNSET
    below: Bound | UnsetType = UNSET
    outcome: Ruled

    def __post_init__(self) -> None:
        if (self.at_least is UNSET) == (self.below is UNSET):
            got = "none" if self.at_least is UNSET else "both"
            raise ValueError(f"expected one of at_least and below in the rule on {self.feature}, got {got}")

    @property
    def bound(self) -> float:
        """The number that the value is compared with."""
        bound = self.below if isinstance(self.at_least, UnsetType) else self.at_least
        assert not isinstance(bound, UnsetType)
        return bound

    @property
    def is_below(self) -> bool:
        """Whether it matches under the bound; else from it on."""
        return self.at_least is UNSET

    @property
    def text(self) -> str:
        """The comparison in words.

        >>> Rule(feature="amount_minor", below=5_000, outcome="approve").text
        'amount_minor below 5000'
        """
        return f"{self.feature} {'below' if self.is_below else 'at least'} {self.bound:.15g}"


class RulesOfKind(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Rules for one kind of event: the first that matches decides.

    Attributes:
        rules: in order.
        otherwise: what is decided where none matches.
    """

    rules: Annotated[tuple[Rule, ...], msgspec.Meta(max_length=MOST_RULES)]
    otherwise: Ruled

    @property
    def outcomes(self) -> list[str]:
        """Every outcome that can come of them."""
        return [*(rule.outcome for rule in self.rules), self.otherwise]


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Rules for each kind of judged event."""

    payment: RulesOfKind
    login: RulesOfKind
    application: RulesOfKind

    def of(self, kind: str) -> RulesOfKind:
        """Those for ``payment``, ``login`` or ``application``."""
        return {"payment": self.payment, "login": self.login, "application": self.application}[kind]

    def unknown(self, names: Collection[str]) -> tuple[str, str] | None:
        """JSON path and name of the first feature that is none of `names`; None if there is none."""
        for kind in ("payment", "login", "application"):
            for place, rule in enumerate(self.of(kind).rules):
                if rule.feature != AMOUNT and rule.feature not in names:
                    return f"$.rules_only.{kind}.rules[{place}].feature", rule.feature
        return None

    @classmethod
    def default(cls) -> "Rules":
        """Plausible starting values: what is small and familiar passes, the rest proves itself or is looked at."""
        new_device = Rule(feature="account_device_is_new", at_least=1, outcome="step_up")
        known_device = Rule(feature="account_device_is_new", below=1, outcome="approve")
        return cls(
            payment=RulesOfKind(
                rules=(
                    Rule(feature="account_payment_count_10m", at_least=10, outcome="decline"),
                    Rule(feature=AMOUNT, at_least=100_000, outcome="review"),
                    Rule(feature="account_payment_count_1h", at_least=5, outcome="step_up"),
                    Rule(feature="account_failed_login_count_1h", at_least=3, outcome="step_up"),
                    new_device,
                    Rule(feature=AMOUNT, below=5_000, outcome="approve"),
                ),
                otherwise="step_up",
            ),
            login=RulesOfKind(
                rules=(Rule(feature="account_failed_login_count_1h", at_least=3, outcome="step_up"), known_device),
                otherwise="step_up",
            ),
            application=RulesOfKind(rules=(), otherwise="review"),
        )
