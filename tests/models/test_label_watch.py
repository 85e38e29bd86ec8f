"""The watch over labels on platforms whose truth is known: what is planted is found in time, and nothing else is."""

import msgspec
import pytest

from features.errors import AssayError
from models.finding import Finding
from models.label_book import DAY_MS
from models.label_watch import WAIT_MS, LabelWatch
from models.summary import Counts, Summary
from models.telemetry_log import LabelSeen, Tick
from models.watch_limits import CohortLimits
from tests.models.labelled_platform import EXPECTED_FRAUDS, HORIZON_DAYS, VERDICTS, Platform, seen

LIMITS = CohortLimits(horizon_days=HORIZON_DAYS)
MATURE_DAYS = 20
"""A geometric delay of 0.12 a day has 95 % of what comes within 30 days in after so many."""


def taken(watch: LabelWatch, record: Summary | LabelSeen | Tick, rows: dict[bytes, bytes]) -> list[Finding]:
    """Findings of a record; `rows` are kept as a table is."""
    findings: list[Finding] = []
    if isinstance(record, Tick):
        looked = watch.tick(record.time_ms)
        changed = [] if looked is None else looked.rows
        findings = [] if looked is None else looked.findings
    else:
        changed = watch.summary(record) if isinstance(record, Summary) else watch.label(record)
    for key, value in changed:
        if value is None:
            del rows[key]
        else:
            rows[key] = value
    return findings


def found(platform: Platform) -> tuple[LabelWatch, dict[str, list[int]]]:
    """The watch at the end, and the days after which each finding was there."""
    watch, rows, days = LabelWatch(LIMITS), dict[bytes, bytes](), dict[str, list[int]]()
    for day, records in platform.log():
        for record in records:
            for finding in taken(watch, record, rows):
                days.setdefault(finding.name, []).append(day)
    return watch, days


@pytest.mark.parametrize("seed", range(20))
def test_a_sound_platform_has_nothing_to_find_and_is_measured_as_it_was_drawn(seed: int) -> None:
    platform = Platform(seed, days=100)
    watch, findings = found(platform)
    assert findings == {}
    cohort = watch.cohort
    assert cohort is not None
    assert cohort.days == LIMITS.cohort_days
    assert cohort.verdicts == LIMITS.cohort_days * sum(VERDICTS)
    last = 100 - cohort.waiting_days
    drawn = [decision for day in range(last - cohort.days, last) for decision in platform.judged[day]]
    caught = sum(decision != "approve" for decision in drawn)
    assert cohort.recall is not None
    assert cohort.precision is not None
    assert cohort.calibration is not None
    # of what was drawn a few labels are not in yet, or never come within the horizon
    assert 0.93 * len(drawn) <= cohort.frauds <= len(drawn)
    assert cohort.recall.share == pytest.approx(caught / len(drawn), abs=0.02)
    assert cohort.precision.share == pytest.approx(caught / (LIMITS.cohort_days * sum(VERDICTS[1:])), rel=0.08)
    assert cohort.calibration.share == pytest.approx(len(drawn) / (EXPECTED_FRAUDS * cohort.days), rel=0.05)


@pytest.mark.parametrize("seed", range(10))
def test_twice_the_frauds_that_scores_expect_are_told_once_their_days_are_mature(seed: int) -> None:
    _, findings = found(Platform(seed, days=110, frauds_per_expected={0: 1.0, 60: 2.0}))
    assert findings.keys() == {"calibration"}
    first = findings["calibration"][0]
    assert 60 + MATURE_DAYS < first <= 60 + MATURE_DAYS + 10
    assert findings["calibration"] == list(range(first, 110))


@pytest.mark.parametrize("seed", range(5))
def test_half_the_frauds_that_scores_expect_are_told_too(seed: int) -> None:
    _, findings = found(Platform(seed, days=110, frauds_per_expected={0: 1.0, 60: 0.5}))
    assert "calibration" in findings
    assert 60 + MATURE_DAYS < findings["calibration"][0] <= 60 + MATURE_DAYS + 14


@pytest.mark.parametrize("seed", range(10))
def test_a_feed_that_dies_is_told_within_three_days_and_is_no_matter_of_calibration(seed: int) -> None:
    _, findings = found(Platform(seed, days=100, silent_from=70))
    assert findings.keys() == {"labels"}
    assert 70 < findings["labels"][0] <= 72  # the days over which labels are compared are three
    assert findings["labels"] == list(range(findings["labels"][0], 100))


def test_a_crash_anywhere_and_records_read_again_change_nothing() -> None:
    log = [record for _, records in Platform(3, days=45).log() for record in records[:5] + records[-1:]]
    log += [LabelSeen(**{**msgspec.structs.asdict(log[1]), "known_at_ms": 10**12, "is_fraud": False})]
    straight, rows = LabelWatch(LIMITS), dict[bytes, bytes]()
    findings = [taken(straight, record, rows) for record in log]
    for place in range(0, len(log), 7):
        watch, again = LabelWatch(LIMITS), dict[bytes, bytes]()
        told = [taken(watch, record, again) for record in log[: place + 1]]
        restored = LabelWatch(LIMITS)
        restored.restore([*again.items(), (b"minutes", b"{}"), (b"alerts", None)])
        for record in log[max(0, place - 9) : place + 1]:
            assert taken(restored, record, again) == []
        told += [taken(restored, record, again) for record in log[place + 1 :]]
        assert (told, again) == (findings, rows), f"after record {place}"


def test_what_nobody_asks_for_any_more_is_dropped() -> None:
    watch, rows = LabelWatch(LIMITS), dict[bytes, bytes]()
    for _, records in Platform(1, days=100).log():
        for record in records:
            taken(watch, record, rows)
    oldest = min(int(key.removeprefix(b"day/")) for key in rows if key.startswith(b"day/"))
    assert oldest == 100 - 2 * HORIZON_DAYS - 7
    again = LabelWatch(LIMITS)
    again.restore(rows.items())
    assert again.cohort == watch.cohort


def test_a_day_with_more_frauds_than_verdicts_is_left_out_and_stops_nothing() -> None:
    """Old events that are put into the log later count as decided on the day on which they came."""
    watch, rows = LabelWatch(LIMITS), dict[bytes, bytes]()
    for day, records in Platform(2, days=80).log():
        few = Summary(partition=0, number=day, time_ms=day * DAY_MS, model="m", counts=Counts(published=(1, 1, 1, 1)))
        for record in [few, *records[1:]] if day == 40 else records:
            taken(watch, record, rows)
    assert watch.cohort is not None
    assert watch.cohort.days == LIMITS.cohort_days - 1


def test_a_day_is_judged_once_and_not_before_an_hour_has_passed() -> None:
    watch = LabelWatch(LIMITS)
    assert watch.tick(DAY_MS + WAIT_MS) is not None
    assert watch.tick(2 * DAY_MS + WAIT_MS - 1) is None
    assert watch.tick(2 * DAY_MS + WAIT_MS) is not None
    assert watch.tick(2 * DAY_MS + 2 * WAIT_MS) is None
    assert watch.cohort is None


def test_a_label_that_is_taken_back_counts_no_more() -> None:
    watch = LabelWatch(LIMITS)
    first = seen("p1", 3, 4, "decline")
    assert watch.label(first)
    assert watch.label(first) == []
    ((key, value),) = watch.label(msgspec.structs.replace(first, known_at_ms=10**12, label="f" * 32, is_fraud=False))
    assert key == b"label/" + first.event.encode()
    assert value is not None
    assert b"false" in value


@pytest.mark.parametrize("row", [(b"cohorts", b"{"), (b"day/x", b"{}"), (b"day/1", b"[]"), (b"label/1", b"{}")])
def test_what_is_no_state_is_refused(row: tuple[bytes, bytes]) -> None:
    with pytest.raises(AssayError, match="^state of the watch over labels: "):
        LabelWatch(LIMITS).restore([row])
