"""Every kind of alert, once: who is hurt, how urgent it is, and which findings belong to it. Pure.

A finding's name is its kind of fault, and after a colon what it is about (`models.finding`). A kind of alert is what
one page of `docs/runbooks` speaks of.
"""

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from models.breaker import BreakerState
from models.finding import Finding, Level
from models.watch_limits import BreakerAction

Severity = Literal["page", "ticket"]
"""`page`: somebody is woken. `ticket`: somebody looks in working hours."""

_MINUTE_MS: Final = 60_000
_ASKED_EACH_MINUTE_MS: Final = 10 * _MINUTE_MS
# Longer than the time between two looks: otherwise an alert would end just before the next look finds it again.
_ASKED_EACH_HOUR_MS: Final = 90 * _MINUTE_MS
_ASKED_EACH_DAY_MS: Final = 26 * 60 * _MINUTE_MS

BREAKER: Final = "breaker"
"""Name of the finding that the breaker is not closed."""
SKEW: Final = "train-serve-skew"
"""Name of the kind of alert that a comparison outside the warm path finds."""


@dataclass(frozen=True, slots=True)
class AlertKind:
    """One kind of alert.

    Attributes:
        name: words joined by hyphens; key of its records and name of its runbook.
        severity: how urgent it is.
        finding: name of the findings that belong to it; one that ends in a colon is followed by the subject.
        hurt: who is hurt, and how, in one line.
        resolve_ms: it is over when it was not found for so long.
        level: only findings of this level belong to it; None: all.
    """

    name: str
    severity: Severity
    finding: str
    hurt: str
    resolve_ms: int
    level: Level | None = None

    @property
    def runbook(self) -> str:
        """Page that says what to do, from the root of the repository.

        >>> KINDS["volume-drop"].runbook
        'docs/runbooks/volume-drop.md'
        """
        return f"docs/runbooks/{self.name}.md"


_ALL: Final = (
    AlertKind("breaker-open", "page", BREAKER, "Customers: something simpler than the model decides about payments.",
              _ASKED_EACH_MINUTE_MS),
    AlertKind("volume-drop", "page", "volume", "Whoever pays: payments come without a verdict, or do not come at all.",
              _ASKED_EACH_HOUR_MS),
    AlertKind("decision-mix", "page", "share:", "Customers who are turned away, or the platform that lets fraud pass.",
              _ASKED_EACH_HOUR_MS),
    AlertKind("feature-lost", "page", "missing:", "Everybody who is judged: the model decides without an input.",
              _ASKED_EACH_HOUR_MS, level="act"),
    AlertKind("missing-values", "ticket", "missing:", "Some who are judged: an input of the model comes less often.",
              _ASKED_EACH_HOUR_MS, level="warn"),
    AlertKind(SKEW, "page", "skew:", "Everybody who is judged, and whoever has to prove a verdict.",
              _ASKED_EACH_DAY_MS),
    AlertKind("model-unknown", "ticket", "model-unknown:", "Whoever is judged: nobody sees whether inputs change.",
              _ASKED_EACH_MINUTE_MS),
    AlertKind("feature-drift", "ticket", "psi:", "Nobody yet: the model sees traffic that it was not trained on.",
              _ASKED_EACH_HOUR_MS),
    AlertKind("score-drift", "ticket", "psi:score", "Customers or the platform: scores no longer mean what they did.",
              _ASKED_EACH_HOUR_MS),
    AlertKind("score-level", "ticket", "level:score", "Customers or the platform: the mean score has a new level.",
              _ASKED_EACH_DAY_MS),
    AlertKind("alert-rate-level", "ticket", "level:alert", "Reviewers and customers: more or fewer cases than usual.",
              _ASKED_EACH_DAY_MS),
    AlertKind("labels-late", "ticket", "labels", "The next model and rates of fraud: they learn from fewer labels.",
              _ASKED_EACH_DAY_MS),
    AlertKind("calibration", "ticket", "calibration", "The platform: expected losses, and so decisions, are off.",
              _ASKED_EACH_DAY_MS),
)  # fmt: skip

KINDS: Final = {kind.name: kind for kind in _ALL}
"""Kind by its name."""

_BY_FINDING: Final = {
    (kind.finding, level): kind for kind in _ALL for level in ("warn", "act") if kind.level in (None, level)
}


class Concern(NamedTuple):
    """What a finding is about.

    Attributes:
        kind: of alert.
        subject: which one of its kind; empty for a kind that has one only.
    """

    kind: AlertKind
    subject: str


def concern_of(finding: Finding) -> Concern:
    """Kind and subject of a finding; a whole name goes before a part of one.

    Raises:
        AssertionError: no kind takes it; give it one, and a runbook.

    >>> found = Finding(name="psi:account_amount_z_30d", level="warn", value=0.2, expected=0.0, text="moved")
    >>> kind, subject = concern_of(found)
    >>> kind.name, subject
    ('feature-drift', 'account_amount_z_30d')
    """
    first, colon, subject = finding.name.partition(":")
    if subject or not colon:
        for name, rest in ((finding.name, ""), (first + colon, subject)):
            kind = _BY_FINDING.get((name, finding.level))
            if kind is not None:
                return Concern(kind, rest)
    raise AssertionError(f"the finding {finding.name!r} ({finding.level}) has no kind of alert")


_DECIDES: Final[dict[BreakerAction, str]] = {
    "step_up": "a step-up takes the place of reviews and declines",
    "last_good_model": "the last good model decides, or where none is known a step-up in place of reviews and declines",
    "rules_only": "the rules of the policy decide, without a score",
    "none": "and the model goes on deciding (warm.breaker_action is none)",
}


def breaker_findings(
    state: BreakerState, action: BreakerAction, reason: str, *, is_held: bool = False
) -> list[Finding]:
    """What the breaker gives each minute: one finding until it is closed again, also while it probes.

    Its closing is no alert of its own: `breaker-open` is resolved then.

    Args:
        state: where the breaker stands.
        action: what decides while it is open.
        reason: of its last change, in words.
        is_held: whether verdicts come from an engine in which it is open; if it is closed here, somebody else did it.

    >>> breaker_findings(BreakerState(), "step_up", "")
    []
    >>> breaker_findings(BreakerState(phase="probing"), "step_up", "10 good minutes")[0].text
    'the breaker is probing, the model decides on trial: 10 good minutes'
    """
    if state.phase == "closed":
        if not is_held:
            return []
        text = "the breaker is open, and not by this watch: it was opened by hand, or the watch has lost its state"
    else:
        decides = _DECIDES[action] if state.phase == "open" else "the model decides on trial"
        text = f"the breaker is {state.phase}, {decides}: {reason}"
    return [Finding(name=BREAKER, level="act", value=1.0, expected=0.0, text=text)]
