"""What verification says of each event: equal, different and probably why, or not to be recomputed and why. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from features.records import Coordinates
from streams.claims import Claim, Published
from streams.verify import Place, Recomputed

Status = Literal["equal", "differs", "not_recomputable", "not_found"]
_MISSING = "(missing)"


class Difference(msgspec.Struct, frozen=True):
    """One field that was published otherwise than the log gives it.

    Attributes:
        path: JSON path in the verdict; ``key`` and ``topic partition`` are those of the record that carries it.
        published: its value there.
        recomputed: its value here.
    """

    path: str
    published: Any
    recomputed: Any


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """The finding about one event.

    Attributes:
        event_id: the event.
        account_id: its account, as the verdict says; empty if it does not say, or if there is none.
        status: the finding.
        partition: where the verdict says that it was decided.
        offset: the same.
        copies: how often the verdict was published; more than once is fine as long as the bytes are the same.
        why: the likely cause, or why it cannot be recomputed; empty if equal.
        differences: field by field.
        model: the model in force at that place, by its first digits; empty if not recomputed.
        policy: its policy, likewise.
    """

    event_id: str
    account_id: str = ""
    status: Status
    partition: int | None = None
    offset: int | None = None
    copies: int = 0
    why: str = ""
    differences: list[Difference] = []
    model: str = ""
    policy: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a verification.

    Attributes:
        checked: events.
        equal: of them, with the bytes that the log gives, and one verdict only.
        differs: of them, with other bytes, or with more than one verdict.
        not_recomputable: of them, out of reach of the log, the snapshots or the models that are here.
        not_found: ids without a verdict in the part that was scanned.
        repeated: of those equal, published more than once with the same bytes (`at_least_once` after a crash).
        shared_ids: event ids that the log gives to several accounts, with how many of these were checked. Each has an
            event of its own, so this is no failure.
        scanned: verdicts that passed during the search.
        unreadable: records among them that are no verdicts at all.
        seed: of the sample; null if there was none.
        models: events recomputed, by the first digits of the model in force.
        policies: events recomputed, by those of the policy in force.
        last_equal: of each partition with a difference, the last offset before the first difference that is equal; null
            if there is none.
        first_different: of each partition with a difference, its first offset.
        checks: one per event.
    """

    checked: int
    equal: int
    differs: int
    not_recomputable: int
    not_found: int
    repeated: int
    shared_ids: dict[str, int]
    scanned: int
    unreadable: int
    seed: int | None
    models: dict[str, int]
    policies: dict[str, int]
    last_equal: dict[int, int | None]
    first_different: dict[int, int]
    checks: list[Check]

    @property
    def is_proof(self) -> bool:
        """Whether everything that was asked for is equal."""
        return 0 < self.equal == self.checked and not self.unreadable


class _Placed(msgspec.Struct):
    at: Coordinates


_placed = msgspec.json.Decoder(_Placed).decode
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def place_of(published: Published) -> Place | None:
    """Where a verdict says that it was decided; None if it does not say."""
    try:
        at = _placed(published.value).at
    except _NOT_JSON:
        return None
    return Place(at.partition, at.offset)


def places_of(claims: Iterable[Claim]) -> set[Place]:
    """Every place that `judge` will ask for."""
    places = (place_of(published) for claim in claims for published in claim.copies)
    return {place for place in places if place is not None}


def judge(claim: Claim, recomputed: Mapping[Place, Recomputed]) -> Check:
    """The finding about one event: each of its published verdicts against what the log gives at its place.

    Args:
        claim: what was published.
        recomputed: holds every place of `places_of`.
    """
    if not claim.copies:
        why = "no verdict of this event was published in the part that was scanned"
        return Check(event_id=claim.event.event_id, status="not_found", why=why)
    versions = list({(copy.partition, copy.key, copy.value): copy for copy in claim.copies}.values())
    checks = [_judge_one(claim, version, recomputed) for version in versions]
    worst = max(checks, key=lambda check: ("equal", "not_recomputable", "differs").index(check.status))
    if len(checks) == 1:
        return worst
    equal = sum(check.status == "equal" for check in checks)
    why = f"{len(checks)} different verdicts were published for this event, {equal} of them is what the log gives"
    return msgspec.structs.replace(worst, status="differs", why=f"{why}; {worst.why}" if worst.why else why)


def differences(published: bytes, recomputed: bytes) -> list[Difference]:
    """Every field that differs; one difference of the whole if the same content was written in other bytes.

    >>> [(d.path, d.published, d.recomputed) for d in differences(b'{"a":1,"b":[2]}', b'{"a":1,"b":[3,4]}')]
    [('$.b[0]', 2, 3), ('$.b[1]', '(missing)', 4)]
    """
    if published == recomputed:
        return []
    theirs = dict(_leaves("$", msgspec.json.decode(published)))
    ours = dict(_leaves("$", msgspec.json.decode(recomputed)))
    found = [
        Difference(path, theirs.get(path, _MISSING), ours.get(path, _MISSING))
        for path in dict.fromkeys([*ours, *theirs])
        if not _same(theirs.get(path, _MISSING), ours.get(path, _MISSING))
    ]
    return found or [Difference("$", "the same content", "in other bytes (order, spaces, or the writing of numbers)")]


def report_of(checks: Sequence[Check], *, scanned: int, unreadable: int, seed: int | None) -> Report:
    """Count findings, and bracket where each partition begins to differ."""
    statuses = Counter(check.status for check in checks)
    first_different: dict[int, int] = {}
    last_equal: dict[int, int | None] = {}
    placed = [check for check in checks if check.partition is not None and check.offset is not None]
    for check in sorted(placed, key=lambda check: (check.partition, check.offset)):
        assert check.partition is not None
        assert check.offset is not None
        if check.status == "differs":
            first_different.setdefault(check.partition, check.offset)
        elif check.status == "equal" and check.partition not in first_different:
            last_equal[check.partition] = check.offset
    return Report(
        checked=len(checks),
        equal=statuses["equal"],
        differs=statuses["differs"],
        not_recomputable=statuses["not_recomputable"],
        not_found=statuses["not_found"],
        repeated=sum(check.status == "equal" and check.copies > 1 for check in checks),
        shared_ids=_shared_ids(checks),
        scanned=scanned,
        unreadable=unreadable,
        seed=seed,
        models=dict(sorted(Counter(check.model for check in checks if check.model).items())),
        policies=dict(sorted(Counter(check.policy for check in checks if check.policy).items())),
        last_equal={number: last_equal.get(number) for number in first_different},
        first_different=first_different,
        checks=list(checks),
    )


def _shared_ids(checks: Iterable[Check]) -> dict[str, int]:
    """Only what the log confirms counts: an altered verdict may name an account that never had the event."""
    accounts = Counter(
        check.event_id
        for check in checks
        if check.model and not {"$.event_id", "$.account_id"} & {difference.path for difference in check.differences}
    )
    return {event_id: count for event_id, count in accounts.items() if count > 1}


def _judge_one(claim: Claim, published: Published, recomputed: Mapping[Place, Recomputed]) -> Check:
    event_id, account_id = claim.event
    place = place_of(published)
    if place is None:
        why = "what was published does not say where it was decided (at.partition, at.offset)"
        return Check(event_id=event_id, account_id=account_id, status="differs", copies=len(claim.copies), why=why)
    ours = recomputed[place]
    check = Check(
        event_id=event_id,
        account_id=account_id,
        status="equal",
        partition=place.partition,
        offset=place.offset,
        copies=len(claim.copies),
        model=ours.model,
        policy=ours.policy,
    )
    if ours.value is None:
        status: Status = "not_recomputable" if ours.out_of_reach else "differs"
        return msgspec.structs.replace(check, status=status, why=ours.why_not)
    found = differences(published.value, ours.value)
    if published.partition is not None:
        if published.partition != place.partition:
            found.append(Difference("topic partition", published.partition, place.partition))
        if published.key != ours.key:
            found.append(Difference("key", _text(published.key), _text(ours.key)))
    if not found:
        return check
    if ours.degraded and _judged_by_a_model_that_is_not_here(found, ours.breaker_open):
        why = "the log puts a model in force that cannot be opened here: put the one that the verdict names into "
        why += "models.directory, or name that directory"
        return msgspec.structs.replace(check, status="not_recomputable", why=why, differences=found)
    return msgspec.structs.replace(check, status="differs", why=likely_cause(found), differences=found)


def likely_cause(found: Sequence[Difference]) -> str:
    """In words, what makes a verdict differ in these fields."""
    roots = {difference.path.removeprefix("$.").split(".")[0].split("[")[0] for difference in found}
    if roots & {"key", "topic partition"}:
        return "the record is not where the engine puts it: somebody else wrote it, or it was copied"
    if roots == {"$"}:
        return "it was written by another program, or by another version of the engine"
    if roots & {"event_id", "account_id", "time_ms", "at"}:
        return "the log holds another event at that place: the verdict was altered, or this is not the log it came from"
    if "model" in roots:
        return (
            "another model judged than the one that the log puts in force there: check that models.first is the "
            "worker's, and that markers are trusted here as there (security.internal_key)"
        )
    if "policy" in roots:
        return "another policy decided than the one of the model in force there"
    if "flags" in roots:
        return (
            "the engine stood otherwise (a model that could not be opened, a breaker marker that only one side trusts, "
            "or another state)"
        )
    if roots <= {"anomaly", "decision", "reasons"}:
        return "the detector had learnt something else, or the verdict was altered"
    return (
        "the same model over another state, another version of the engine, or a verdict that was altered; the first "
        "offset at which the state differs is not known: verify more events before this one"
    )


def _judged_by_a_model_that_is_not_here(found: Sequence[Difference], breaker_open: bool) -> bool:
    """Whether, at a place that is degraded here, the verdict comes from an engine that had the model.

    Then it does not say degraded, unless the breaker is open: then all say so.
    """
    only_here = any(d.path.startswith("$.flags") and d.recomputed == "degraded" for d in found)
    return (only_here or breaker_open) and any(d.path == "$.model" for d in found)


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every value that is no container, and every empty container, by its JSON path."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(f"{path}.{name}", inner)
    elif isinstance(value, list) and value:
        for number, inner in enumerate(value):
            yield from _leaves(f"{path}[{number}]", inner)
    else:
        yield path, value


def _same(one: Any, other: Any) -> bool:
    """Equal and of one type: 1 is not 1.0, and true is not 1."""
    return type(one) is type(other) and bool(one == other)


def _text(key: bytes | None) -> str | None:
    return None if key is None else key.decode("utf-8", "backslashreplace")
