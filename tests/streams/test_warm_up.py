"""After the warm-up no kernel is compiled any more: first event, first decline and first cold account are fast."""

import gc
import json
import subprocess
import sys
from pathlib import Path

import pytest
from numba.core.dispatcher import Dispatcher

from features.store import MemoryStore
from streams.partition import Partition
from streams.signature import everybody
from streams.warm_up import warm_up
from tests.streams.logs import START_MS, mixed_log, payment, records
from tests.streams.small_model import small_model
from tests.streams.test_engine import open_small

ROOT = Path(__file__).resolve().parents[2]


def machine_codes() -> dict[str, int]:
    """How many each kernel of the product has in this process."""
    kernels = [kernel for kernel in gc.get_objects() if isinstance(kernel, Dispatcher)]
    names = [(f"{kernel.py_func.__module__}.{kernel.py_func.__qualname__}", kernel) for kernel in kernels]
    return {name: len(kernel.signatures) for name, kernel in names if name.startswith(("features.", "models."))}


def compiled_by_work(*, warm: bool) -> list[str]:
    """Kernels that got machine code while a log of everything was folded in little memory."""
    model = small_model()
    if warm:
        warm_up(model)
    before = machine_codes()
    partition = Partition(0, MemoryStore(), model, open_small, hot_bytes=1 << 14)
    plain = [payment(9_000 + number, "plain", START_MS + number) for number in range(400)]
    log = records([*mixed_log(600, seed=5, accounts=40), *plain])
    explained = 0
    for start in range(0, len(log), 100):
        output = partition.fold(log[start : start + 100], everybody)
        explained += sum(count for decision, count in output.decisions.items() if decision != "approve")
        partition.checkpoint()
    assert explained, "a log in which something is not approved"
    return sorted(name for name, count in machine_codes().items() if count > before.get(name, 0))


@pytest.mark.parametrize("warm", [True, False])
def test_nothing_is_compiled_after_the_warm_up_and_much_without(warm: bool) -> None:
    """In a process of its own: what other tests have compiled would hide it."""
    code = f"import json; from {__name__} import compiled_by_work; print(json.dumps(compiled_by_work(warm={warm})))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    found = json.loads(run.stdout)
    assert (found == []) == warm, found
