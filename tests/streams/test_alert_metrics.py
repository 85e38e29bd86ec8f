"""What the metrics of the warm path say of alerts."""

import math

import msgspec

from features.records import Alert
from models.cohorts import DayTotals, Estimate, measure
from models.finding import Finding
from models.telemetry_log import Snooze
from models.watch_limits import CohortLimits
from streams.alert_book import AlertBook
from streams.alert_kinds import KINDS
from streams.metrics import COHORT_MEASURES, WarmMetrics

DRIFT = [Finding(name=f"psi:{name}", level="warn", value=0.2, expected=0.0, text="moved") for name in ("a", "b")]


def look(metrics: WarmMetrics, book: AlertBook, findings: list[Finding], now_ms: int) -> list[Alert]:
    told = book.observe(findings, now_ms)
    metrics.show_alerts(book.count_by_kind(), told)
    return told


def value(metrics: WarmMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_every_kind_is_there_from_the_first_look_on() -> None:
    metrics = WarmMetrics()
    look(metrics, AlertBook(), [], 0)
    assert {value(metrics, "assay_alerts_firing", alert=kind) for kind in KINDS} == {0.0}
    assert value(metrics, "assay_webhook_failures_total") == 0.0


def test_what_is_in_force_is_shown_and_goes_back_to_0_and_what_is_published_is_counted() -> None:
    metrics, book = WarmMetrics(), AlertBook()
    look(metrics, book, DRIFT, 0)
    look(metrics, book, DRIFT, 3_600_000)
    assert value(metrics, "assay_alerts_firing", alert="feature-drift") == 2.0
    assert value(metrics, "assay_alerts_published_total", alert="feature-drift", status="firing") == 1.0
    look(metrics, book, [], 36_000_000)
    assert value(metrics, "assay_alerts_firing", alert="feature-drift") == 0.0
    assert value(metrics, "assay_alerts_published_total", alert="feature-drift", status="resolved") == 1.0


def test_what_is_snoozed_is_shown_and_not_counted_as_published() -> None:
    metrics, book = WarmMetrics(), AlertBook()
    book.snooze(Snooze(kind="feature-drift", subject=None, until_ms=9, by="ana", reason="known"))
    look(metrics, book, DRIFT, 0)
    assert value(metrics, "assay_alerts_firing", alert="feature-drift") == 2.0
    assert value(metrics, "assay_alerts_published_total", alert="feature-drift", status="firing") is None


def test_what_mature_days_say_is_shown_and_what_they_cannot_say_is_no_number() -> None:
    metrics = WarmMetrics()
    metrics.show_cohort(None)
    bounds = [(measure, bound) for measure in COHORT_MEASURES for bound in ("share", "low", "high")]
    assert all(math.isnan(value(metrics, "assay_cohort", measure=m, bound=b) or 0.0) for m, b in bounds)
    days = {number: DayTotals((900, 50, 30, 20), 60_000_000) for number in range(3)}
    cohort = measure([], days, None, list(days), 9, CohortLimits())
    measured = msgspec.structs.replace(cohort, days=28, recall=Estimate(0.8, 0.7, 0.9))
    metrics.show_cohort(measured)
    assert [value(metrics, "assay_cohort", measure="recall", bound=b) for b in ("low", "share", "high")] == [
        0.7,
        0.8,
        0.9,
    ]
    assert math.isnan(value(metrics, "assay_cohort", measure="precision", bound="share") or 0.0)
    assert value(metrics, "assay_cohort_days") == 28.0
