"""The rules of Prometheus as Prometheus itself sees them: each fires when it should, and not when it should not."""

import copy
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
RULES = yaml.safe_load((DEPLOY / "prometheus-rules.yml").read_text())
CASES = yaml.safe_load((DEPLOY / "prometheus-rules.test.yml").read_text())
NAMES = [rule["alert"] for group in RULES["groups"] for rule in group["rules"]]


def promtool(*words: str, directory: Path = DEPLOY) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *words], cwd=directory, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", NAMES)
def test_each_rule_has_a_case_that_fires_it_and_one_that_does_not(name: str) -> None:
    expected = [
        bool(look["exp_alerts"])
        for case in CASES["tests"]
        for look in case["alert_rule_test"]
        if look["alertname"] == name
    ]
    assert {True, False} <= set(expected)
    assert all(case["name"].partition(":")[0] == case["alert_rule_test"][0]["alertname"] for case in CASES["tests"])


@pytest.mark.promtool
def test_prometheus_can_read_the_rules() -> None:
    done = promtool("check", "rules", "prometheus-rules.yml")
    assert done.returncode == 0, done.stderr
    assert f"{len(NAMES)} rules found" in done.stdout


@pytest.mark.promtool
def test_prometheus_fires_and_says_what_the_cases_expect() -> None:
    done = promtool("test", "rules", "prometheus-rules.test.yml")
    assert done.returncode == 0, done.stderr + done.stdout


def always(rule: dict[str, Any]) -> None:
    rule["expr"] = "vector(1)"
    rule.pop("for", None)


def never(rule: dict[str, Any]) -> None:
    rule["expr"] = "vector(1) > 2"


def at_once(rule: dict[str, Any]) -> None:
    rule.pop("for", None)


@pytest.mark.promtool
@pytest.mark.parametrize(
    ("fault", "found"),
    [(always, NAMES), (never, NAMES), (at_once, ["AssayWorkerDown", "AssayWarmDown", "AssayDegraded"])],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_cases_find_a_rule_that_is_wrong(
    tmp_path: Path, fault: Callable[[dict[str, Any]], None], found: list[str]
) -> None:
    rules = copy.deepcopy(RULES)
    for group in rules["groups"]:
        for rule in group["rules"]:
            fault(rule)
    (tmp_path / "prometheus-rules.yml").write_text(yaml.safe_dump(rules))
    (tmp_path / "cases.yml").write_text((DEPLOY / "prometheus-rules.test.yml").read_text())
    done = promtool("test", "rules", "cases.yml", directory=tmp_path)
    assert done.returncode == 1
    assert set(re.findall(r"alertname: (\w+)", done.stdout + done.stderr)) == set(found)


def test_a_session_without_promtool_names_the_tests_that_did_not_run(tmp_path: Path) -> None:
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    marked = "import pytest\n\n\ndef test_alone(): pass\n\n\n@pytest.mark.promtool\ndef test_with(): pass\n"
    (tests / "test_two.py").write_text(marked)

    def session(**more: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": str(tmp_path), "PYTHONPATH": str(ROOT), **more}
        command = [sys.executable, "-m", "pytest", "-c", "/dev/null", "--rootdir", str(tmp_path), str(tests)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    lenient = session()
    assert lenient.returncode == 0, lenient.stdout
    assert "1 passed" in lenient.stdout
    assert lenient.stdout.count("1 tests did not run: no promtool") == 1
    assert "test_two.py::test_with" in lenient.stdout
    assert "apt-get install prometheus" in lenient.stdout
    assert session(ASSAY_REQUIRE_BROKER="1").returncode == 1
