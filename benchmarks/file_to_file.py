"""Events/s of `assay score` from file to file on one core, and the time from start to the first verdict."""

import statistics
from pathlib import Path
from typing import Any

import orjson

from benchmarks.report import ASSAY, circumstances, run

EVENTS = 200_000


def simulate(directory: Path, events: int, seed: int) -> Path:
    """Simulated events, made once per directory."""
    path = directory / "events.jsonl"
    if not path.exists():
        run([*ASSAY, "simulate", "--events", str(events), "--seed", str(seed), "--out", str(directory)], core=None)
    return path


def throughput(directory: Path, seed: int, repeats: int, events: int = EVENTS) -> dict[str, Any]:
    """Median over several runs, after one to warm up; start-up is measured apart and taken off."""
    path = simulate(directory / f"events-{events}-{seed}", events, seed)
    one = directory / "one.jsonl"
    with path.open("rb") as file:
        one.write_bytes(file.readline())
    out = str(directory / "verdicts.jsonl")
    run([*ASSAY, "score", str(one), "--out", out])
    startups = [run([*ASSAY, "score", str(one), "--out", out]).wall_s for _ in range(repeats)]
    runs = [run([*ASSAY, "score", str(path), "--out", out, "--json"]) for _ in range(repeats)]
    summary = orjson.loads(runs[-1].output)
    startup_s = statistics.median(startups)
    wall_s = statistics.median(one_run.wall_s for one_run in runs)
    return {
        **circumstances(
            f"{summary['records']} simulated records, seed {seed}",
            "one process on one core, disk cache warm; start-up is subtracted from events_per_s",
        ),
        "seed": seed,
        "startup_to_first_verdict_s": startup_s,
        "wall_s": wall_s,
        "events_per_s": summary["records"] / (wall_s - startup_s),
        "events_per_s_with_startup": summary["records"] / wall_s,
        "microseconds_per_event": 1e6 * (wall_s - startup_s) / summary["records"],
        "peak_mebibytes": max(one_run.peak_mebibytes for one_run in runs),
    }
