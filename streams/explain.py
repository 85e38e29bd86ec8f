"""What became of one record of the log, from left to right: event, history, features, scores, costs, verdict.

The state before the record is rebuilt and the record is folded once more, so what is told is what the engine did.
"""

from typing import Any, NamedTuple

import msgspec

from features.errors import AssayError, InvalidRecord
from features.events import Event, Label, Marker
from features.identity import hash64
from features.packing import unpack
from models.watch_limits import InForce
from streams.account_view import AccountView, hash_digits, view_of
from streams.deciding import Deciding
from streams.explain_breaker import RulesView, breaker_text, rules_view
from streams.explain_features import FeatureLine, ScoresView, feature_lines, scores_view
from streams.explain_policy import PolicyView, policy_view
from streams.intake import decode_record
from streams.log import LogRecord, Output
from streams.model_in_force import ModelInForce
from streams.time_machine import Progress, TimeMachine

PERSONAL = ("ip", "email", "phone", "address", "name", "national_id", "date_of_birth")
"""Fields of an event that are not shown unless asked for: producers should hash them, and may not have."""


class Witnessed(NamedTuple):
    """One record, folded under observation.

    Attributes:
        partition: of the log.
        record: as it stands there.
        event: what it says, or why it was refused.
        before: the packed account before it; None if the account had no past, or there is no account.
        model: that the log asked for when it was judged; for a marker, after it.
        degraded: whether the log asked for a model that could not be opened.
        breaker: what was in force in place of the model's decisions; for a marker, after it.
        deciding: who decided under that; for a marker, who decides after it.
        output: of folding this record alone, with features.
    """

    partition: int
    record: LogRecord
    event: Event | InvalidRecord
    before: bytes | None
    model: ModelInForce
    degraded: bool
    breaker: InForce
    deciding: Deciding
    output: Output


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one record; null and empty where there is nothing to say.

    Attributes:
        partition: of the log.
        offset: of the record.
        timestamp_ms: when the log took it.
        kind: what the record is; ``refused`` if it is no event.
        said: what became of it, in one sentence.
        event: its fields; those of `PERSONAL` hidden unless asked for.
        account: its account before it.
        later: events of that history whose time is later than the event's: they do not count.
        model: id of the model that decided: the one in force, or the one that stood in for it.
        policy: id of its policy.
        currency: base currency of all amounts but the event's own.
        features: those that moved the score most first.
        scores: how the features became scores; null where no score counted.
        costs: how the scores became a decision; null likewise.
        rules: how the rules became one, where no score counted.
        verdict: byte for byte.
        outcome: of a label, byte for byte.
    """

    partition: int
    offset: int
    timestamp_ms: int | None
    kind: str
    said: str
    event: dict[str, Any] | None
    account: AccountView | None
    later: int
    model: str
    policy: str
    currency: str
    features: list[FeatureLine]
    scores: ScoresView | None
    costs: PolicyView | None
    rules: RulesView | None
    verdict: msgspec.Raw | None
    outcome: msgspec.Raw | None


def witness(machine: TimeMachine, partition: int, offset: int, progress: Progress = lambda _: None) -> Witnessed:
    """Rebuild the state before a record, and fold it.

    Raises:
        AssayError: the log holds no record there, or its state cannot be rebuilt.
    """
    there = machine.history.partitions()
    if partition not in there:
        raise AssayError(f"the log has the partitions {there[0]} to {there[-1]}, got {partition}")
    low, high = machine.history.bounds(partition)
    if not low <= offset < high:
        raise AssayError(f"partition {partition} of the log goes from {low} to before {high}: {offset} is not in it")
    records = [record for batch in machine.history.read(partition, offset, offset + 1) for record in batch]
    if not records:
        raise AssayError(f"partition {partition}: the log holds no record at offset {offset} (transactions leave gaps)")
    event = decode_record(records[0], machine.trusted)
    with machine.at(partition, offset, progress, keep_features=True) as at:
        before = None if isinstance(event, InvalidRecord | Marker) else at.account(event.account_id)
        output = at.fold(records, machine.trusted)
        engine = at.engine
        in_force = (engine.model, engine.degraded, engine.breaker, engine.deciding)
        return Witnessed(partition, records[0], event, before, *in_force, output)


def explain(seen: Witnessed, *, unmasked: bool = False) -> Explanation:
    """What became of a record; `unmasked` shows the fields of `PERSONAL` too."""
    event, who = seen.event, seen.deciding
    model = who.model
    account, later = None, 0
    if not isinstance(event, InvalidRecord | Marker):
        account = view_of(event.account_id, seen.before)
        later = sum(past.time_ms > event.time_ms for past in account.events)
    features: list[FeatureLine] = []
    scores = costs = rules = None
    if seen.output.verdicts:
        (judged,) = seen.output.judged
        verdict = msgspec.json.decode(seen.output.verdicts[0].value)
        features = feature_lines(model, judged.features[0])
        amount_minor, kind = int(judged.amount_base_minor[0]), int(judged.kind[0])
        if who.by_rules:
            rules = rules_view(model, judged.features[0], amount_minor, kind)
        else:
            scores = scores_view(model, who.asked, judged.features[0], verdict["anomaly"])
            costs = policy_view(
                model.policy,
                score=scores.score,
                anomaly=scores.anomaly,
                amount_minor=amount_minor,
                kind=kind,
                breaker=who.acts,
            )
    return Explanation(
        partition=seen.partition,
        offset=seen.record.offset,
        timestamp_ms=seen.record.timestamp_ms,
        kind="refused" if isinstance(event, InvalidRecord) else str(type(event).__struct_config__.tag),
        said=_said(seen),
        event=None if isinstance(event, InvalidRecord) else fields_of(event, unmasked=unmasked),
        account=account,
        later=later,
        model=model.id,
        policy=model.artefact.policy_id,
        currency=model.rates.base,
        features=features,
        scores=scores,
        costs=costs,
        rules=rules,
        verdict=msgspec.Raw(seen.output.verdicts[0].value) if seen.output.verdicts else None,
        outcome=msgspec.Raw(seen.output.outcomes[0].value) if seen.output.outcomes else None,
    )


def fields_of(event: Event, *, unmasked: bool = False) -> dict[str, Any]:
    """The fields of an event that are set; personal ones hidden, an address with the hash that its history shows.

    >>> from features.decode import decode
    >>> event = decode(b'{"event_id":"e1","type":"login","account_id":"a1","time_ms":1,"ip":"10.0.0.1"}')
    >>> fields_of(event)["ip"], fields_of(event, unmasked=True)["ip"]
    ('(hidden, hash b61d99f8)', '10.0.0.1')
    """
    fields: dict[str, Any] = msgspec.to_builtins(event)
    if unmasked:
        return fields
    hidden = {name: "(hidden)" for name in PERSONAL if name in fields}
    if "ip" in hidden:
        hidden["ip"] = f"(hidden, hash {hash_digits(hash64(fields['ip']))})"
    return fields | hidden


def _said(seen: Witnessed) -> str:
    event, output = seen.event, seen.output
    if output.set_aside:
        error = output.set_aside[0].error
        where = f"; {_first_seen(seen)}" if error.code == "conflict" else ""
        return f"set aside: {error.code} at {error.path}: expected {error.expected}, got {error.got}{where}"
    assert not isinstance(event, InvalidRecord), "what is refused is set aside"
    if isinstance(event, Marker):
        if event.marker == "breaker":
            why = f": {event.reason}" if event.reason else ""
            return f"from here on the breaker is {breaker_text(seen.breaker, seen.deciding)}{why}"
        if output.refused_models:
            return (
                f"asks for model {event.value[:16]}, which could not be opened: {seen.model.id[:16]} goes on judging, "
                "and every verdict says degraded"
            )
        return f"from here on model {seen.model.id[:16]} is in force"
    if output.duplicates:
        return f"a duplicate, neither judged nor applied again; {_first_seen(seen)}"
    if isinstance(event, Label):
        judged = msgspec.json.decode(output.outcomes[0].value)["judged"]
        where = "is no longer in the account's history" if judged is None else f"is at offset {judged['offset']}"
        kind = f" ({event.fraud_type})" if event.fraud_type else ""
        return f"a label: {event.judged_event_id}, which {where}, is {event.label}{kind}, says {event.source}"
    if not output.verdicts:
        return "goes into the account's history; events of this kind get no verdict"
    decision = msgspec.json.decode(output.verdicts[0].value)["decision"]
    return f"judged: {decision}"


def _first_seen(seen: Witnessed) -> str:
    """Where the event that a repetition repeats is."""
    assert not isinstance(seen.event, InvalidRecord | Marker)
    assert seen.before is not None, "a repetition repeats something"
    events = unpack(seen.event.account_id, seen.before).events
    first = events["offset"][events["event_hash"] == hash64(seen.event.event_id)]
    return f"the event was first seen at offset {int(first[0])}"
