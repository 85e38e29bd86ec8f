"""The engine without a broker: record bytes in, verdict bytes out, on one core, against a rival's job on the same core.

CPU time is counted, not wall time: on a machine that does other things too it is the steadier of the two. Sides take
turns, so that the ratio holds when the machine's speed changes.
"""

import gc
import hashlib
import shutil
import statistics
import subprocess
import time
from collections.abc import Sequence
from itertools import count, repeat
from pathlib import Path
from typing import Any, NamedTuple

import lightgbm
import numpy as np
import orjson
from numpy.typing import NDArray

from benchmarks.cores import first_core, pinned
from benchmarks.peers_environment import peers_environment, peers_python
from benchmarks.report import ROOT, announce, circumstances
from benchmarks.stages import cpu_seconds_by_stage
from benchmarks.workload import Workload, workload
from benchmarks.workload_models import feature_rows
from features.errors import AssayError
from features.rocks_store import RocksStore
from streams.commands.models import open_models
from streams.log import LogRecord, rows_of
from streams.model_in_force import ModelInForce
from streams.partition import Partition
from streams.signature import everybody
from streams.warm_up import warm_up

EVENTS = 100_000
PEER_EVENTS = 10_000
BATCH, OTHER_BATCH = 1_000, 777
WARM_UP_SHARE = 0.2
CHECKPOINT_S = 10.0
_LOG_TIME_MS = 1_800_000_000_000
_PREDICTED_ROWS = 20_000


class _Fold(NamedTuple):
    """One pass: microseconds of CPU for each event after the warm-up, digest of all verdicts, share not approved."""

    microseconds: float
    digest: str
    not_approved_share: float


def engine(
    directory: Path, cache: Path, seed: int, repeats: int, events: int = EVENTS, peer_events: int = PEER_EVENTS
) -> dict[str, Any]:
    """Median cost of an event, ours and the best rival's, and the stages of ours.

    Args:
        directory: for states.
        cache: for the workload and the rivals' environment.
        seed: of the workload.
        repeats: passes of each side.
        events: records of ours.
        peer_events: the first so many of them for the rival, which is slower.
    """
    load = workload(cache, events, seed)
    model, _ = open_models(str(load.model), directory)
    warm_up(model)
    rows = feature_rows(model, load.values[:_PREDICTED_ROWS])
    booster = lightgbm.Booster(model_str=model.artefact.model_text.decode())
    python, complaint = _peers(cache)
    ours: list[_Fold] = []
    predictions: list[float] = []
    rivals: list[dict[str, float]] = []
    with pinned(first_core()):
        for number in range(repeats):
            announce(f"pass {number + 1} of {repeats}")
            ours.append(_fold(model, load, directory / "engine-state", BATCH))
            predictions.append(_predict(booster, rows))
            if python is not None:
                rivals.append(_rival(python, load, min(peer_events, events)))
        announce("a pass for the stages")
        with cpu_seconds_by_stage() as seconds:
            other = _fold(model, load, directory / "engine-state", OTHER_BATCH)
    microseconds = statistics.median(one.microseconds for one in ours)
    forms = {form: statistics.median(rival[form] for rival in rivals) for form in (rivals[0] if rivals else {})}
    return {
        **circumstances(
            load.described,
            f"CPU time of one process on one core after the first {WARM_UP_SHARE:.0%} of events, batches of {BATCH}, "
            "records in memory, state in RocksDB with its checkpoint; no Kafka client on either side. The rival does "
            "less: 4 windows and 27 features against 9 and 125, no checks, no reasons, state in a dict, and it sees "
            f"the first {peer_events} events only, whose histories are shorter",
        ),
        "seed": seed,
        "events_per_s": 1e6 / microseconds,
        "microseconds_per_event": microseconds,
        "slowest_microseconds": max(one.microseconds for one in ours),
        "not_approved_share": other.not_approved_share,
        "equal": len({one.digest for one in [*ours, other]}) == 1,
        "compared": f"verdict bytes of {repeats} passes in batches of {BATCH} and of one in batches of {OTHER_BATCH}",
        "stages_microseconds": {stage: round(spent * 1e6 / events, 3) for stage, spent in seconds.items()},
        "lightgbm_microseconds_per_row": statistics.median(predictions),
        **{f"peer_{form}_microseconds": value for form, value in forms.items()},
        **({"peer_not_measured": complaint} if complaint else {}),
        "ratio": min(forms.values()) / microseconds if forms else None,
    }


def _peers(cache: Path) -> tuple[Path | None, str]:
    try:
        return peers_python(cache), ""
    except AssayError as error:
        return None, str(error)


def _fold(model: ModelInForce, load: Workload, state: Path, batch: int) -> _Fold:
    """Fold the whole log from empty state."""
    shutil.rmtree(state, ignore_errors=True)
    partition = Partition(0, RocksStore(state), model, lambda _: model)
    digest = hashlib.sha256()
    judged, approved = 0, 0
    spent_s, measured = 0.0, 0
    gc.collect()
    gc.freeze()  # as a worker does
    checkpointed_s = time.monotonic()
    for start in range(0, len(load.values), batch):
        values, keys = load.values[start : start + batch], load.keys[start : start + batch]
        last = start + len(values) == len(load.values)
        started_s = time.process_time()
        records = rows_of(LogRecord, count(start), values, keys, repeat(_LOG_TIME_MS), repeat(()))  # as from Kafka
        output = partition.fold(records, everybody)
        if last or time.monotonic() - checkpointed_s >= CHECKPOINT_S:
            partition.checkpoint()
            checkpointed_s = time.monotonic()
        if start >= WARM_UP_SHARE * len(load.values):
            spent_s += time.process_time() - started_s
            measured += len(values)
        judged += len(output.verdicts)
        approved += output.decisions["approve"]
        for verdict in output.verdicts:
            digest.update(verdict.value)
    gc.unfreeze()
    partition.close()
    assert judged == len(load.values), f"{judged} verdicts of {len(load.values)} events"
    return _Fold(spent_s / measured * 1e6, digest.hexdigest(), 1 - approved / judged)


def _predict(booster: lightgbm.Booster, rows: NDArray[np.float32]) -> float:
    """Microseconds that LightGBM itself takes for a row, in batches as large as ours."""
    booster.predict(rows[:BATCH], num_threads=1)
    started_s = time.process_time()
    for start in range(0, len(rows), BATCH):
        booster.predict(rows[start : start + BATCH], num_threads=1)
    return (time.process_time() - started_s) / len(rows) * 1e6


def _rival(python: Path, load: Workload, count: int) -> dict[str, float]:
    """Microseconds of CPU of the rivals' job for an event, by form; in a process of its own on the same core."""
    command = [python, "-m", "benchmarks.peers.in_memory", "--events", load.events_file, "--model", load.peer_model]
    numbers: Sequence[str] = ("--count", str(count), "--batch", str(BATCH))
    result = subprocess.run(
        [*map(str, command), *numbers], env=peers_environment(), cwd=ROOT, capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        raise AssayError(f"the rivals' job failed: {result.stderr.strip().splitlines()[-1:]}")
    found: dict[str, float] = orjson.loads(result.stdout)
    return found
