"""What a comparison says: what is clean and what is not, and commands that can be run as they stand."""

import numpy as np
import pytest

from features.catalogue import FEATURES
from models.skew import SkewTally
from streams.skew import Explained, SkewFound
from streams.skew_report import Difference, SkewReport, differences, report_text

OWN, OF_ENTITY = FEATURES.names[0], FEATURES.names[-1]


def found(is_judged: bool = True) -> SkewFound:
    tally = SkewTally((OWN, OF_ENTITY))
    tally.add(np.arange(2), np.zeros((2, 2), np.float32), np.array([[1, 0], [1, 4]], np.float32))
    first = {OWN: Explained(3, 17, is_judged), OF_ENTITY: Explained(3, 19, is_judged)}
    return SkewFound(tally, 0, 0, first)


def report(**changes: object) -> SkewReport:
    fields = {"file": None, "compared": 2, "at_event": 2, "names": 125, "differing": 0, "features": [], **changes}
    return SkewReport(**fields)  # type: ignore[arg-type]


def test_a_difference_comes_with_the_command_that_explains_it() -> None:
    own, of_entity = differences(found(), ["--archive", "my archive"])
    assert own.explain == f"assay explain 3:17 --feature {OWN} --archive 'my archive'"
    assert of_entity.explain == "assay explain 3:19 --archive 'my archive'", "no list of events tells it"
    assert differences(found(is_judged=False), [])[0].explain == "assay explain 3:17"
    assert (own.skew.differing, of_entity.skew.differing) == (2, 1)


def one_difference() -> list[Difference]:
    return differences(found(), [])[:1]


@pytest.mark.parametrize(
    ("changes", "is_clean", "said"),
    [
        ({}, True, "2 outcomes compared in 125 features: 0 differ"),
        ({"compared": 0, "at_event": 0}, False, "there was nothing to compare"),
        ({"features": one_difference(), "differing": 2}, False, "2 differ, in 1 feature"),
        ({"not_given": 1}, False, "1 more are at places where the log gives no outcome"),
        ({"unreadable": 1}, False, "1 records among the outcomes are none"),
        ({"other_feature_set": 1}, True, "1 more are of another feature set"),
        ({"without_features": 1}, True, "1 were published without features"),
        ({"file": "f.parquet", "not_given": 1}, True, "1 more rows are of events that are not judged in this range"),
        ({"file": "f.parquet", "given_again": 1}, True, "1 more rows are of events that were judged more than once"),
        ({"at_event": 1}, True, "1 with what the model was given, 1 with what the log gives at the label"),
    ],
)
def test_what_is_clean_and_what_is_said(changes: dict[str, object], is_clean: bool, said: str) -> None:
    one = report(**changes)
    assert one.is_clean is is_clean
    text = "\n".join(report_text(one))
    assert said in text
    assert said not in "\n".join(report_text(report(compared=9, names=7)))
