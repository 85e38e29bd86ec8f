"""What every measurement prints beside its numbers, and how a command is measured as a whole process."""

import os
import platform
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

ROOT = Path(__file__).resolve().parents[1]
ASSAY = str(Path(sys.executable).with_name("assay"))


def circumstances(data: str, bias: str) -> dict[str, Any]:
    """Machine, versions, commit, data and the known bias of a measurement."""
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "commit": commit or "not a checkout",
        "data": data,
        "bias": bias,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


@dataclass(frozen=True, slots=True)
class Run:
    """One finished process: wall and CPU seconds, largest resident memory, what it printed."""

    wall_s: float
    cpu_s: float
    peak_mebibytes: float
    output: str


def run(arguments: list[str], *, core: int | None = 0, environment: dict[str, str] | None = None) -> Run:
    """Run a command to its end, pinned to one core (None: not pinned), and measure it."""
    started = time.perf_counter()
    process = subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        env={**os.environ, **(environment or {})},
        preexec_fn=None if core is None else lambda: os.sched_setaffinity(0, {core}),
    )
    assert process.stdout is not None
    output = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(arguments)} ended with {process.returncode}")
    return Run(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, output)


def show(title: str, facts: dict[str, Any], *, as_json: bool) -> None:
    """Print one measurement, for people or for machines."""
    if as_json:
        sys.stdout.buffer.write(orjson.dumps({"benchmark": title, **facts}) + b"\n")
        return
    print(title)
    for name, value in facts.items():
        print(f"  {name:24} {value:,.2f}" if isinstance(value, float) else f"  {name:24} {value}")


def open_files_limit() -> None:
    """Allow as many open files as the system lets us; RocksDB wants a few hundred."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
