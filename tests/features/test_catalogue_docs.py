"""The page of features says what the catalogue declares."""

import dataclasses
from pathlib import Path

import pytest

from features.catalogue import FEATURES
from features.catalogue_docs import markdown
from features.feature import FeatureSet

PAGE = Path(__file__).parents[2] / "docs" / "features.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == markdown(), "run: python -m features.catalogue_docs > docs/features.md"


def test_every_feature_has_one_row_with_everything_declared() -> None:
    rows = [line.split(" | ") for line in markdown().splitlines() if line.startswith("| `")]
    assert sorted(row[0].strip("| `") for row in rows) == sorted(FEATURES.names)
    for row in rows:
        feature = FEATURES.features[FEATURES.index[row[0].strip("| `")]]
        assert row[1] == feature.definition
        assert row[4] == (feature.nan or "never")
        assert row[5].strip(" |") == feature.reason_code


def test_a_changed_declaration_changes_the_page() -> None:
    first, *others = FEATURES.features
    changed = dataclasses.replace(first, definition="something else")
    assert markdown(FeatureSet(FEATURES.version, (changed, *others))) != markdown()


def test_a_feature_without_a_group_is_refused() -> None:
    first, *others = FEATURES.features
    stray = dataclasses.replace(first, reason_code="ZZZ01")
    with pytest.raises(AssertionError, match="ZZZ"):
        markdown(FeatureSet(FEATURES.version, (stray, *others)))
