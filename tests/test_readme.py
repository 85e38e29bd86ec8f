"""Every command of the README is run as it stands there, and the verdict that it shows is the real one."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import orjson
import pytest
from confluent_kafka import Consumer, TopicPartition

from streams import broker as kafka
from streams.kafka_clients import ask_committed

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
FIRST_BROKER_LINE, LAST_BROKER_LINE = "assay broker up", "assay broker down"


def lines_of(block: str) -> list[str]:
    return [line.split("  #")[0].strip() for line in block.splitlines() if line.strip()]


def broker_lines() -> list[str]:
    """What needs a broker: from the block that starts it to the one that stops it."""
    lines = [line for block in BLOCKS for line in lines_of(block)]
    return lines[lines.index(FIRST_BROKER_LINE) : lines.index(LAST_BROKER_LINE) + 1]


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """An empty directory with the one file of the repository that the README's commands name."""
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "example.jsonl", tmp_path / "docs")
    return tmp_path


def environment(**more: str) -> dict[str, str]:
    scripts = str(Path(sys.executable).parent)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ASSAY_") or name == "ASSAY_CACHE"}
    return {**kept, "PATH": f"{scripts}:{os.environ['PATH']}", **more}


def run(line: str, desk: Path, **more: str) -> str:
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", line], cwd=desk, env=environment(**more), capture_output=True, text=True
    )
    assert result.returncode == 0, f"{line}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def test_the_files_of_the_readme_run_one_after_another(desk: Path) -> None:
    """The blocks that need no broker, in the order of the document."""
    needing_one = broker_lines()
    lines = [line for block in BLOCKS for line in lines_of(block) if line not in needing_one]
    assert [line for line in lines if line.startswith("make")] == ["make demo", "make test"]  # run by CI and test_demo
    for line in lines:
        if not line.startswith("make"):
            run(line, desk)
    assert (desk / "day" / "verdicts-2.jsonl").stat().st_size > 0


def test_the_verdict_that_the_readme_shows_is_the_real_one(desk: Path) -> None:
    command = next(line for block in BLOCKS for line in lines_of(block) if "docs/example.jsonl --out" in line)
    run(command, desk)
    verdict = orjson.loads((desk / "verdicts.jsonl").read_bytes().splitlines()[-1])
    for reason in verdict["reasons"]:
        for name in ("feature", "value", "baseline", "contribution"):
            del reason[name]
    shown = README[README.index('verdict   {"event_id"') :].split("```")[0].removeprefix("verdict   ")
    shown = re.sub(r"\s*\n\s*", "", shown).replace(", ... ,", ",")
    assert orjson.loads(shown) == verdict


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home for the README's broker, which is stopped whatever happens."""
    directory = tmp_path / "home"
    directory.mkdir()
    yield directory
    kafka.stop(directory / ".local" / "state" / "assay" / "broker")


def test_the_broker_of_the_readme(desk: Path, home: Path, broker: kafka.RunningBroker) -> None:
    """The Kafka blocks as they stand, but for the port, because 9092 may be taken on this machine."""
    caches = {"ASSAY_CACHE": os.environ.get("ASSAY_CACHE", str(Path.home() / ".cache" / "assay"))}
    assert broker.bootstrap_servers  # the fixture says whether a broker can be had at all
    started = orjson.loads(run(f"{FIRST_BROKER_LINE} --port 0 --json", desk, HOME=str(home), **caches))
    bootstrap = started["bootstrap_servers"]
    settings = {"HOME": str(home), "ASSAY_KAFKA_BOOTSTRAP": bootstrap, "ASSAY_HTTP_PORT": "0", **caches}
    said = {}
    for line in broker_lines()[1:]:
        if line.startswith("assay run"):
            run_until(line, desk, settings, "fraud.events", "assay-engine", 1_000)
        elif line.startswith("assay warm"):
            run_until(line, desk, {**settings, "ASSAY_WARM_HTTP_PORT": "0"}, "fraud.labels", "assay-warm", 1)
        elif line.startswith("assay console"):
            open_console(line, desk, {**settings, "ASSAY_CONSOLE_PORT": "0"})
        else:
            said[line] = run(line.replace("127.0.0.1:9092", bootstrap), desk, **settings)
    assert "100 equal, 0 different" in said["assay verify --sample 100"]
    assert ": 0 differ\n" in said["assay skew --partition 0 --training-set again.parquet"]
    again = (desk / "again.jsonl").read_bytes().splitlines()
    assert len(again) > 1_000


def open_console(line: str, desk: Path, settings: dict[str, str]) -> None:
    """The console until its list of verdicts has some, then SIGTERM."""
    console = subprocess.Popen(
        shlex.split(line), cwd=desk, env=environment(**settings), stderr=subprocess.PIPE, text=True
    )
    assert console.stderr is not None
    said = next((each for each in console.stderr if "the console is at" in each), "")
    url = said.split()[-1]
    deadline = time.monotonic() + 120
    while b'href="/event/' not in urlopen(f"{url}verdicts", timeout=30).read():
        assert time.monotonic() < deadline, "the console does not show a verdict"
        time.sleep(0.2)
    console.send_signal(signal.SIGTERM)
    _, rest = console.communicate(timeout=60)
    assert console.returncode == 0, rest


def run_until(line: str, desk: Path, settings: dict[str, str], topic: str, group: str, least: int) -> None:
    """A worker until its group has committed the whole topic, at least `least` records, then SIGTERM."""
    place = TopicPartition(topic, 0), TopicPartition(topic, 1)
    connection = {"bootstrap.servers": settings["ASSAY_KAFKA_BOOTSTRAP"], "log_level": 0}
    consumer = Consumer({**connection, "group.id": group, "enable.auto.commit": False})
    ends = [consumer.get_watermark_offsets(each)[1] for each in place]
    assert sum(ends) > least
    worker = subprocess.Popen(shlex.split(line), cwd=desk, env=environment(**settings), stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while [ask_committed(consumer, each, 60.0).offset for each in place] != ends:
        assert worker.poll() is None, worker.communicate()[1].decode()
        assert time.monotonic() < deadline, "the worker does not get to the end of the log"
        time.sleep(0.2)
    consumer.close()
    worker.send_signal(signal.SIGTERM)
    _, said = worker.communicate(timeout=60)
    assert worker.returncode == 0, said.decode()
    assert b"stopped: every" in said
