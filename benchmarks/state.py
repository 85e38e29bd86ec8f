"""Throughput and memory of one partition whose state holds ten thousand, a million or ten million accounts."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import ROOT, circumstances
from features.columns import PAYMENT, empty_events
from features.packing import HEADER_BYTES, SCHEMA, PackedAccounts
from features.rocks_store import RocksStore
from streams.commands.models import SHIPPED
from streams.config import load_config
from streams.log import LogRecord
from streams.model_in_force import ModelInForce, open_model
from streams.partition import Partition
from streams.signature import everybody
from streams.warm_up import warm_up
from streams.writing import WriteBeside

START_MS = 1_750_000_000_000
FIRST_OFFSET = 100_000_000
"""Of the measured events; those of the histories lie before."""
MOST_EVENTS = 8
"""Histories that the accounts begin with hold 1 to 8 events, as many accounts of each."""
SMALLER = (10_000, 1_000_000)
"""Sizes that the largest is compared with."""
_WRITTEN_AT_ONCE = 200_000
_MERCHANTS = 5_000


def state(
    directory: Path,
    seed: int,
    accounts: int = 10_000_000,
    events: int = 400_000,
    exponent: float = 1.0,
) -> dict[str, Any]:
    """Fold Zipf traffic on states of several sizes, the largest of `accounts`, each in a process of its own.

    The smallest is measured before and after the others, and counts with its mean.
    """
    sizes = [*(size for size in SMALLER if size < accounts), accounts]
    order = [*sizes, sizes[0]]
    found = [_in_a_process(directory, seed, count, events, exponent) for count in order]
    again = found.pop()
    found[0]["events_per_s"] = (found[0]["events_per_s"] + again["events_per_s"]) / 2
    return {
        **circumstances(
            f"{events} payments after as many to warm up, Zipf exponent {exponent}, accounts that begin with 1 to "
            f"{MOST_EVENTS} events",
            "the files of the state are in the page cache; with fewer accounts each has a longer history",
        ),
        "seed": seed,
        "ratio": found[-1]["events_per_s"] / found[0]["events_per_s"],
        "resident_mebibytes": found[-1]["resident_mebibytes"],
        **{f"{count}_{name}": value for count, one in zip(sizes, found, strict=True) for name, value in one.items()},
    }


def _in_a_process(directory: Path, seed: int, accounts: int, events: int, exponent: float) -> dict[str, float]:
    arguments = [str(directory), str(seed), str(accounts), str(events), str(exponent)]
    command = [sys.executable, "-m", "benchmarks.state", *arguments]
    found: dict[str, float] = json.loads(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout)
    return found


def _measure(directory: Path, seed: int, accounts: int, events: int, exponent: float) -> dict[str, float]:
    """One size, from an empty directory to the numbers; leaves nothing behind."""
    model = open_model(SHIPPED)
    warm_up(model)
    path, log = directory / f"state-{accounts}", directory / f"state-{accounts}.jsonl"
    shutil.rmtree(path, ignore_errors=True)
    try:
        started_s = time.perf_counter()
        _fill(path, accounts, seed, model)
        filled_s = time.perf_counter() - started_s
        _write_log(log, accounts, 2 * events, exponent, seed)
        with log.open("rb") as lines:
            return {"fill_s": filled_s, **_fold(path, lines, events, model)}
    finally:
        shutil.rmtree(path, ignore_errors=True)
        log.unlink(missing_ok=True)


def _fold(path: Path, lines: Iterator[bytes], events: int, model: ModelInForce) -> dict[str, float]:
    """Warm up with `events` lines, then measure as many."""
    store, writer = _CountingStore(path), WriteBeside()
    config = load_config(environment={})
    partition = Partition(0, store, model, lambda _: model, writer=writer)
    partition.hot_bytes = config.whole("state.hot_mebibytes") << 20
    loop = _Loop(partition, config.whole("engine.batch_events"), config.number("state.checkpoint_seconds"))
    loop.run(islice(lines, events))
    misses, loop.checkpoints, loop.slowest_batch_s = store.misses, 0, 0.0
    cpu_s, started_s = time.process_time(), time.perf_counter()
    loop.run(lines)
    wall_s, cpu_s = time.perf_counter() - started_s, time.process_time() - cpu_s
    hot = len(partition.engine.accounts)
    partition.checkpoint()
    partition.close()
    writer.close()
    return {
        "events_per_s": events / wall_s,
        "us_per_event": wall_s / events * 1e6,
        "cpu_us_per_event": cpu_s / events * 1e6,
        "misses_per_event": (store.misses - misses) / events,
        "hot_accounts": hot,
        "checkpoints": loop.checkpoints,
        "slowest_batch_ms": loop.slowest_batch_s * 1e3,
        "on_disk_mebibytes": sum(file.stat().st_size for file in path.iterdir()) / 2**20,
        "resident_mebibytes": _peak_mebibytes(),
    }


def _peak_mebibytes() -> float:
    """Most memory that this process has held; not that of the one it was started by, as `getrusage` may say."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


class _CountingStore(RocksStore):
    """A store that counts the accounts that it is asked for."""

    misses = 0

    def get_accounts(self, keys: Sequence[str]) -> list[bytes | None]:
        self.misses += len(keys)
        return super().get_accounts(keys)


class _Loop:
    """Batches and checkpoints as a worker has them, without a broker."""

    def __init__(self, partition: Partition, batch_events: int, checkpoint_s: float) -> None:
        self._partition = partition
        self._batch_events = batch_events
        self._checkpoint_s = checkpoint_s
        self._begun_s = time.perf_counter()
        self._offset = FIRST_OFFSET
        self.checkpoints = 0
        self.slowest_batch_s = 0.0

    def run(self, lines: Iterator[bytes]) -> None:
        """Fold every line."""
        partition = self._partition
        while values := list(islice(lines, self._batch_events)):
            started_s = time.perf_counter()
            partition.fold([LogRecord(self._offset + place, value) for place, value in enumerate(values)], everybody)
            self._offset += len(values)
            self.checkpoints += partition.end_checkpoint(wait=partition.has_to_wait)
            now_s = time.perf_counter()
            if not partition.is_writing and (partition.is_full or now_s - self._begun_s >= self._checkpoint_s):
                partition.begin_checkpoint()
                self._begun_s = now_s
            self.slowest_batch_s = max(self.slowest_batch_s, time.perf_counter() - started_s)


def _fill(path: Path, accounts: int, seed: int, model: ModelInForce) -> None:
    """Store accounts with short histories, as large checkpoints would."""
    store = RocksStore(path)
    Partition(0, store, model, lambda _: model).checkpoint()
    for first in range(0, accounts, _WRITTEN_AT_ONCE):
        store.write(_histories(first, min(accounts, first + _WRITTEN_AT_ONCE), seed), {})
    store.close()


def _histories(first: int, end: int, seed: int) -> PackedAccounts:
    """Packed accounts from `first` on: an account's device, address and card stay, its merchants vary."""
    random = np.random.default_rng([seed, first])
    merchants = np.random.default_rng(seed).integers(1, 2**63, _MERCHANTS).astype(np.uint64)
    names, records, ends = [], [], [np.zeros(1, dtype=np.int64)]
    for count in range(1, MOST_EVENTS + 1):
        numbers = np.arange(first + count - 1, end, MOST_EVENTS)
        shape = (len(numbers), count)
        events = empty_events(len(numbers) * count).reshape(shape)
        events["time_ms"] = START_MS - 1 - np.sort(random.integers(0, 60 * 86_400_000, shape), axis=1)[:, ::-1]
        events["offset"] = np.sort(random.integers(0, FIRST_OFFSET, shape), axis=1)
        events["event_hash"] = random.integers(1, 2**63, shape)
        events["content_hash"] = random.integers(0, 2**32, shape)
        events["amount_minor"] = np.exp(random.normal(8.0, 1.2, shape))
        events["merchant"] = merchants[random.integers(0, _MERCHANTS, shape)]
        for name in ("device", "ip"):
            events[name] = random.integers(1, 2**63, (len(numbers), 1))
        events["bin"] = random.integers(400_000, 500_000, (len(numbers), 1))
        events["score_micro"] = random.integers(0, 200_000, shape)
        events["anomaly_micro"] = random.integers(0, 900_000, shape)
        events["country"], events["category"], events["kind"] = 83, 5411, PAYMENT
        events["decision"], events["context"] = 0, 17
        header = np.zeros((len(numbers), HEADER_BYTES), dtype=np.uint8)
        header[:, 0], header[:, 2] = SCHEMA, count
        header[:, 8:] = np.ascontiguousarray(events["offset"][:, -1:]).view(np.uint8)
        packed = np.concatenate([header, events.view(np.uint8).reshape(len(numbers), -1)], axis=1)
        names += [b"a%08d" % number for number in numbers.tolist()]
        records.append(packed.reshape(-1))
        ends.append(ends[-1][-1] + packed.shape[1] * np.arange(1, len(numbers) + 1))
    return PackedAccounts(
        np.frombuffer(b"".join(names), dtype=np.uint8),
        9 * np.arange(1, len(names) + 1),
        np.concatenate(records),
        np.concatenate(ends)[1:],
    )


def _write_log(path: Path, accounts: int, events: int, exponent: float, seed: int) -> None:
    """Payments of accounts drawn by Zipf's law; which accounts are the busy ones has nothing to do with their ids."""
    random = np.random.default_rng(seed)
    share = np.cumsum(np.arange(1, accounts + 1, dtype=np.float64) ** -exponent)
    ranks = np.searchsorted(share, random.random(events) * share[-1])
    account = (ranks * 7_368_787 + 12_345) % accounts
    amounts = np.exp(random.normal(8.0, 1.2, events)).astype(np.int64)
    merchants = random.integers(0, _MERCHANTS, events)
    template = (
        '{"event_id":"e%010d","type":"payment","account_id":"a%08d","time_ms":%d,"amount_minor":%d,"currency":"EUR",'
        '"method":"card","merchant_id":"m%05d","device_id":"d%08d","ip":"10.0.0.%d","country":"DE","mcc":"5411",'
        '"channel":"ecom"}\n'
    )
    with path.open("w") as file:
        rows = zip(account.tolist(), amounts.tolist(), merchants.tolist(), strict=True)
        file.writelines(
            template % (number, one, START_MS + number * 20, amount, merchant, one, one % 250)
            for number, (one, amount, merchant) in enumerate(rows)
        )


def _main() -> None:
    directory, seed, accounts, events, exponent = sys.argv[1:]
    sys.stdout.write(json.dumps(_measure(Path(directory), int(seed), int(accounts), int(events), float(exponent))))


if __name__ == "__main__":
    _main()
