"""Where the CPU time of the fold goes, by stage, without a hook in the product: a sampler that looks at the stack.

Every millisecond of CPU time a signal arrives. Python runs its handler once the C call in hand has returned, still in
the frame that made the call: the time since the last signal belongs to the stage of that frame. A stage is a set of
files, so a function that moves within them changes nothing; what the product has no part in is not counted.
"""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from benchmarks.report import ROOT

STAGES = {
    "decode": (
        "features/decode",
        "features/events",
        "features/identity",
        "features/money",
        "features/card",
        "features/plain",
        "features/words",
        "features/xxh3",
        "features/event_rows",
        "features/conversion",
        "streams/intake",
        "streams/signature",
    ),
    "verdicts": ("features/verdict", "features/records", "streams/engine", "streams/flags", "streams/log"),
    "store": ("features/rocks_store", "features/packing"),
    "features": ("features/",),
    "detector": ("models/detector", "models/half_space", "models/tail", "models/unit_scale"),
    "policy": ("models/decision", "models/policy"),
    "reasons": (
        "models/reason",
        "models/attribution",
        "models/leading_codes",
        "models/prepared_paths",
        "models/wording",
    ),
    "trees": ("models/",),
    "shell": ("streams/",),
}
"""Stage and the beginnings of its files' paths; the first that fits."""
_INTERVAL_S = 0.001


def stage_of(path: str) -> str | None:
    """Stage of a source file, None if it has none.

    >>> [stage_of(str(ROOT / path)) for path in ("features/decode.py", "features/kernel.py", "tests/world.py")]
    ['decode', 'features', None]
    """
    try:
        relative = Path(path).relative_to(ROOT).as_posix()
    except ValueError:
        return None
    return next((stage for stage, begins in STAGES.items() if relative.startswith(begins)), None)


@contextmanager
def cpu_seconds_by_stage() -> Iterator[dict[str, float]]:
    """CPU seconds of the calling (main) thread by stage; complete when the block has ended.

    What the caller of the block does itself is nobody's stage, even if a command of the product called it.
    """
    caller = sys._getframe(2).f_code.co_filename
    seconds = dict.fromkeys(STAGES, 0.0)
    known: dict[str, str | None] = {}
    last_s = time.thread_time()

    def tick(_number: int, frame: FrameType | None) -> None:
        nonlocal last_s
        now_s = time.thread_time()
        stage = None
        while frame is not None and stage is None:
            path = frame.f_code.co_filename
            if path == caller:
                break
            if path not in known:
                known[path] = stage_of(path)
            stage = known[path]
            frame = frame.f_back
        if stage is not None:
            seconds[stage] += now_s - last_s
        last_s = now_s

    before = signal.signal(signal.SIGPROF, tick)
    signal.setitimer(signal.ITIMER_PROF, _INTERVAL_S, _INTERVAL_S)
    try:
        yield seconds
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)
