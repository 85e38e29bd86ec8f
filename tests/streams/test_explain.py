"""Explanations: every number equals an independent computation, every kind of record says what became of it."""

import math
from collections import defaultdict
from dataclasses import replace

import orjson
import pytest

from features.catalogue import FEATURES
from features.errors import AssayError
from features.events import Application, Event, Label, Login, Marker, Payment, ProfileChange
from features.identity import hash64
from features.money import Rates
from models.decision import OUTCOMES
from streams.account_view import PastEvent
from streams.explain import Explanation, Witnessed, explain, fields_of, witness
from streams.explain_evidence import Evidence, evidence
from streams.explain_find import Found, find_event, of_account
from streams.explain_text import evidence_text, explanation_text
from streams.intake import decode_record
from streams.log import LogRecord
from streams.log_range import PartitionRange
from streams.signature import everybody
from tests.naive import NaiveEvent, features_naive
from tests.streams.histories import ListHistory, machine_over
from tests.streams.logs import MINUTE_MS, START_MS, label, mixed_log, model_marker, payment, records
from tests.streams.small_model import small_model

RATES = Rates.default()


def naive_of(event: Event) -> NaiveEvent:
    """What the slow definitions know of an event, from the decoded record alone."""
    if isinstance(event, Payment):
        return NaiveEvent(
            time_ms=event.time_ms,
            kind="payment",
            amount_minor=RATES.to_base_minor(event.amount_minor, event.currency),
            declined=event.authorization == "declined",
            merchant=hash64(event.merchant_id) if event.merchant_id else None,
            device=hash64(event.device_id) if event.device_id else None,
            ip=hash64(event.ip) if event.ip else None,
            country=event.country,
            latitude=event.lat if event.lon is not None else None,
            longitude=event.lon if event.lat is not None else None,
            method=event.method,
            channel=event.channel,
        )
    assert isinstance(event, Login | ProfileChange | Application)
    amount = 0
    if isinstance(event, Application) and event.requested_minor is not None and event.currency is not None:
        amount = RATES.to_base_minor(event.requested_minor, event.currency)
    return NaiveEvent(
        time_ms=event.time_ms,
        kind=str(type(event).__struct_config__.tag),
        amount_minor=amount,
        failed=isinstance(event, Login) and event.success is False,
        device=hash64(event.device_id) if event.device_id else None,
    )


class Pasts:
    """Each account's events in the order of arrival, repetitions left out, from the decoded log alone."""

    def __init__(self, log: list[LogRecord]) -> None:
        self.before: dict[int, list[tuple[int, Event]]] = {}
        self.judged: dict[int, Event] = {}
        self.repeated: list[int] = []
        arrived: dict[str, list[tuple[int, Event]]] = defaultdict(list)
        for record, event in ((record, decode_record(record, everybody)) for record in log):
            if not isinstance(event, Payment | Login | ProfileChange | Application):
                continue
            past = arrived[event.account_id]
            if any(earlier.event_id == event.event_id for _, earlier in past):  # type: ignore[union-attr]
                self.repeated.append(record.offset)
                continue
            self.before[record.offset] = list(past)
            if not isinstance(event, ProfileChange):
                self.judged[record.offset] = event
            past.append((record.offset, event))


@pytest.fixture(scope="module")
def log() -> list[LogRecord]:
    return records(mixed_log(700, seed=15, accounts=6, model_ids=(small_model(2).id, "f" * 64)))


@pytest.fixture(scope="module")
def pasts(log: list[LogRecord]) -> Pasts:
    return Pasts(log)


@pytest.fixture(scope="module")
def seen(log: list[LogRecord], pasts: Pasts) -> dict[int, Witnessed]:
    """Some judged events late in the log, late ones and each kind among them."""
    late = [
        offset
        for offset, event in pasts.judged.items()
        if any(past.time_ms > event.time_ms for _, past in pasts.before[offset])  # type: ignore[union-attr]
    ]
    logins = [offset for offset, event in pasts.judged.items() if isinstance(event, Login)]
    applications = [offset for offset, event in pasts.judged.items() if isinstance(event, Application)]
    chosen = {*late[-3:], *logins[-2:], *applications[-1:], *list(pasts.judged)[-3:], *list(pasts.judged)[:1]}
    machine = machine_over({0: log})
    return {offset: witness(machine, 0, offset) for offset in sorted(chosen)}


@pytest.fixture(scope="module")
def explained(seen: dict[int, Witnessed]) -> dict[int, Explanation]:
    return {offset: explain(one) for offset, one in seen.items()}


def close(one: float, other: float) -> bool:
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-5)


def test_features_are_those_of_the_slow_definitions(explained: dict[int, Explanation], pasts: Pasts) -> None:
    for offset, told in explained.items():
        expected = features_naive(
            [naive_of(event) for _, event in pasts.before[offset]], naive_of(pasts.judged[offset])
        )
        lines = {line.name: line for line in told.features}
        assert set(lines) == set(FEATURES.names)
        assert set(expected) == {feature.name for feature in FEATURES.of_accounts}
        for name, value in expected.items():
            line = lines[name]
            assert close(math.nan if line.value is None else line.value, value), (offset, name)
            assert (line.value is None) == bool(line.not_known), name


def test_the_usual_value_of_a_feature_is_another_feature_scaled(explained: dict[int, Explanation]) -> None:
    lines = {line.name: line for line in explained[max(explained)].features}
    assert lines["account_payment_count_1h"].usual == pytest.approx(
        (lines["account_payment_count_90d"].value or 0) / (90 * 24)
    )
    assert lines["account_payment_count_90d"].usual is None
    assert any(line.typical is not None for line in lines.values())


def test_the_history_is_what_arrived_before(explained: dict[int, Explanation], pasts: Pasts) -> None:
    some_later = False
    for offset, told in explained.items():
        assert told.account is not None
        assert sorted(event.offset for event in told.account.events) == [number for number, _ in pasts.before[offset]]
        time_ms = pasts.judged[offset].time_ms
        later = sum(event.time_ms > time_ms for _, event in pasts.before[offset])  # type: ignore[union-attr]
        assert told.later == later
        some_later |= later > 0
        assert told.account.event_count == len(pasts.before[offset])
    assert some_later


def test_scores_add_up_and_are_the_verdicts(explained: dict[int, Explanation]) -> None:
    for told in explained.values():
        assert told.scores is not None
        assert told.verdict is not None
        verdict = orjson.loads(bytes(told.verdict))
        scores = told.scores
        assert scores.bias + scores.contributions == pytest.approx(scores.raw, abs=1e-9)
        assert scores.contributions == pytest.approx(sum(line.contribution for line in told.features), abs=1e-9)
        assert scores.score == verdict["score"]
        assert scores.anomaly == verdict["anomaly"]
        calibration = scores.calibration
        low, high = -math.log1p(math.exp(-scores.raw)), math.log1p(math.exp(scores.raw))
        log_odds = calibration["low_slope"] * low + calibration["high_slope"] * high + calibration["intercept"]  # type: ignore[operator]
        odds = math.exp(log_odds) * calibration["kept_negative_share"]  # type: ignore[operator]
        assert odds / (1 + odds) == pytest.approx(scores.score, abs=1e-5)
        values = {line.name: line.value for line in told.features}
        for line in scores.detector_inputs:
            assert line.value == values[line.name]
            assert line.low < line.high


def test_contributions_are_sorted_and_are_those_of_the_reasons(explained: dict[int, Explanation]) -> None:
    with_reasons = 0
    for told in explained.values():
        sizes = [abs(line.contribution) for line in told.features]
        assert sizes == sorted(sizes, reverse=True)
        assert told.verdict is not None
        lines = {line.name: line for line in told.features}
        for reason in orjson.loads(bytes(told.verdict))["reasons"]:
            if reason["feature"] in lines:
                with_reasons += 1
                assert lines[reason["feature"]].contribution > 0
                if reason["value"] is not None:
                    assert reason["value"] == pytest.approx(lines[reason["feature"]].value, rel=1e-5)
    assert with_reasons > 3


def inside(evidence: Evidence, part: int) -> list[int]:
    return sorted(event.offset for event in evidence.parts[part].events)


def test_every_feature_is_proved_from_its_events(seen: dict[int, Witnessed], explained: dict[int, Explanation]) -> None:
    """Each number again from the listed events; only those that are not computed here stay open."""
    open_features = set()
    for offset, one in list(seen.items())[::3]:
        served = {line.name: line.value for line in explained[offset].features}
        for name in (feature.name for feature in one.model.feature_set.of_accounts):
            proof = evidence(one, name)
            if proof.agrees is None:
                open_features.add(name)
            else:
                assert proof.agrees, (offset, name, proof)
            assert proof.served == served[name]
    assert open_features == {
        "event_local_hour",
        "event_local_weekday",
        "account_distance_km_from_last",
        "account_speed_kmh_from_last",
    }


def test_the_events_of_a_window_are_exactly_those_that_the_definition_counts(
    seen: dict[int, Witnessed], pasts: Pasts
) -> None:
    lengths = {"1h": 60 * MINUTE_MS, "1d": 24 * 60 * MINUTE_MS}
    listed = 0
    for offset, one in seen.items():
        time_ms = pasts.judged[offset].time_ms
        for window, length in lengths.items():
            within = [
                (number, event)
                for number, event in pasts.before[offset]
                if time_ms - length < event.time_ms <= time_ms  # type: ignore[union-attr]
            ]
            payments = [number for number, event in within if isinstance(event, Payment)]
            assert inside(evidence(one, f"account_payment_count_{window}"), 0) == payments
            declined = [n for n, e in within if isinstance(e, Payment) and e.authorization == "declined"]
            assert inside(evidence(one, f"account_declined_count_{window}"), 0) == declined
            failed = [n for n, e in within if isinstance(e, Login) and e.success is False]
            assert inside(evidence(one, f"account_failed_login_count_{window}"), 0) == failed
            with_device = [n for n, e in within if getattr(e, "device_id", None)]
            assert inside(evidence(one, f"account_device_distinct_{window}"), 0) == with_device
            listed += len(payments) + len(declined) + len(failed)
    assert listed > 40


def test_a_ratio_lists_both_of_its_parts(seen: dict[int, Witnessed]) -> None:
    one = seen[max(seen)]
    proof = evidence(one, "account_payment_count_ratio_1h_1d")
    assert proof.formula == "24 * first / second"
    assert [part.window for part in proof.parts] == ["1h", "1d"]
    assert set(inside(proof, 0)) <= set(inside(proof, 1))
    assert evidence(one, "account_amount_z_7d").formula == "(first - second) / third"


def test_a_wrong_number_would_be_seen(seen: dict[int, Witnessed]) -> None:
    one = seen[max(seen)]
    column = one.model.feature_set.index["account_payment_count_1d"]
    judged = one.output.judged[0]
    features = judged.features.copy()
    features[0, column] += 1
    output = replace(one.output, judged=[judged._replace(features=features)])
    assert evidence(one._replace(output=output), "account_payment_count_1d").agrees is False


def test_a_past_that_was_folded_away_is_not_claimed_to_be_listed() -> None:
    log = records([payment(n, "a1", START_MS + n * MINUTE_MS, amount_minor=100 + n) for n in range(400)])
    one = witness(machine_over({0: log}), 0, 399)
    whole = evidence(one, "account_payment_count_90d")
    assert whole.agrees is None
    assert whole.served == 399
    assert "folded" in whole.parts[0].note
    recent = evidence(one, "account_payment_count_1h")
    assert recent.agrees is True
    assert len(recent.parts[0].events) == 59
    told = explain(one)
    assert told.account is not None
    assert told.account.folded is not None
    assert told.account.event_count == 399
    assert told.account.first_ms == START_MS
    assert told.account.folded.payments == told.account.folded.events == 399 - len(told.account.events)
    assert sum(tile.payments for tile in told.account.folded.tiles) == told.account.folded.payments
    assert told.account.folded.mean_minor == pytest.approx(
        sum(100 + n for n in range(told.account.folded.events)) / told.account.folded.events
    )


def story() -> list[bytes]:
    return [
        payment(1, "a1", START_MS, ip="10.0.0.1", email="hash-of-somebody", merchant_id="m1", country="DE"),
        payment(1, "a1", START_MS, ip="10.0.0.1", email="hash-of-somebody", merchant_id="m1", country="DE"),
        payment(1, "a1", START_MS, amount_minor=7),
        b"rubbish",
        label(5, "p1", "a1", START_MS + 1),
        label(6, "p-never", "a1", START_MS + 2, "legit"),
        orjson.dumps(
            {
                "event_id": "c1", "type": "profile_change", "account_id": "a1", "time_ms": START_MS,
                "field": "email",
            }
        ),
        model_marker(1, small_model(2).id, START_MS),
        model_marker(2, "e" * 64, START_MS),
        payment(9, "a1", START_MS + 5, currency="KWD", amount_minor=900_000, authorization="declined"),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def told() -> list[Explanation]:
    machine = machine_over({0: records(story())})
    return [explain(witness(machine, 0, offset)) for offset in range(len(story()))]


def test_every_kind_of_record_says_what_became_of_it(told: list[Explanation]) -> None:
    one, two = small_model(1).id[:16], small_model(2).id[:16]
    assert [explanation.kind for explanation in told] == [
        "payment", "payment", "payment", "refused", "label", "label", "profile_change", "marker", "marker", "payment",
    ]  # fmt: skip
    assert [explanation.said.split(":")[0] for explanation in told[:1]] == ["judged"]
    assert told[1].said == "a duplicate, neither judged nor applied again; the event was first seen at offset 0"
    assert told[2].said.startswith("set aside: conflict at $.event_id: expected the content")
    assert told[2].said.endswith("; the event was first seen at offset 0")
    assert told[3].said.startswith("set aside: not_json at $")
    assert told[4].said == "a label: p1, which is at offset 0, is fraud (card_not_present), says chargeback"
    assert "p-never, which is no longer in the account's history, is legit" in told[5].said
    assert told[6].said == "goes into the account's history; events of this kind get no verdict"
    assert told[7].said == f"from here on model {two} is in force"
    assert told[8].said == (
        f"asks for model {'e' * 16}, which could not be opened: {two} goes on judging, and every verdict says degraded"
    )
    assert [explanation.model[:16] for explanation in told] == [one] * 7 + [two] * 3
    assert [explanation.verdict is not None for explanation in told] == [True] + [False] * 8 + [True]
    assert [explanation.outcome is not None for explanation in told] == [False] * 4 + [True] * 2 + [False] * 4
    assert all((explanation.scores is None) == (explanation.verdict is None) for explanation in told)


def test_the_history_shows_marks_labels_and_decisions(told: list[Explanation]) -> None:
    account = told[9].account
    assert account is not None
    first, change = account.events
    assert isinstance(first, PastEvent)
    assert (first.kind, first.country, first.label, first.method) == ("payment", "DE", "fraud", "card")
    assert first.decision in OUTCOMES
    assert first.merchant == f"{hash64('m1'):016x}"[:8]
    assert (change.kind, change.decision, change.amount_minor) == ("profile_change", None, None)


def test_what_may_be_personal_is_hidden_unless_asked_for(told: list[Explanation]) -> None:
    event = told[0].event
    assert event is not None
    assert event["email"] == "(hidden)"
    assert event["ip"] == f"(hidden, hash {hash64('10.0.0.1'):016x}"[:-8] + ")"
    text = "\n".join(explanation_text(told[0], all_features=True))
    assert "10.0.0.1" not in text
    assert "hash-of-somebody" not in text
    machine = machine_over({0: records(story())})
    shown = explain(witness(machine, 0, 0), unmasked=True).event
    assert shown is not None
    assert (shown["ip"], shown["email"]) == ("10.0.0.1", "hash-of-somebody")


def test_every_personal_field_is_hidden() -> None:
    names = ("ip", "email", "phone", "address", "name", "national_id", "date_of_birth")
    application = Application(event_id="e", account_id="a", time_ms=1, **dict.fromkeys(names, "secret"))  # type: ignore[arg-type]
    assert "secret" not in str(fields_of(application))
    assert all("hidden" in fields_of(application)[name] for name in names)
    assert "hidden" not in str(fields_of(Marker(event_id="m", time_ms=1, marker="model", value="x")))
    assert fields_of(Label(event_id="l", account_id="a", time_ms=1, judged_event_id="p", label="fraud",
                           known_at_ms=1, source="analyst"))["judged_event_id"] == "p"  # fmt: skip


def test_the_text_goes_from_left_to_right(told: list[Explanation], explained: dict[int, Explanation]) -> None:
    text = "\n".join(explanation_text(explained[max(explained)], most_events=3))
    titles = ["EVENT", "HISTORY", "FEATURES", "SCORES", "COSTS", "VERDICT"]
    assert [text.index(f"\n{title}") for title in titles] == sorted(text.index(f"\n{title}") for title in titles)
    assert "older ones (--events shows more)" in text
    assert "<- cheapest" in text
    for explanation in told:
        assert explanation.said in "\n".join(explanation_text(explanation))


def test_the_text_of_a_feature_leaves_no_event_out(seen: dict[int, Witnessed]) -> None:
    proof = evidence(seen[max(seen)], "account_payment_count_ratio_1h_1d")
    text = "\n".join(evidence_text(proof, "EUR", START_MS))
    assert "they agree" in text
    assert sum(line.endswith(tuple(f" {n}" for n in inside(proof, 1))) for line in text.splitlines()) >= len(
        proof.parts[1].events
    )


def test_what_cannot_be_explained_is_said(seen: dict[int, Witnessed], log: list[LogRecord]) -> None:
    with pytest.raises(AssayError, match=r"docs/features\.md"):
        evidence(seen[max(seen)], "account_luck_1h")
    machine = machine_over({0: [record for record in records(story()) if record.offset != 4]})
    with pytest.raises(AssayError, match="was not judged"):
        evidence(witness(machine, 0, 3), "account_payment_count_1h")
    with pytest.raises(AssayError, match="no record at offset 4"):
        witness(machine, 0, 4)
    with pytest.raises(AssayError, match="partitions 0 to 0, got 3"):
        witness(machine, 3, 0)
    with pytest.raises(AssayError, match="goes from 0 to before 10: 10 is not in it"):
        witness(machine, 0, 10)


def test_an_event_is_found_by_its_id_with_all_its_repetitions() -> None:
    spaced = b'{ "event_id" : "caf\\u00e9", "type": "login", "account_id": "a1", "time_ms": 5 }'
    whole = payment(0, "a1", START_MS, event_id="café")
    logs = {0: records([*story(), spaced, whole]), 2: records([payment(1, "a9", START_MS)])}
    history = ListHistory(logs, batch=3)
    everywhere = [PartitionRange(number, 0, len(part)) for number, part in logs.items()]
    assert find_event(history, "p1", everywhere) == [
        Found(0, 0, "payment", "a1"), Found(0, 1, "payment", "a1"), Found(0, 2, "payment", "a1"),
        Found(2, 0, "payment", "a9"),
    ]  # fmt: skip
    assert find_event(history, "p1", [PartitionRange(0, 1, 2)]) == [Found(0, 1, "payment", "a1")]
    assert find_event(history, "l5", everywhere) == [Found(0, 4, "label", "a1")]
    assert find_event(history, "café", everywhere) == [Found(0, 10, "login", "a1"), Found(0, 11, "payment", "a1")]
    assert find_event(history, "m2", everywhere) == [Found(0, 8, "marker", "")]
    assert find_event(history, "p", everywhere) == []
    late = ListHistory({0: logs[0][1:]})
    assert find_event(late, "p1", [PartitionRange(0, 0, 12)])[0] == Found(0, 1, "payment", "a1")


def test_a_record_whose_account_is_no_string_is_found_all_the_same() -> None:
    history = ListHistory(
        {0: records([payment(1, "a1", START_MS, account_id=account) for account in (5, None, ["a"])])}
    )
    assert find_event(history, "p1", [PartitionRange(0, 0, 3)]) == [
        Found(0, place, "payment", "") for place in range(3)
    ]


A1, AGAIN, A2 = Found(0, 5, "payment", "a1"), Found(0, 6, "payment", "a1"), Found(1, 9, "payment", "a2")
NOBODY = Found(0, 2, "payment", "")


@pytest.mark.parametrize(
    ("found", "account", "chosen"),
    [
        ([A1, AGAIN], None, [A1, AGAIN]),
        ([A1, AGAIN], "a1", [A1, AGAIN]),
        ([A1, A2, AGAIN], "a1", [A1, AGAIN, A2]),
        ([A1, AGAIN, A2], "a2", [A2, A1, AGAIN]),
        ([NOBODY, A1], None, [NOBODY, A1]),  # refused for its account, then sent again: one event
        ([NOBODY, A1], "a1", [A1, NOBODY]),
        ([NOBODY], None, [NOBODY]),
    ],
)
def test_the_records_of_one_account_come_first(found: list[Found], account: str | None, chosen: list[Found]) -> None:
    assert of_account("p1", found, account) == chosen


def test_an_id_of_several_accounts_is_not_guessed_at() -> None:
    with pytest.raises(AssayError) as several:
        of_account("p1", [A1, NOBODY, AGAIN, A2], None)
    said = str(several.value)
    assert "'p1' was given to 2 accounts, a1 (at 0:5), a2 (at 1:9): say which is meant with --account" in said
    with pytest.raises(AssayError, match=r"it was given to a1 \(at 0:5\)$"):
        of_account("p1", [A1, AGAIN], "a2")
    with pytest.raises(AssayError, match="where no account is named"):
        of_account("p1", [NOBODY], "a2")


def test_of_many_accounts_some_are_named_and_none_that_may_be_a_card() -> None:
    card = "4111111111111111"
    found = [Found(0, place, "payment", name) for place, name in enumerate([card, "me@here.org", *"bcdefg"])]
    with pytest.raises(AssayError) as several:
        of_account("p1", found, None)
    said = str(several.value)
    assert "given to 8 accounts" in said
    assert "d (at 0:4) and 3 more:" in said
    assert card not in said
    assert "me@here.org" not in said
    assert of_account("p1", found, card)[0] == found[0]
