"""What every measurement prints beside its numbers, and how a command is measured as a whole process."""

import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from features.errors import AssayError

ROOT = Path(__file__).resolve().parents[1]
ASSAY = (sys.executable, "-P", "-m", "streams.cli")
"""The command of this checkout, whatever is installed; run it with `environment`."""


def environment(**more: str) -> dict[str, str]:
    """Environment of a measured process: this checkout's code, none of the user's settings but the cache.

    Args:
        more: further variables.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ASSAY_") or name == "ASSAY_CACHE"}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


def cache_directory() -> Path:
    """Where workloads and the rivals' environment are kept: ``$ASSAY_CACHE/benchmarks``, else below ``~/.cache``."""
    return Path(os.environ.get("ASSAY_CACHE") or Path.home() / ".cache" / "assay") / "benchmarks"


def announce(what: str) -> None:
    """One line of progress, for whoever waits."""
    print(f"bench: {what}", file=sys.stderr, flush=True)


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


def run(arguments: Sequence[str], *, core: int | None = 0) -> Run:
    """Run a command to its end, pinned to one core (None: not pinned), and measure it.

    Raises:
        AssayError: it failed; what it said is on standard error.
    """
    started = time.perf_counter()
    process = subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        env=environment(),
        preexec_fn=None if core is None else lambda: os.sched_setaffinity(0, {core}),
    )
    assert process.stdout is not None
    output = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise AssayError(f"{' '.join(arguments)} ended with {process.returncode}; its own words stand above")
    return Run(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, output)


def show(title: str, facts: dict[str, Any], *, as_json: bool) -> None:
    """Print one measurement, for people or for machines."""
    if as_json:
        print(orjson.dumps({"benchmark": title, **facts}).decode(), flush=True)
        return
    print(title)
    for name, value in facts.items():
        print(f"  {name:28} {value:,.2f}" if isinstance(value, float) else f"  {name:28} {value}")
    sys.stdout.flush()


def open_files_limit() -> None:
    """Allow as many open files as the system lets us; RocksDB wants a few hundred."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
