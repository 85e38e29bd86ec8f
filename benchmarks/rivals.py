"""The same job on the same broker and topic, by the product and by each rival as its documentation would have it."""

from pathlib import Path
from typing import Any

from benchmarks.arena import PREFIX, Arena, arena
from benchmarks.contestant import Contestant, assay_worker, bare_loop, rival
from benchmarks.kafka import BIAS
from benchmarks.passage import Passage, fill, medians, passage
from benchmarks.peers_environment import peers_python
from benchmarks.report import announce, circumstances
from benchmarks.workload import Workload, workload
from features.errors import AssayError

EVENTS = 300_000
PEER_S = 16.0
"""Quix Streams publishes at its commits, every 5 s: so long shows three of them."""
RIVALS = {
    "plain_batched": ("plain", "batched", "exactly once; state in a dict, gone with the process"),
    "plain_row_by_row": ("plain", "row_by_row", "exactly once; state in a dict, gone with the process"),
    "quix": ("quix", "row_by_row", "exactly once; RocksDB and a changelog"),
    "bytewax": ("bytewax", "batched", "at least once; a snapshot in SQLite every 10 s"),
    "faust": ("faust", "row_by_row", "at least once; RocksDB and a changelog"),
}
"""Module of `benchmarks/peers`, its form, and what it promises."""


def peers(
    directory: Path, cache: Path, seed: int, repeats: int, events: int = EVENTS, peer_s: float = PEER_S
) -> dict[str, Any]:
    """Passes of the ceiling, the product and every rival in turn.

    Args:
        directory: for the broker and states.
        cache: for the workload and the rivals' environment.
        seed: of the workload.
        repeats: passes of each.
        events: in the topic.
        peer_s: how long a rival works; what it has not reached by then is not asked of it.

    Raises:
        AssayError: the rivals' environment or the broker cannot be had.
    """
    python = peers_python(cache)
    load = workload(cache, events, seed)
    done: dict[str, list[Passage]] = {name: [] for name in ("ceiling", "assay", *RIVALS)}
    failed: dict[str, str] = {}
    with arena(directory) as kafka:
        log = fill(kafka, load)
        for name in ("ceiling", *RIVALS):
            kafka.make_topic(_target(name))
        for _ in range(repeats):
            for name, passages in done.items():
                if name in failed:
                    continue
                try:
                    contestant = _contestant(name, kafka, load, directory, python)
                    passages.append(passage(kafka, contestant, log, *([peer_s] if name in RIVALS else [])))
                except AssayError as error:
                    if name not in RIVALS:
                        raise
                    announce(f"{name} could not be measured: {error}")
                    failed[name] = str(error)
    return {
        **circumstances(
            f"{load.described}; {len(log.values)} partitions",
            f"{BIAS}; a rival works for {peer_s:g} s and does less: 4 windows and 27 features against 9 and 125, no "
            "checks of the input, no reasons, no late events in their place, and the histories of the log's beginning, "
            "which are short",
        ),
        "seed": seed,
        **_facts(done, failed),
    }


def _target(name: str) -> str:
    return f"{PREFIX}by-{name}"


def _contestant(name: str, kafka: Arena, load: Workload, directory: Path, python: Path) -> Contestant:
    if name == "assay":
        return assay_worker(kafka, load, directory)
    if name == "ceiling":
        return bare_loop(kafka, _target(name), directory)
    module, form, _ = RIVALS[name]
    return rival(kafka, load, directory, name=module, form=form, python=python, target=_target(name))


def _facts(done: dict[str, list[Passage]], failed: dict[str, str]) -> dict[str, Any]:
    """Rates of everybody, and ours against the best of the others."""
    rates = {name: medians(passages) for name, passages in done.items() if passages and name not in failed}
    ours, most = rates["assay"], rates["ceiling"]
    others = {name: rates[name].per_s for name in RIVALS if name in rates}
    best = max(others, key=lambda name: others[name], default=None)
    return {
        "contestants": {
            name: {
                "events_per_s": rate.per_s,
                "events_per_cpu_second": rate.per_cpu_s,
                "lost": sum(one.answers.lost for one in done[name]),
                "doubled": sum(one.answers.doubled for one in done[name]),
                **({"promise": RIVALS[name][2]} if name in RIVALS else {}),
            }
            for name, rate in rates.items()
        },
        "peers_not_measured": failed,
        "events_per_s": ours.per_s,
        "events_per_cpu_second": ours.per_cpu_s,
        "share_of_ceiling": ours.per_s / most.per_s,
        "best_peer": best,
        "ratio": None if best is None else ours.per_s / others[best],
        "ratio_by_cpu": None if best is None else ours.per_cpu_s / max(rates[name].per_cpu_s for name in others),
    }
