"""Entity risk against an oracle that keeps everything, and what it promises about order, repetition and time."""

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from features import entity_risk, risk_flushes
from features.entity_risk import EntityRisk, RiskChanges
from features.errors import AssayError
from features.risk_flushes import Flushes
from features.risk_rates import is_material
from features.risk_rows import ENTITY, KINDS, OUTCOME, PROFILE, VOLUME, RiskProfile
from features.risk_settings import RiskSettings
from features.risk_state import seal_state
from tests.features.risk_oracle import DAY, START, Answer, Entity, Oracle, Outcome, Step, Volume, rows_of, story

SETTINGS = RiskSettings(delay_days=(3, 1, 0, 0, 0, 0), prior_payments=20.0, root_rate=0.01)
MERCHANT, DEVICE = KINDS.index("merchant"), KINDS.index("device")
randoms = st.randoms(use_true_random=False)


def told(changes: RiskChanges) -> tuple[dict[Entity, Answer], set[Entity]]:
    """Changes as the oracle writes them."""
    profiles = {
        (row["kind"].item(), row["entity"].item()): Answer(*(row[name].item() for name in Answer._fields))
        for row in changes.profiles
    }
    return profiles, {(row["kind"].item(), row["entity"].item()) for row in changes.gone}


def take(risk: EntityRisk, step: Step) -> RiskChanges:
    risk.receive(*rows_of(step.outcomes, step.volumes))
    return risk.changes(step.now_ms)


def disagreement(steps: list[Step]) -> str:
    """Where the product and the oracle first differ in what they publish or know; empty if nowhere."""
    risk, oracle = EntityRisk(SETTINGS), Oracle((3, 1), 20.0, 0.01)
    for number, step in enumerate(steps):
        oracle.receive(step.outcomes, step.volumes)
        if (got := told(take(risk, step))) != (expected := oracle.changes(step.now_ms)):
            return f"step {number}: changes {got}, expected {expected}"
        answers = oracle.answers(step.now_ms)
        for kind in (MERCHANT, DEVICE):
            for entity in (1, 2, 3):
                profile, answer = risk.profile(kind, entity), answers.get((kind, entity))
                if profile != (RiskProfile(**answer._asdict()) if answer else None):
                    return f"step {number}: {KINDS[kind]} {entity}: {profile}, expected {answer}"
    return ""


def outcome(event: int, day: int, known_day: int, fraud: bool = True, **changes: Any) -> Outcome:
    """One row about merchant 1, event and label at noon."""
    row = Outcome(event, 1, 0, (START + day) * DAY + DAY // 2, (START + known_day) * DAY + DAY // 2, 1, MERCHANT, fraud)
    return row._replace(**changes)


def volume(day: int, payments: int, flush: int = 1, **changes: Any) -> Volume:
    """One row about merchant 1."""
    return Volume(1, 0, flush, START + day, payments, 0, MERCHANT)._replace(**changes)


def rates_at(day: int, outcomes: list[Outcome], volumes: list[Volume], entity: int = 1) -> RiskProfile | None:
    risk = EntityRisk(SETTINGS)
    take(risk, Step(outcomes, volumes, (START + day) * DAY))
    return risk.profile(MERCHANT, entity)


@settings(max_examples=40)
@given(randoms)
def test_any_story_agrees_with_the_oracle(random: Random) -> None:
    assert not disagreement(story(random))


def _the_last_to_arrive_counts(count: Callable[..., None]) -> Callable[..., None]:
    arrived = iter(range(1, 10**9))

    def faulty(outcomes: NDArray[np.void], *rest: Any) -> None:
        outcomes = outcomes.copy()
        outcomes["known_at_ms"] = [next(arrived) for _ in outcomes]
        count(outcomes, *rest)

    return faulty


FAULTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "the last label to arrive counts, not the newest": lambda patch: patch.setattr(
        entity_risk, "_count_outcomes", _the_last_to_arrive_counts(entity_risk._count_outcomes)
    ),
    "a flush counts as often as it comes": lambda patch: patch.setattr(
        Flushes, "_held", lambda self, flushes: np.zeros(len(flushes), dtype=np.bool_)
    ),
    "a row counts as often as it stands in a flush": lambda patch: patch.setattr(
        risk_flushes, "_differs", lambda rows, *names: _differs(rows, *names) | (len(names) == 5)
    ),
    "a label counts before it is known": lambda patch: patch.setattr(
        EntityRisk, "_wait", lambda self, outcomes: self._learn(outcomes)
    ),
    "windows end a day late": lambda patch: patch.setattr(
        RiskSettings, "last_days", lambda self, now_ms: now_ms // DAY - np.array(self.delay_days)
    ),
    "one delay for all kinds": lambda patch: patch.setattr(
        RiskSettings, "last_days", lambda self, now_ms: np.full(len(KINDS), now_ms // DAY - 4)
    ),
    "days are dropped too early": lambda patch: patch.setattr(
        RiskSettings, "first_kept_day", lambda self, now_ms: now_ms // DAY - 80
    ),
    "nothing changes materially": lambda patch: patch.setattr(
        entity_risk, "is_material", lambda last, now, settings: np.zeros(len(now), dtype=np.bool_)
    ),
}
_differs = risk_flushes._differs


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_would_be_noticed(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison has two sides."""
    stories = [story(Random(seed)) for seed in range(30)]
    assert not any(map(disagreement, stories))
    FAULTS[fault](monkeypatch)
    assert any(map(disagreement, stories))


@settings(max_examples=40)
@given(randoms)
def test_order_and_repetition_change_nothing_to_the_bit(random: Random) -> None:
    risk, other = EntityRisk(SETTINGS), EntityRisk(SETTINGS)
    past: list[Step] = []
    for step in story(random):
        changes = take(risk, step)
        past.append(step)
        calls = [step._replace(outcomes=[], volumes=step.volumes), step._replace(volumes=[]), random.choice(past), step]
        random.shuffle(calls)
        for call in calls:
            outcomes, volumes = (random.sample([*rows, *rows[:3]], len(rows) + len(rows[:3])) for rows in call[:2])
            other.receive(*rows_of(outcomes, volumes))
        again = other.changes(step.now_ms)
        assert seal_state(b"", changes) == seal_state(b"", again)
        assert risk.state() == other.state()


@settings(max_examples=20)
@given(randoms)
def test_rows_of_a_label_may_come_one_by_one(random: Random) -> None:
    risk, other = EntityRisk(SETTINGS), EntityRisk(SETTINGS)
    for step in story(random, steps=3):
        changes = take(risk, step)
        other.receive(*rows_of([], step.volumes))
        for row in random.sample(step.outcomes, len(step.outcomes)):
            other.receive(*rows_of([row], []))
        assert told(other.changes(step.now_ms)) == told(changes)
        assert risk.state() == other.state()


@settings(max_examples=20)
@given(randoms)
def test_a_restored_state_goes_on_as_if_nothing_had_happened(random: Random) -> None:
    risk = EntityRisk(SETTINGS)
    for step in story(random):
        restored = EntityRisk(SETTINGS)
        restored.restore(risk.state())
        assert restored.state() == risk.state()
        assert told(take(restored, step)) == told(take(risk, step))
        assert restored.state() == risk.state()


def test_many_entities_are_held_apart() -> None:
    """Tables grow many times, in one call and in several."""
    random = np.random.default_rng(5)
    volumes = np.zeros(30_000, dtype=VOLUME)
    volumes["entity"] = random.integers(1, 2**64, len(volumes), dtype=np.uint64)
    volumes["kind"], volumes["day"] = random.integers(0, len(KINDS), len(volumes)), START
    volumes["flush"], volumes["payments"] = np.arange(len(volumes)), random.integers(1, 100, len(volumes))
    risk = EntityRisk(SETTINGS)
    for part in np.array_split(volumes, [10, 1_000, 9_000]):
        risk.receive(np.zeros(0, dtype=OUTCOME), part)
    profiles = risk.changes((START + 10) * DAY).profiles
    order = np.lexsort((volumes["entity"], volumes["kind"]))
    for name, expected in (("entity", "entity"), ("kind", "kind"), ("payments_30d", "payments")):
        np.testing.assert_array_equal(profiles[name], volumes[expected][order])
    assert len(risk) == len(volumes)


def test_many_events_are_held_apart() -> None:
    """5,000 frauds in several calls, some of them twice; a third is taken back."""
    outcomes = np.zeros(5_000, dtype=OUTCOME)
    outcomes["event"] = np.random.default_rng(6).permutation(5_000) + 1
    outcomes["entity"], outcomes["kind"], outcomes["fraud"] = outcomes["event"] % 7 + 1, MERCHANT, True
    outcomes["event_time_ms"], outcomes["known_at_ms"] = START * DAY, (START + 1) * DAY
    reversals = outcomes[outcomes["event"] % 3 == 0]
    reversals["known_at_ms"], reversals["fraud"] = (START + 2) * DAY, False
    risk = EntityRisk(SETTINGS)
    risk.changes((START + 10) * DAY)
    for part in (outcomes[:10], outcomes[:1_000], reversals, outcomes[900:]):
        risk.receive(part, np.zeros(0, dtype=VOLUME))
    left = outcomes["event"][outcomes["event"] % 3 != 0] % 7
    assert risk.changes((START + 10) * DAY).profiles["frauds_30d"].tolist() == np.bincount(left).tolist()


def test_a_label_counts_for_an_entity_of_every_kind_and_is_taken_back_from_all() -> None:
    rows = [outcome(1, 0, 2, kind=kind, entity=kind + 1) for kind in range(len(KINDS))]
    back = [row._replace(known_at_ms=row.known_at_ms + DAY, fraud=False) for row in rows]
    counted = [volume(0, 10, kind=kind, entity=kind + 1) for kind in range(len(KINDS))]
    for outcomes, frauds in ((rows, 1), (rows + back, 0)):
        risk = EntityRisk(SETTINGS)
        take(risk, Step(outcomes, counted, (START + 6) * DAY))
        profiles = [risk.profile(kind, kind + 1) for kind in range(len(KINDS))]
        assert [profile and profile.frauds_30d for profile in profiles] == [frauds] * len(KINDS)


def test_a_reversal_takes_the_fraud_back() -> None:
    labels = [outcome(1, day=0, known_day=2), outcome(1, day=0, known_day=5, fraud=False)]
    before, after = (rates_at(day, labels, [volume(0, 100)]) for day in (4, 6))
    assert before is not None
    assert after is not None
    assert (before.frauds_30d, after.frauds_30d) == (1, 0)
    assert before.rate_30d > after.rate_30d


def test_of_two_labels_of_one_millisecond_the_one_with_the_larger_hash_counts() -> None:
    fraud, legitimate = outcome(1, 0, 2, label=7), outcome(1, 0, 2, fraud=False, label=8)
    for labels in ([fraud, legitimate], [legitimate, fraud]):
        profile = rates_at(6, labels, [volume(0, 100)])
        assert profile is not None
        assert profile.frauds_30d == 0


def test_a_payment_counts_in_the_days_of_its_own_time_however_late_its_label() -> None:
    """Three days of delay: what happened on day 0 is in the week from day 4 to day 10, in 30 days to day 33."""
    labels, payments = [outcome(1, day=0, known_day=4)], [volume(0, 50)]
    assert rates_at(3, labels, payments) is None
    on_day_4 = rates_at(4, labels, payments)  # before noon, when the label comes
    assert on_day_4 is not None
    assert (on_day_4.payments_30d, on_day_4.frauds_30d) == (50, 0)
    rates = {day: rates_at(day, labels, payments) for day in (10, 11, 33, 34, 93, 94)}
    prior = float(np.float32(0.01))
    assert [rates[day] is not None and rates[day].rate_7d > prior for day in (10, 11)] == [True, False]  # type: ignore[union-attr]
    assert [rates[day] is not None and rates[day].rate_30d > prior for day in (33, 34)] == [True, False]  # type: ignore[union-attr]
    assert [rates[day] is not None for day in (93, 94)] == [True, False]


def test_what_is_little_known_has_the_rate_of_its_like() -> None:
    """Merchant 2 took one payment in a category in which 10 of 100 were fraud; 10,000 more payments were not."""
    frauds = [outcome(event, 0, 2, parent=5) for event in range(1, 11)]
    payments = [volume(0, 99, parent=5), volume(0, 1, parent=5, entity=2), volume(0, 9_900, parent=6, entity=3)]
    profile = rates_at(6, frauds, payments, entity=2)
    assert profile is not None
    everything = (10 + 20 * 0.01) / (10_000 + 20)
    category = (10 + 20 * everything) / (100 + 20)
    assert profile.rate_7d == profile.rate_90d == float(np.float32((0 + 20 * category) / (1 + 20)))


def test_a_fraud_is_a_payment_even_if_nobody_counted_it() -> None:
    profile = rates_at(6, [outcome(event, 0, 2) for event in range(1, 1_001)], [])
    assert profile is not None
    assert (profile.payments_30d, profile.frauds_30d) == (1_000, 1_000)
    assert 0.9 < profile.rate_30d < 1.0


def test_a_reversal_that_comes_after_its_day_was_dropped_changes_nothing() -> None:
    risk = EntityRisk(SETTINGS)
    take(risk, Step([outcome(1, 0, 2)], [volume(0, 10), volume(60, 10)], (START + 70) * DAY))
    take(risk, Step([], [], (START + 120) * DAY))
    before = risk.state()
    risk.receive(*rows_of([outcome(1, 0, 110, fraud=False)], [volume(0, 10)]))
    assert risk.state() == before


def test_what_was_published_and_counts_no_more_is_gone_once() -> None:
    risk = EntityRisk(SETTINGS)
    assert len(take(risk, Step([], [volume(0, 10)], (START + 10) * DAY)).profiles) == 1
    gone = take(risk, Step([], [], (START + 94) * DAY)).gone
    assert gone.tolist() == np.array([(1, MERCHANT)], dtype=ENTITY).tolist()
    assert not len(take(risk, Step([], [], (START + 95) * DAY)).gone)
    assert len(risk) == 0


def test_nothing_is_kept_for_ever() -> None:
    risk = EntityRisk(SETTINGS)
    empty = EntityRisk(SETTINGS)
    for step in story(Random(3), events=200, flushes=100):
        take(risk, step)
    for day in (1_000, 1_001):
        take(risk, Step([], [], (START + day) * DAY))
    empty.changes((START + 1_001) * DAY)
    assert risk.state() == empty.state()
    assert risk.nbytes == empty.nbytes


def test_a_flush_that_was_left_out_counts_when_it_comes() -> None:
    risk = EntityRisk(SETTINGS)
    for flush in (1, 3, 2, 3, 1, 2):
        risk.receive(*rows_of([], [volume(0, 10, flush)]))
    risk.changes((START + 10) * DAY)
    profile = risk.profile(MERCHANT, 1)
    assert profile is not None
    assert profile.payments_30d == 30


def test_what_waits_to_be_known_is_dropped_with_its_day() -> None:
    risk, empty = EntityRisk(SETTINGS), EntityRisk(SETTINGS)
    risk.receive(*rows_of([outcome(1, day=0, known_day=200)], []))
    assert risk.state() != empty.state()
    for one in (risk, empty):
        one.changes((START + 150) * DAY)
    assert risk.state() == empty.state()


def test_time_does_not_go_back() -> None:
    risk = EntityRisk(SETTINGS)
    take(risk, Step([outcome(1, 0, 2)], [volume(0, 10)], (START + 10) * DAY))
    state = risk.state()
    assert not len(risk.changes((START + 1) * DAY).profiles)
    assert risk.state() == state


PUBLISHED = Answer(0.01, 0.01, 0.01, 10, 0, 0)
MATERIAL = {
    "nothing moved": (PUBLISHED, PUBLISHED, False),
    "by more than a tenth and 0.0005": (PUBLISHED, PUBLISHED._replace(rate_90d=0.012), True),
    "downwards": (PUBLISHED, PUBLISHED._replace(rate_7d=0.008), True),
    "by less than a tenth": (PUBLISHED, PUBLISHED._replace(rate_30d=0.0109), False),
    "by a tenth of next to nothing": (
        PUBLISHED._replace(rate_7d=0.001),
        PUBLISHED._replace(rate_7d=0.0014),
        False,
    ),
    "to 20 payments": (PUBLISHED._replace(payments_30d=19), PUBLISHED._replace(payments_30d=20), True),
    "beyond 20 payments": (PUBLISHED._replace(payments_30d=20), PUBLISHED._replace(payments_30d=900), False),
    "below 20 payments": (PUBLISHED._replace(payments_30d=20), PUBLISHED._replace(payments_30d=19), False),
    "a day less a millisecond": (PUBLISHED, PUBLISHED._replace(as_of_ms=DAY - 1), False),
    "a day": (PUBLISHED, PUBLISHED._replace(as_of_ms=DAY), True),
}


@pytest.mark.parametrize("case", MATERIAL)
def test_a_profile_is_published_again_when_it_changed_materially(case: str) -> None:
    last, now, expected = MATERIAL[case]
    records = np.zeros(2, dtype=PROFILE)
    for record, answer in zip(records, (last, now), strict=True):
        for name, value in answer._asdict().items():
            record[name] = value
    assert is_material(records[:1], records[1:], RiskSettings()).tolist() == [expected]


@pytest.mark.parametrize(
    "change",
    [
        {"delay_days": (366, 0, 0, 0, 0, 0)},
        {"delay_days": (7, 7)},
        {"prior_payments": 0.0},
        {"root_rate": 1.5},
        {"changed_share": float("nan")},
        {"changed_rate": -0.1},
        {"enough_payments": -1},
        {"published_for_ms": 0},
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(AssayError, match=next(iter(change))):
        RiskSettings(**change)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data[:-1], "checksum"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "checksum"),
        (lambda data: b"XXXX" + data[4:], "at the start"),
        (lambda data: data[:20], "at the start"),
        (lambda data: data[:4] + b"\x09\x00" + data[6:], "schema 1, got 9"),
        (lambda data: EntityRisk(RiskSettings(root_rate=0.5)).state(), "settings"),
    ],
)
def test_a_state_that_cannot_be_trusted_is_refused(damage: Callable[[bytes], bytes], words: str) -> None:
    risk = EntityRisk(SETTINGS)
    take(risk, Step([outcome(1, 0, 2)], [volume(0, 10)], (START + 10) * DAY))
    with pytest.raises(AssayError, match=words):
        EntityRisk(SETTINGS).restore(damage(risk.state()))
