"""Names of the worker's metrics, in one place; dashboards and rules in `deploy/` use exactly these."""

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from features.faults import ERROR_CODES
from features.records import Alert
from models.cohorts import Cohort, Estimate
from streams.log import Output

if TYPE_CHECKING:
    from streams.snapshotter import Snapshotter

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

COHORT_MEASURES = ("precision", "recall", "calibration")


def _begin_at_0(dead_letters: Counter) -> None:
    """Let every code be there from the start: a counter that appears with 1 is no increase to Prometheus."""
    for code in ERROR_CODES:
        dead_letters.labels(code)


def _spans_dropped(registry: CollectorRegistry) -> Counter:
    return Counter("assay_spans_dropped", "Spans that were not sent, by reason", ["reason"], registry=registry)


class WorkerMetrics:
    """What one worker counts and measures."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.events = Counter("assay_events", "Accepted records by kind", ["kind"], registry=self.registry)
        self.verdicts = Counter(
            "assay_verdicts", "Published verdicts by decision", ["decision"], registry=self.registry
        )
        self.dead_letters = Counter("assay_dead_letters", "Refused records by code", ["code"], registry=self.registry)
        _begin_at_0(self.dead_letters)
        self.duplicates = Counter("assay_duplicates", "Repeated events, not judged again", registry=self.registry)
        self.not_plain = Counter(
            "assay_not_plain", "Records that took the long way through the decoder", registry=self.registry
        )
        self.batch_seconds = Histogram(
            "assay_batch_seconds", "From decode to verdict bytes, per batch", buckets=_SECONDS, registry=self.registry
        )
        self.commit_seconds = Histogram(
            "assay_commit_seconds", "Produce and commit, per batch", buckets=_SECONDS, registry=self.registry
        )
        self.lag_records = Gauge(
            "assay_lag_records", "Records of the log not yet folded", ["partition"], registry=self.registry
        )
        self.partitions_owned = Gauge("assay_partitions_owned", "Partitions of this worker", registry=self.registry)
        self.hot_accounts = Gauge("assay_hot_accounts", "Accounts in memory", registry=self.registry)
        self.checkpoints = Counter("assay_checkpoints", "Checkpoints written", registry=self.registry)
        self.transactions_aborted = Counter(
            "assay_transactions_aborted", "Transactions given up and folded again", registry=self.registry
        )
        self.snapshots = Gauge("assay_snapshots", "Snapshots stored since the start", registry=self.registry)
        self.snapshots_failed = Gauge(
            "assay_snapshots_failed", "Snapshots that could not be stored since the start", registry=self.registry
        )
        self.model_info = Info("assay_model", "Model and policy in force", registry=self.registry)
        self.model_not_compiled = Gauge(
            "assay_model_not_compiled",
            "1 while the model in force is scored by LightGBM itself, not by the compiled forest",
            registry=self.registry,
        )
        self.degraded = Gauge(
            "assay_degraded", "1 while a model asked for by the log could not be opened", registry=self.registry
        )
        self.breaker_open = Gauge(
            "assay_breaker_open", "1 while the breaker decides instead of the model", registry=self.registry
        )
        self.spans_dropped = _spans_dropped(self.registry)

        self.entity_profiles = Gauge(
            "assay_entity_profiles", "Profiles of entities in memory, with their versions", registry=self.registry
        )

    def watch_snapshots(self, snapshotter: "Snapshotter") -> None:
        """Take the numbers of snapshots from who takes them."""
        self.snapshots.set_function(lambda: snapshotter.taken)
        self.snapshots_failed.set_function(lambda: snapshotter.failed)

    def count(self, output: Output) -> None:
        """Count what one published batch gave."""
        for kind, count in output.kinds.items():
            self.events.labels(kind).inc(count)
        for decision, count in output.decisions.items():
            self.verdicts.labels(decision).inc(count)
        for item in output.set_aside:
            self.dead_letters.labels(item.error.code).inc()
        self.duplicates.inc(output.duplicates)
        self.not_plain.inc(output.not_plain)


class WarmMetrics:
    """What a worker of the warm path counts and measures."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.labels = Counter(
            "assay_warm_labels", "Labels put into the events log", ["label", "source"], registry=self.registry
        )
        self.repeated_labels = Counter(
            "assay_warm_repeated_labels", "Labels that were in the events log already", registry=self.registry
        )
        self.dead_letters = Counter(
            "assay_warm_dead_letters", "Refused records by code", ["code"], registry=self.registry
        )
        _begin_at_0(self.dead_letters)
        self.commit_age_seconds = Gauge(
            "assay_warm_commit_age_seconds",
            "For how long commits have stood still although there is something to commit",
            ["topic", "partition"],
            registry=self.registry,
        )
        self.lag_records = Gauge(
            "assay_warm_lag_records", "Records not yet committed", ["topic", "partition"], registry=self.registry
        )
        self.outcomes = Counter(
            "assay_warm_outcomes",
            "Outcomes taken, by whether their event had a verdict",
            ["of"],
            registry=self.registry,
        )
        self.cohort = Gauge(
            "assay_cohort",
            "Precision, recall and calibration on mature days: share, and its 95 % interval",
            ["measure", "bound"],
            registry=self.registry,
        )
        self.cohort_days = Gauge("assay_cohort_days", "Mature days that were measured", registry=self.registry)
        self.alerts_firing = Gauge(
            "assay_alerts_firing",
            "Alerts in force by kind, also those that are snoozed",
            ["alert"],
            registry=self.registry,
        )
        self.alerts_published = Counter(
            "assay_alerts_published", "Records of the alerts topic", ["alert", "status"], registry=self.registry
        )
        self.entity_profiles = Counter(
            "assay_warm_entity_profiles", "Profiles of entities that were published", registry=self.registry
        )
        self.webhook_failures = Counter(
            "assay_webhook_failures", "Alerts that could not be posted to the webhook", registry=self.registry
        )
        self.spans_dropped = _spans_dropped(self.registry)

    def show_cohort(self, cohort: Cohort | None) -> None:
        """Show what mature days say of decisions; what cannot be said is NaN."""
        measures = {} if cohort is None else {name: getattr(cohort, name) for name in COHORT_MEASURES}
        for name in COHORT_MEASURES:
            estimate = measures.get(name)
            for bound in Estimate._fields:
                value = math.nan if estimate is None else getattr(estimate, bound)
                self.cohort.labels(name, bound).set(value)
        self.cohort_days.set(0 if cohort is None else cohort.days)

    def show_alerts(self, in_force: Mapping[str, int], published: Iterable[Alert]) -> None:
        """Show what is in force after a look, and count what was published of it.

        Args:
            in_force: how many of every kind, 0 among them; see `streams.alert_book.AlertBook.count_by_kind`.
            published: records of the look.
        """
        for kind, count in in_force.items():
            self.alerts_firing.labels(kind).set(count)
        for alert in published:
            self.alerts_published.labels(alert.alert, alert.status).inc()
