"""What a comparison of features says, for people and for programs. Pure."""

import shlex
from collections.abc import Iterator, Sequence

import msgspec

from features.catalogue import FEATURES
from models.skew import FeatureSkew
from streams.skew import SkewFound

_OF_ACCOUNTS = {feature.name for feature in FEATURES.of_accounts}


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A feature with values that differ.

    Attributes:
        skew: how often, and by how much.
        partition: of the first record to explain.
        offset: the same.
        explain: the command that explains it.
    """

    skew: FeatureSkew
    partition: int
    offset: int
    explain: str


class SkewReport(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a comparison.

    Attributes:
        file: that was compared; null: published outcomes.
        compared: rows.
        at_event: of them, with what the model was given for the event; the others with what the log gives at the label.
        names: features compared in each row.
        differing: rows with another value in any feature.
        without_features: of the rows compared, outcomes that were published without features.
        not_given: rows that the log does not give: a fault of outcomes, but a file may hold more than the range.
        given_again: rows of a file whose event was judged more than once; left out.
        other_feature_set: outcomes of another feature set; left out.
        unreadable: records among the outcomes that are none of their partition.
        features: those that differ, worst first.
    """

    file: str | None
    compared: int
    at_event: int
    names: int
    differing: int
    without_features: int = 0
    not_given: int = 0
    given_again: int = 0
    other_feature_set: int = 0
    unreadable: int = 0
    features: list[Difference]

    @property
    def is_of_outcomes(self) -> bool:
        """Whether it is about what was served, and not about a file."""
        return self.file is None

    @property
    def is_clean(self) -> bool:
        """Whether something was compared, and all of it is equal."""
        lost = self.not_given if self.is_of_outcomes else 0
        return self.compared > 0 and not (self.features or lost or self.unreadable)


def differences(found: SkewFound, options: Sequence[str]) -> list[Difference]:
    """The features that differ, each with the command that explains its first record.

    Args:
        found: by comparing.
        options: of the command that compared, which tell where the log is.
    """
    told = []
    for skew in found.tally.found():
        partition, offset, is_judged = found.first[skew.name]
        # What many accounts showed has no list of events, and neither has what got no verdict.
        of_one = is_judged and skew.name in _OF_ACCOUNTS
        words = ["assay", "explain", f"{partition}:{offset}", *(["--feature", skew.name] if of_one else []), *options]
        told.append(Difference(skew=skew, partition=partition, offset=offset, explain=shlex.join(words)))
    return told


def report_text(report: SkewReport) -> Iterator[str]:
    """Line by line; what is to be done first.

    >>> skew = FeatureSkew(name="account_payment_count_1h", differing=3, share=0.25, one_sided=1, largest=2.0)
    >>> one = Difference(skew=skew, partition=0, offset=7, explain="assay explain 0:7")
    >>> report = SkewReport(file=None, compared=12, at_event=12, names=125, differing=3, features=[one])
    >>> print("\\n".join(report_text(report)))
    account_payment_count_1h: 3 of 12 rows differ (25.00%), 1 with a value on one side only, by up to 2
        assay explain 0:7
    12 outcomes compared in 125 features: 3 differ, in 1 feature
      12 with what the model was given, 0 with what the log gives at the label
    """
    for difference in report.features:
        skew = difference.skew
        yield (
            f"{skew.name}: {skew.differing:,} of {report.compared:,} rows differ ({skew.share:.2%}), "
            f"{skew.one_sided:,} with a value on one side only, by up to {skew.largest:g}"
        )
        yield f"    {difference.explain}"
    rows = "outcomes" if report.is_of_outcomes else f"rows of {report.file}"
    features = f", in {len(report.features)} {'feature' if len(report.features) == 1 else 'features'}"
    yield (
        f"{report.compared:,} {rows} compared in {report.names} features: "
        f"{report.differing:,} differ{features if report.features else ''}"
    )
    if not report.compared:
        yield "there was nothing to compare in this range, so nothing is shown"
    elif report.is_of_outcomes:
        at_label = report.compared - report.at_event
        yield f"  {report.at_event:,} with what the model was given, {at_label:,} with what the log gives at the label"
    yield from _left_out(report)


def _left_out(report: SkewReport) -> Iterator[str]:
    if report.without_features:
        yield f"  {report.without_features:,} were published without features: their events had left the history"
    if report.not_given and report.is_of_outcomes:
        yield (
            f"  {report.not_given:,} more are at places where the log gives no outcome: this is not the log they came "
            "from, or labels are not trusted here as there (security.internal_key)"
        )
    elif report.not_given:
        yield f"  {report.not_given:,} more rows are of events that are not judged in this range of the log"
    if report.given_again:
        yield f"  {report.given_again:,} more rows are of events that were judged more than once: left out"
    if report.other_feature_set:
        yield f"  {report.other_feature_set:,} more are of another feature set: only its own version can compare them"
    if report.unreadable:
        yield f"  {report.unreadable:,} records among the outcomes are none: the engine did not write them"
