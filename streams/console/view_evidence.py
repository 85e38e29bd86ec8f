"""One feature of one event, proved: every event that counts, as rows. Pure."""

from dataclasses import dataclass

from models.wording import Money, number_text
from streams.console.timeline import HistoryRow, history_rows
from streams.explain_evidence import Evidence


@dataclass(frozen=True, slots=True)
class PartView:
    """One measure that the feature is made of."""

    what: str
    value: str
    note: str
    rows: list[HistoryRow]


@dataclass(frozen=True, slots=True)
class EvidenceView:
    """What the page shows."""

    name: str
    definition: str
    served: str
    recomputed: str
    agreement: str
    agrees: bool | None
    formula: str
    parts: list[PartView]


def evidence_view(proof: Evidence, money: Money, as_of_ms: int) -> EvidenceView:
    """The page about one feature of one event."""
    agreement = {
        True: "computed a second time from the events below: the same",
        False: "computed a second time from the events below: NOT the same",
        None: "not computed a second time",
    }
    return EvidenceView(
        name=proof.feature,
        definition=proof.definition,
        served=f"{_number(proof.served)} {proof.unit}",
        recomputed=_number(proof.recomputed),
        agreement=agreement[proof.agrees],
        agrees=proof.agrees,
        formula=proof.formula if len(proof.parts) > 1 else "",
        parts=[
            PartView(
                what=part.what + ("" if part.window is None else f" in (t - {part.window}, t]"),
                value=_number(part.value),
                note=part.note,
                rows=history_rows(part.events, money, as_of_ms, len(part.events)),
            )
            for part in proof.parts
        ],
    )


def _number(value: float | None) -> str:
    return "not known" if value is None else number_text(value)
