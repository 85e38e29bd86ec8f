"""A client under test: a process on the first core that reads the events and publishes something for each."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from benchmarks.arena import PREFIX, Arena
from benchmarks.cores import first_core, pinned
from benchmarks.peers_environment import peers_environment
from benchmarks.rates import Sample
from benchmarks.report import ASSAY, ROOT, environment
from benchmarks.workload import Workload
from features.errors import AssayError

START_S = 120.0
"""A client that has published nothing for so long is given up."""
_STOP_S = 30.0
_LOOK_S = 0.05
_SETTLED_S = 2.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Contestant:
    """How to start a client.

    Attributes:
        name: for people and for files.
        command: its words.
        variables: its whole environment.
        target: topic that it writes.
        directory: its own, empty.
    """

    name: str
    command: Sequence[str]
    variables: Mapping[str, str]
    target: str
    directory: Path


def assay_worker(
    arena: Arena, load: Workload, directory: Path, *, prefix: str = PREFIX, delivery: str = "exactly_once"
) -> Contestant:
    """The product: one worker of this checkout with its defaults, and a group and a state of its own."""
    own = directory / f"worker-{next(_numbers)}"
    variables = _worker_variables(arena, own, prefix, delivery) | {"ASSAY_MODELS_FIRST": str(load.model)}
    return Contestant("assay", [*ASSAY, "run"], environment(**variables), f"{prefix}verdicts", own)


def warm_worker(arena: Arena, directory: Path, *, prefix: str = PREFIX) -> Contestant:
    """`assay warm` of this checkout with its defaults, and a group and a directory of its own."""
    own = directory / f"warm-{next(_numbers)}"
    variables = {
        "ASSAY_KAFKA_BOOTSTRAP": arena.bootstrap,
        "ASSAY_TOPICS_PREFIX": prefix,
        "ASSAY_WARM_GROUP": f"bench-{own.name}",
        "ASSAY_WARM_DIRECTORY": str(own),
        "ASSAY_WARM_HTTP_PORT": "-1",
        "ASSAY_SECURITY_TRUST_INTERNAL": "true",
    }
    return Contestant("warm", [*ASSAY, "warm"], environment(**variables), f"{prefix}entities", own)


def bare_loop(
    arena: Arena, target: str, directory: Path, *, prefix: str = PREFIX, delivery: str = "exactly_once"
) -> Contestant:
    """The ceiling: the same bytes in and out, with the worker's client settings."""
    own = directory / f"bare-{next(_numbers)}"
    command = [sys.executable, "-P", "-m", "benchmarks.bare_loop", target]
    return Contestant("bare", command, environment(**_worker_variables(arena, own, prefix, delivery)), target, own)


def rival(
    arena: Arena, load: Workload, directory: Path, *, name: str, form: str, python: Path, target: str
) -> Contestant:
    """One of `benchmarks/peers`, in the rivals' environment."""
    own = directory / f"{name}-{next(_numbers)}"
    words = {
        "bootstrap": arena.bootstrap,
        "events": f"{PREFIX}events",
        "verdicts": target,
        "group": f"bench-{own.name}",
        "model": str(load.peer_model),
        "directory": str(own),
        "form": form,
    }
    options = [word for option, value in words.items() for word in (f"--{option}", value)]
    command = [str(python), "-P", "-m", f"benchmarks.peers.{name}", *options]
    return Contestant(name, command, peers_environment(), target, own)


def _worker_variables(arena: Arena, own: Path, prefix: str, delivery: str) -> dict[str, str]:
    return {
        "ASSAY_KAFKA_BOOTSTRAP": arena.bootstrap,
        "ASSAY_KAFKA_GROUP": f"bench-{own.name}",
        "ASSAY_TOPICS_PREFIX": prefix,
        "ASSAY_ENGINE_DELIVERY": delivery,
        "ASSAY_STATE_DIRECTORY": str(own),
        "ASSAY_HTTP_PORT": "-1",
        "ASSAY_SECURITY_TRUST_INTERNAL": "true",
    }


@contextmanager
def running(contestant: Contestant, core: int | None = None) -> Iterator["subprocess.Popen[bytes]"]:
    """The client as a process on one core, by default the first; it is asked to end, and killed if it does not."""
    shutil.rmtree(contestant.directory, ignore_errors=True)
    contestant.directory.mkdir(parents=True)
    log = contestant.directory.with_suffix(".log")
    with log.open("wb") as output, pinned(first_core() if core is None else core):
        process = subprocess.Popen(
            contestant.command, env=dict(contestant.variables), cwd=ROOT, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(contestant.directory, ignore_errors=True)


def watch(
    arena: Arena, contestant: Contestant, process: "subprocess.Popen[bytes]", records: int, limit_s: float
) -> list[Sample]:
    """Look at a client until it has published `records`, or `limit_s` have passed since it began to.

    Raises:
        AssayError: it ended, or published nothing.
    """
    start = sum(arena.ends(contestant.target))
    started_s = began_s = time.monotonic()
    samples: list[Sample] = []
    while True:
        check(contestant, process)
        published = sum(arena.ends(contestant.target)) - start
        now_s = time.monotonic()
        if published == 0:
            began_s = now_s
            if now_s - started_s > START_S:
                raise AssayError(f"{contestant.name} published nothing in {START_S:g} s: {_last_words(contestant)}")
        else:
            samples.append(Sample(now_s, cpu_seconds(process.pid), published))
            settled = published >= records and now_s - _reached_s(samples) >= _SETTLED_S
            if settled or now_s - began_s > limit_s:
                return samples
        time.sleep(_LOOK_S)


def check(contestant: Contestant, process: "subprocess.Popen[bytes]") -> None:
    """Return if it still runs.

    Raises:
        AssayError: it ended; with the last line that it said.
    """
    if process.poll() is not None:
        raise AssayError(f"{contestant.name} ended with {process.returncode}: {_last_words(contestant)}")


def cpu_seconds(pid: int) -> float:
    """CPU time of a running process and all its threads so far, in steps of a hundredth."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _reached_s(samples: Sequence[Sample]) -> float:
    """When the last number was first seen."""
    place = len(samples) - 1
    while place and samples[place - 1].records == samples[-1].records:
        place -= 1
    return samples[place].wall_s


def _last_words(contestant: Contestant) -> str:
    lines = contestant.directory.with_suffix(".log").read_text(errors="replace").strip().splitlines()
    return (lines or ["it said nothing"])[-1]
