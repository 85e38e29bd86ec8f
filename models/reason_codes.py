"""The registry of reason codes: what each means, to an analyst and to a customer.

A code never changes its meaning: a new meaning is a new code and a higher `REGISTRY_VERSION`. `docs/reasons.md` is
generated from here by `reasons_markdown`.

An analyst text is chosen by the feature's name (the first key that its name starts with), else by its unit. It may use

- ``{value}``: the value in words; ``{percent}``: the value as a percentage;
- ``{s}``, ``{es}``, ``{ies}``: plural endings, empty (or ``y``) after a value of 1;
- ``{window}``: "10 minutes"; ``{definition}``: the feature's definition;
- ``{told}``, ``{share}``: the text of the feature's own code, and the share of recent events as far out as this one;
- ``{rule}``: a rule as the policy has it;
- ``{usual}``: ", usually 0.4" with the account's own usual value, ", across accounts typically 2" with the median of
  legitimate events, or nothing where there is neither.

A feature's text tells the value at most once, plural endings only beside ``{value}``, and ``{usual}`` at its end.

Customer texts name the principal reason, hold for high and low values alike, and give away no threshold.
"""

from dataclasses import dataclass, field

REGISTRY_VERSION = 4
"""Raised with each added, retired or reworded code."""

ANOMALY = "ANO01"
"""The unusual-pattern detector, not the model, changed the outcome."""
UNUSUAL = "ANO02"
"""An input of the unusual-pattern detector that is far out, told after `ANOMALY`."""
RULE_MATCHED = "RUL01"
"""A rule of the policy decided, because no score counted."""
NO_RULE_MATCHED = "RUL02"
"""No score counted and no rule spoke of the event."""
GENERAL = "GEN01"
"""No single feature raised the score."""

FAMILIES = {
    "VEL": "Velocity: how much happens in a window",
    "AMT": "Amount against the account's own history",
    "DIV": "Diversity: how many distinct entities in a window",
    "NEW": "Novelty: entities that the account never met before",
    "REC": "Recency: time since something last happened",
    "DEC": "Declines",
    "ATO": "Account takeover: logins and profile changes",
    "GEO": "Geography",
    "TIM": "Time of day and of week",
    "ACC": "Age and length of the account's history",
    "ENT": "Entities: what many accounts together show of a device, an address, a merchant or a recipient",
    "CTX": "Context of the event itself",
    "ANO": "Anomaly",
    "RUL": "Rules: decided without a score",
    "GEN": "General",
}
"""First three letters of a code to what its family is about, in the order of the docs."""


@dataclass(frozen=True, slots=True)
class ReasonCode:
    """One code.

    Attributes:
        code: three letters of the family and two digits.
        meaning: what the code stands for, in a few words.
        customer: the text a customer may see.
        analyst: beginning of a feature's name, or a unit, to the text for an analyst where the value is known; names
            and units of flags that are not set end in ``=0``.
        only_if_alone: describes what kind of event it is rather than what is unusual about it: given as a reason only
            where there is no other.
    """

    code: str
    meaning: str
    customer: str
    analyst: dict[str, str] = field(hash=False)
    only_if_alone: bool = False

    def template(self, name: str, unit: str, value: float) -> str:
        """The analyst text of the feature `name` with this value; the plain definition where none is registered."""
        if unit == "flag" and value == 0.0:
            name, unit = f"{name}=0", "flag=0"
        for key, text in self.analyst.items():
            if name.startswith(key):
                return text
        return self.analyst.get(unit, "{definition}: {value}")


def _novelty(number: int, entity: str, customer: str) -> ReasonCode:
    return ReasonCode(
        f"NEW{number:02d}",
        f"first time with this {entity}",
        customer,
        {"flag": f"{entity} never seen on this account", "flag=0": f"{entity} already seen on this account"},
    )


def _recency(number: int, what: str, customer: str) -> ReasonCode:
    return ReasonCode(
        f"REC{number:02d}", f"time since the last {what}", customer, {"s": f"{{value}} since the last {what}{{usual}}"}
    )


def _diversity(number: int, text: str, meaning: str, customer: str) -> ReasonCode:
    return ReasonCode(
        f"DIV{number:02d}", meaning, customer, {"events": f"{{value}} distinct {text} in {{window}}{{usual}}"}
    )


_CODES = (
    ReasonCode(
        "VEL01",
        "number of payments in a window",
        "The number of your recent payments",
        {"events": "{value} payment{s} in {window}{usual}"},
    ),
    ReasonCode(
        "VEL02",
        "sum of payments in a window",
        "The amount you spent recently",
        {"minor": "{value} paid in {window}{usual}"},
    ),
    ReasonCode(
        "VEL03",
        "pace against the account's own longer window",
        "The pace of recent activity compared with what is usual for you",
        {"ratio": "{definition}: {value} times"},
    ),
    ReasonCode(
        "AMT01",
        "amount against the account's own amounts",
        "The amount compared with your earlier payments",
        {
            "account_amount_to_mean_ratio": "amount is {value} times the account's mean payment of {window}",
            "account_amount_to_max_ratio": "amount is {value} times the account's largest payment of {window}",
            "account_amount_z_lifetime": "amount is {value} standard deviations from the account's mean",
            "std": "amount is {value} standard deviations from the account's mean of {window}",
        },
    ),
    ReasonCode("AMT02", "the amount itself", "The amount of this payment", {"minor": "amount {value}{usual}"}),
    ReasonCode(
        "AMT03",
        "amounts of earlier payments",
        "The amounts of your recent payments",
        {
            "account_amount_minor_mean": "mean payment of {value} in {window}{usual}",
            "account_amount_minor_std": "payments spread by {value} (standard deviation) in {window}{usual}",
            "account_amount_minor_min": "smallest payment of {value} in {window}{usual}",
            "account_amount_minor_max": "largest payment of {value} in {window}{usual}",
        },
    ),
    _diversity(1, "merchant{s}", "distinct merchants in a window", "The number of merchants you recently paid"),
    _diversity(2, "device{s}", "distinct devices in a window", "The number of devices recently used with your account"),
    _diversity(
        3,
        "IP address{es}",
        "distinct IP addresses in a window",
        "The number of networks recently used with your account",
    ),
    _diversity(4, "countr{ies}", "distinct countries in a window", "The number of countries of recent activity"),
    _diversity(5, "beneficiar{ies}", "distinct beneficiaries in a window", "The number of people you recently paid"),
    _novelty(1, "merchant", "The merchant compared with those you paid before"),
    _novelty(2, "device", "The device compared with those used before"),
    _novelty(3, "IP address", "The network compared with those used before"),
    _novelty(4, "country", "The country compared with those of earlier activity"),
    _novelty(5, "beneficiary", "The recipient compared with those you paid before"),
    _recency(1, "payment", "The time since your last payment"),
    _recency(2, "login", "The time since your last login"),
    _recency(3, "failed login", "How recently a login to your account failed"),
    _recency(4, "profile change", "How recently details of your account changed"),
    _recency(5, "new device", "How recently a device was added to your account"),
    ReasonCode(
        "DEC01",
        "declined payments",
        "The number of recent declined payments",
        {
            "events": "{value} declined payment{s} in {window}{usual}",
            "ratio": "{percent} of payments declined in {window}",
        },
    ),
    ReasonCode(
        "ATO01",
        "failed logins",
        "The number of recent failed logins",
        {"events": "{value} failed login{s} in {window}{usual}"},
    ),
    ReasonCode(
        "ATO02",
        "profile changes",
        "The number of recent changes to your account details",
        {"events": "{value} profile change{s} in {window}{usual}"},
    ),
    ReasonCode(
        "ATO03",
        "number of logins",
        "The number of recent logins to your account",
        {"events": "{value} login{s} in {window}{usual}"},
    ),
    ReasonCode(
        "GEO01",
        "speed of travel between two events",
        "The distance in place and time from your last activity",
        {"km/h": "{value} km/h from the last position to this one"},
    ),
    ReasonCode(
        "GEO02",
        "distance between two events",
        "The distance from where your account was last used",
        {"km": "{value} km from the last position"},
    ),
    ReasonCode(
        "TIM01",
        "hour of the day or day of the week",
        "The time of day or of the week",
        {"hour": "at {value} local time", "weekday": "on a {value} local time"},
    ),
    ReasonCode(
        "ACC01",
        "age or length of the account's history",
        "The length of your account's history",
        {
            "account_payment_count": "{value} payment{s} in the account's whole past{usual}",
            "events": "{value} event{s} in the account's whole past{usual}",
            "s": "account first seen {value} before{usual}",
        },
    ),
    ReasonCode(
        "ENT01",
        "accounts that share an entity",
        "Other recent activity with the same device, network or recipient",
        {
            "device": "{value} account{s} began to use this device in {window}{usual}",
            "ip": "{value} account{s} began to use this IP address in {window}{usual}",
            "beneficiary": "{value} account{s} began to pay this beneficiary in {window}{usual}",
        },
    ),
    ReasonCode(
        "ENT02",
        "accounts known for fraud near the entity",
        "Reports about the device, network or recipient",
        {
            "device_two_hop": "{value} account{s} known for fraud with an entity of this device's accounts{usual}",
            "device": "{value} account{s} of this device known for fraud{usual}",
            "ip": "{value} account{s} of this IP address known for fraud{usual}",
            "beneficiary": "{value} account{s} that paid this beneficiary known for fraud{usual}",
        },
    ),
    ReasonCode(
        "ENT03",
        "accounts that are tied together",
        "Other activity that is tied to this device",
        {
            "device_component_accounts_joined": "{value} account{s} tied to this device in {window}{usual}",
            "device_component_accounts": "{value} account{s} tied to this device by shared entities{usual}",
        },
    ),
    ReasonCode(
        "ENT04",
        "money that passes through a beneficiary",
        "What is known of the recipient",
        {
            "beneficiary_pass_through": "the beneficiary paid on {percent} of what came in in {window}",
            "beneficiary_dwell": "in {window} what the beneficiary paid on had been there for {value}",
        },
    ),
    ReasonCode(
        "ENT05",
        "share of fraud at an entity",
        "Reports about the merchant, card type, device, network, e-mail provider or recipient",
        {
            "device": "{percent} fraud with this device in {window}",
            "beneficiary": "{percent} fraud in payments to this beneficiary in {window}",
            "merchant": "{percent} fraud at this merchant in {window}",
            "bin": "{percent} fraud with cards of this BIN in {window}",
            "network": "{percent} fraud from this network in {window}",
            "email_domain": "{percent} fraud with this e-mail domain in {window}",
        },
    ),
    ReasonCode(
        "ENT06",
        "number of payments at an entity",
        "The merchant, card type or e-mail provider",
        {
            "merchant": "{value} payment{s} at this merchant in {window}{usual}",
            "bin": "{value} payment{s} with cards of this BIN in {window}{usual}",
            "email_domain": "{value} payment{s} with this e-mail domain in {window}{usual}",
        },
    ),
    ReasonCode(
        "CTX01",
        "kind, method or channel of the event",
        "The kind of this activity",
        {
            "event_method": "payment method {value}",
            "event_channel": "channel {value}",
            "event_is_payment=0": "the event is not a payment",
            "event_is_payment": "the event is a payment",
            "event_is_login=0": "the event is not a login",
            "event_is_login": "the event is a login",
            "event_is_application=0": "the event is not an application",
            "event_is_application": "the event is an application",
        },
        only_if_alone=True,
    ),
    ReasonCode(
        ANOMALY, "unusual pattern", "Unusual activity on your account", {"score": "unusual pattern: anomaly {value}"}
    ),
    ReasonCode(
        UNUSUAL,
        "value far out of the usual, behind an unusual pattern",
        "Unusual activity on your account",
        {
            "high": "{told}, as high in {share} of recent events",
            "low": "{told}, as low in {share} of recent events",
        },
    ),
    ReasonCode(
        RULE_MATCHED,
        "a rule of the policy",
        "What this activity is, compared with rules that hold for everybody",
        {"rule": "{told} (rule: {rule})"},
    ),
    ReasonCode(
        NO_RULE_MATCHED,
        "no rule of the policy matched",
        "What holds for all activity of this kind",
        {
            "otherwise": "no rule of the policy matched: what it says of all other events",
            "no_rules": "the policy has no rules: the mildest answer that lets nothing simply pass",
        },
    ),
    ReasonCode(
        GENERAL,
        "overall pattern",
        "The activity as a whole",
        {"score": "no single feature raises the score of {value}: what is at stake decided"},
    ),
)

REASON_CODES: dict[str, ReasonCode] = {code.code: code for code in _CODES}
"""Code to its entry, in the order of the docs."""


def reasons_markdown() -> str:
    """The text of `docs/reasons.md`."""
    lines = [
        "# Reason codes",
        "",
        f"Generated from `models/reason_codes.py`, registry version {REGISTRY_VERSION}.",
        "",
        "A verdict other than `approve` carries up to four reasons, strongest first. Features that share a code are",
        "one reason, told by the feature that raises the score most. The kind of the event (CTX01) is a reason only",
        "where there is no other. A step-up that the online detector asked for begins with ANO01, then up to two ANO02",
        "where the detector can tell which values are far out.",
        "",
        "In an analyst text `{value}` is the value in words, `{window}` the window, and `{usual}` the account's own",
        'usual value (", usually 0.4"), else the median of legitimate events (", across accounts typically 2").',
        "A value that is not known is told as such, with the cause. `{told}` is the text of the feature's own code,",
        "`{share}` the share of recent events, of all accounts, whose value lies as far out. While the breaker has put",
        "rules in force there is one reason: the rule that matched, told as `{rule}`, or that none did.",
        "",
    ]
    for family, about in FAMILIES.items():
        lines += [f"## {family}: {about}", "", "| code | meaning | analyst text | customer text |", "|---|---|---|---|"]
        for code in _CODES:
            if code.code.startswith(family):
                texts = "<br>".join(f"`{text}`" for text in code.analyst.values())
                lines.append(f"| {code.code} | {code.meaning} | {texts} | {code.customer} |")
        lines.append("")
    return "\n".join(lines)
