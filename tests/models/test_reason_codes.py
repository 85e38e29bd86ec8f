"""The registry of reason codes is whole, its texts can be filled in, and the docs are what it says."""

import re
from pathlib import Path
from string import Formatter

import pytest

from features.catalogue import FEATURES
from models.reason_codes import (
    ANOMALY,
    FAMILIES,
    GENERAL,
    NO_RULE_MATCHED,
    REASON_CODES,
    RULE_MATCHED,
    UNUSUAL,
    reasons_markdown,
)

DOCS = Path(__file__).parents[2] / "docs" / "reasons.md"
PLACEHOLDERS = {"value", "percent", "s", "es", "ies", "window", "definition", "usual", "told", "share", "rule"}
CODES = list(REASON_CODES.values())


def test_every_feature_has_a_registered_code():
    missing = {
        feature.name: feature.reason_code for feature in FEATURES.features if feature.reason_code not in REASON_CODES
    }
    assert missing == {}


def test_every_code_is_used_or_about_the_whole_event():
    used = {feature.reason_code for feature in FEATURES.features}
    assert set(REASON_CODES) - used == {ANOMALY, UNUSUAL, RULE_MATCHED, NO_RULE_MATCHED, GENERAL}


@pytest.mark.parametrize("code", CODES, ids=list(REASON_CODES))
def test_a_code_names_its_family_and_says_what_it_means(code):
    assert re.fullmatch(r"[A-Z]{3}\d\d", code.code)
    assert code.code[:3] in FAMILIES
    assert code.meaning
    assert code.customer[0].isupper()
    assert not re.search(r"\d|\{|fraud|score|model", code.customer), "a customer sees no threshold and no suspicion"


@pytest.mark.parametrize("code", CODES, ids=list(REASON_CODES))
def test_analyst_texts_use_registered_placeholders_only(code):
    assert code.analyst
    for text in code.analyst.values():
        assert {name for _, name, _, _ in Formatter().parse(text) if name is not None} <= PLACEHOLDERS


@pytest.mark.parametrize("feature", FEATURES.features, ids=FEATURES.names)
def test_every_feature_has_a_text_of_its_own(feature):
    """VEL03 tells the definition; everything else says it in the words of its code, and a window where there is one."""
    code = REASON_CODES[feature.reason_code]
    for value in (0.0, 1.0, 2.5):
        text = code.template(feature.name, feature.unit, value)
        assert ("{definition}" in text) == (code.code == "VEL03")
        assert "{window}" not in text or feature.window is not None
        assert feature.window is None or "{window}" in text


def test_a_flag_that_is_not_set_says_so():
    new_device = REASON_CODES["NEW02"]
    assert new_device.template("account_device_is_new", "flag", 1.0) == "device never seen on this account"
    assert new_device.template("account_device_is_new", "flag", 0.0) == "device already seen on this account"
    assert REASON_CODES["CTX01"].template("event_is_login", "flag", 0.0) == "the event is not a login"


def test_the_docs_are_generated_from_the_registry():
    """To write them anew: Path("docs/reasons.md").write_text(reasons_markdown())."""
    assert DOCS.read_text(encoding="utf-8") == reasons_markdown()
    for code in REASON_CODES:
        assert f"| {code} |" in reasons_markdown()
