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

import orjson
import pytest

from streams import broker as kafka

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
BROKER_LINE = "assay broker up"


def lines_of(block: str) -> list[str]:
    return [line.split("  #")[0].strip() for line in block.splitlines() if line.strip()]


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
    lines = [line for block in BLOCKS if BROKER_LINE not in block for line in lines_of(block)]
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
    """The Kafka block as it stands, but for the port, because 9092 may be taken on this machine."""
    caches = {"ASSAY_CACHE": os.environ.get("ASSAY_CACHE", str(Path.home() / ".cache" / "assay"))}
    block = lines_of(next(block for block in BLOCKS if BROKER_LINE in block))
    assert broker.bootstrap_servers  # the fixture says whether a broker can be had at all
    started = orjson.loads(run(f"{BROKER_LINE} --port 0 --json", desk, HOME=str(home), **caches))
    bootstrap = started["bootstrap_servers"]
    settings = {"HOME": str(home), "ASSAY_KAFKA_BOOTSTRAP": bootstrap, "ASSAY_HTTP_PORT": "0", **caches}
    for line in block:
        if line.startswith("assay run"):
            worker = subprocess.Popen(shlex.split(line), cwd=desk, env=environment(**settings), stderr=subprocess.PIPE)
            time.sleep(8)
            worker.send_signal(signal.SIGTERM)
            _, said = worker.communicate(timeout=60)
            assert worker.returncode == 0, said.decode()
            assert b"every batch is committed" in said
        elif line != BROKER_LINE:
            run(line.replace("127.0.0.1:9092", bootstrap), desk, **settings)
