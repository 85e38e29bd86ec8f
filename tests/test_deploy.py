"""What is deployed names only things that exist: files, services, commands, settings, metrics, targets."""

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from streams.broker import KAFKA_VERSION
from streams.config import SETTINGS
from streams.metrics import WarmMetrics, WorkerMetrics

ROOT = Path(__file__).parents[1]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DASHBOARDS = sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))
RULES = [
    rule
    for group in yaml.safe_load((ROOT / "deploy/prometheus-rules.yml").read_text())["groups"]
    for rule in group["rules"]
]
EXPOSED = {"counter": ["_total"], "gauge": [""], "info": ["_info"], "histogram": ["_bucket", "_sum", "_count"]}
METRICS = {
    metric.name + suffix
    for every in (WorkerMetrics(), WarmMetrics())
    for metric in every.registry.collect()
    for suffix in EXPOSED[metric.type]
}

every_service = pytest.mark.parametrize("name", SERVICES)


def mounts(service: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Source and target of each volume."""
    for volume in service.get("volumes", ()):
        source, target, *_ = volume.split(":")
        yield source, target


def metrics_in(expression: str) -> set[str]:
    return set(re.findall(r"\bassay_\w+", expression))


def panels() -> Iterator[dict[str, Any]]:
    for path in DASHBOARDS:
        yield from json.loads(path.read_text())["panels"]


@every_service
def test_a_service_says_what_it_runs_and_how_it_is_well(name: str) -> None:
    service = SERVICES[name]
    assert service["image"] or service["build"]
    assert service["healthcheck"]["test"][0] == "CMD"
    tag = service["image"].rpartition(":")[2]
    assert re.fullmatch(r"v?\d+\.\d+\.\d+", tag), "images are pinned to one version"


@every_service
def test_a_service_waits_for_services_that_exist(name: str) -> None:
    for other, wait in SERVICES[name].get("depends_on", {}).items():
        ends = SERVICES[other]["restart"] == "no"
        assert (wait["condition"] == "service_completed_successfully") == ends
        assert not SERVICES[other].get("profiles"), "a service that is off by default is never waited for"


@every_service
def test_what_a_service_mounts_exists(name: str) -> None:
    for source, _ in mounts(SERVICES[name]):
        assert (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]


@every_service
def test_ports_are_published_on_the_loopback_address_only(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", ()))


@every_service
def test_what_a_service_tells_the_engine_is_a_setting(name: str) -> None:
    variables = {variable for variable in SERVICES[name].get("environment", {}) if variable.startswith("ASSAY_")}
    assert variables <= {setting.variable for setting in SETTINGS}


def test_every_volume_is_used() -> None:
    assert {source for service in SERVICES.values() for source, _ in mounts(service)} >= set(COMPOSE["volumes"])


def test_what_is_on_by_default_runs_commands_that_exist() -> None:
    from streams.cli import app

    commands = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    ours = [service for service in SERVICES.values() if "build" in service and "profiles" not in service]
    assert len(ours) == 4
    assert {service["command"][0] for service in ours} <= commands


def test_the_two_ways_to_a_broker_run_the_same_kafka() -> None:
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{KAFKA_VERSION}"


def instructions() -> list[list[str]]:
    """The Dockerfile, one list of words per instruction."""
    text = (ROOT / SERVICES["worker"]["build"]["dockerfile"]).read_text()
    lines = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    return [line.split() for line in lines if line.strip()]


def test_the_image_copies_what_exists_and_is_sent_to_the_builder() -> None:
    sources = [source for words in instructions() if words[0] == "COPY" for source in words[1:-1]]
    ignore = (ROOT / "deploy/Dockerfile.dockerignore").read_text().splitlines()
    assert len(sources) == 4
    for source in sources:
        assert (ROOT / source).exists()
        assert any(fnmatch(source, pattern[1:]) for pattern in ignore if pattern.startswith("!"))


def test_the_image_installs_pinned_packages_and_does_not_run_as_root() -> None:
    words = instructions()
    assert ["FROM", "python:3.11-slim"] in words
    assert any("--require-hashes" in instruction for instruction in words)
    (user,) = [instruction[1] for instruction in words if instruction[0] == "USER"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    (check,) = [" ".join(instruction) for instruction in words if instruction[0] == "HEALTHCHECK"]
    assert ":9108/readyz" in check


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_a_dashboard_is_complete(path: Path) -> None:
    board = json.loads(path.read_text())
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"]) > 0
    assert all(panel["targets"] and panel["title"] for panel in board["panels"])


def test_dashboards_show_every_metric_of_the_worker_and_no_other() -> None:
    shown = {name for panel in panels() for target in panel["targets"] for name in metrics_in(target["expr"])}
    assert shown <= METRICS

    def families(names: set[str]) -> set[str]:
        return {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}

    assert families(METRICS) == families(shown)


def test_dashboards_and_their_source_are_provisioned() -> None:
    folder = ROOT / "deploy/grafana/provisioning"
    (source,) = yaml.safe_load((folder / "datasources/prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((folder / "dashboards/assay.yml").read_text())["providers"]
    targets = {target: origin for origin, target in mounts(SERVICES["grafana"])}
    assert {panel["datasource"]["uid"] for panel in panels()} == {source["uid"]}
    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in SERVICES
    assert targets[provider["options"]["path"]] == "./deploy/grafana/dashboards"
    assert targets["/etc/grafana/provisioning"] == "./deploy/grafana/provisioning"


def test_prometheus_asks_services_that_exist_and_reads_rules_that_are_mounted() -> None:
    config = yaml.safe_load((ROOT / "deploy/prometheus.yml").read_text())
    targets = [
        target for job in config["scrape_configs"] for each in job["static_configs"] for target in each["targets"]
    ]
    assert [target.split(":")[0] for target in targets] == ["worker", "warm"]
    assert SERVICES["worker"]["environment"]["ASSAY_HTTP_PORT"] == targets[0].split(":")[1]
    assert SERVICES["warm"]["environment"]["ASSAY_WARM_HTTP_PORT"] == targets[1].split(":")[1]
    assert set(config["rule_files"]) <= {target for _, target in mounts(SERVICES["prometheus"])}
    jobs = {job["job_name"] for job in config["scrape_configs"]}
    named = {name for rule in RULES for name in re.findall(r'job="([^"]+)"', rule["expr"])}
    assert named == jobs


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_and_what_to_do(rule: dict[str, Any]) -> None:
    assert metrics_in(rule["expr"]) <= METRICS
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["runbook"] == f"docs/runbooks/{rule['alert']}.md"
    assert metrics_in(rule["annotations"]["action"]) <= METRICS | {"assay_batch_seconds", "assay_commit_seconds"}


def test_there_is_an_alert_for_each_way_to_fail() -> None:
    alerts = {rule["alert"] for rule in RULES}
    assert alerts >= {"AssayWorkerDown", "AssayNoCommits", "AssayLag", "AssayDeadLetterShare", "AssayDegraded"}


def test_every_stage_of_the_build_is_a_target_of_the_makefile() -> None:
    jenkinsfile = (ROOT / "Jenkinsfile").read_text()
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    steps = re.findall(r"sh '([^']*)'", jenkinsfile)
    called = [target for step in steps for target in re.findall(r"\bmake (\w+)", step)]
    assert called == ["setup", "check", "test", "bench"]
    assert set(called) <= set(targets)
    assert jenkinsfile.count("{") == jenkinsfile.count("}")
