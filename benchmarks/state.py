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
from numpy.typing import NDArray

from benchmarks.report import ROOT, circumstances
from features.columns import CHANNELS, METHODS, PAYMENT, country_code, empty_events
from features.identity import hash64
from features.keys import keys_of
from features.packing import HEADER_BYTES, SCHEMA, PackedAccounts
from features.rocks_store import RocksStore
from streams.beside import InThread
from streams.config import load_config
from streams.log import LogRecord
from streams.model_in_force import ModelInForce, open_model
from streams.partition import Partition
from streams.shipped_model import SHIPPED
from streams.signature import everybody
from streams.warm_up import warm_up

START_MS = 1_750_000_000_000
FIRST_OFFSET = 100_000_000
"""Of the measured events; those of the histories lie before."""
MOST_EVENTS = 8
"""Histories that the accounts begin with hold 1 to 8 events, as many accounts of each."""
_WRITTEN_AT_ONCE = 50_000
_READ_AT_ONCE = 2_000
_SLICES = 6
_BYTES_OF_AN_ACCOUNT = 800
_MERCHANT, _MERCHANTS, _OWN_MERCHANTS = "m%05d", 5_000, 3
_ADDRESS, _ADDRESSES = "10.0.0.%d", 250
_DEVICE = "d%08d"
_LOG_AMOUNT = (8.0, 0.5)
_EVERY_MS = 4_000
"""So rarely that the busiest accounts do not look like an attack: else the benchmark measures how reasons are made."""


def state(
    directory: Path,
    seed: int,
    accounts: Sequence[int] = (10_000, 1_000_000, 10_000_000),
    events: int = 300_000,
    exponent: float = 1.0,
) -> dict[str, Any]:
    """Fold Zipf traffic on states of several sizes, each in a process of its own.

    The processes take turns, a slice of the events each, so that a busy machine is as busy for all of them.
    """
    processes = [_start(directory, seed, count, events, exponent) for count in accounts]
    try:
        for number in range(_SLICES):
            for process in processes[number % len(processes) :] + processes[: number % len(processes)]:
                _ask(process, "slice")
        found = [json.loads(_ask(process, "end")) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
        for count in accounts:
            shutil.rmtree(directory / f"state-{count}", ignore_errors=True)
            (directory / f"state-{count}.jsonl").unlink(missing_ok=True)
    return {
        **circumstances(
            f"{events} payments after as many to warm up, Zipf exponent {exponent}, accounts that begin with 1 to "
            f"{MOST_EVENTS} events, memory full of the busiest ones",
            "the files of the state are in the page cache; with fewer accounts each has a longer history; tables that "
            "RocksDB merges when a slice has ended are merged in the time of another size",
        ),
        "seed": seed,
        "ratio": found[-1]["events_per_s"] / found[0]["events_per_s"],
        "cpu_ratio": found[0]["cpu_us_per_event"] / found[-1]["cpu_us_per_event"],
        "resident_mebibytes": found[-1]["resident_mebibytes"],
        **{f"{count}_{name}": value for count, one in zip(accounts, found, strict=True) for name, value in one.items()},
    }


def _start(directory: Path, seed: int, accounts: int, events: int, exponent: float) -> subprocess.Popen[str]:
    """A process that has filled its state and is warm."""
    arguments = [str(directory), str(seed), str(accounts), str(events), str(exponent)]
    command = [sys.executable, "-m", "benchmarks.state", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    _ask(process, "begin")
    return process


def _ask(process: subprocess.Popen[str], what: str) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{what}\n")
    process.stdin.flush()
    answer = process.stdout.readline()
    if not answer:
        raise SystemExit(f"a process of the benchmark ended with {process.wait()}")
    return answer


def _measure(directory: Path, seed: int, accounts: int, events: int, exponent: float) -> None:
    """One size: does what standard input asks for, answers with a line on standard output."""
    model = open_model(SHIPPED)
    warm_up(model)
    path, log = directory / f"state-{accounts}", directory / f"state-{accounts}.jsonl"
    shutil.rmtree(path, ignore_errors=True)
    started_s = time.perf_counter()
    _fill(path, accounts, seed, model)
    filled_s = time.perf_counter() - started_s
    _write_log(log, accounts, 2 * events, exponent, seed)
    store, config = _CountingStore(path), load_config(environment={})
    writer = InThread("assay-checkpoint", in_no_hurry=True)
    partition = Partition(0, store, model, lambda _: model, writer=writer)
    partition.hot_bytes = config.whole("state.hot_mebibytes") << 20
    _fill_memory(partition, store, accounts)
    loop = _Loop(partition, config.whole("engine.batch_events"), config.number("state.checkpoint_seconds"))
    with log.open("rb") as lines:
        loop.run(islice(lines, events))
        loop.begin_to_count()
        misses = store.misses
        for line in sys.stdin:
            if line == "end\n":
                break
            if line == "slice\n":
                loop.run(islice(lines, events // _SLICES))
            sys.stdout.write("done\n")
            sys.stdout.flush()
    facts = {
        "events_per_s": events / loop.wall_s,
        "us_per_event": loop.wall_s / events * 1e6,
        "cpu_us_per_event": loop.cpu_s / events * 1e6,
        "misses_per_event": (store.misses - misses) / events,
        "hot_accounts": len(partition.engine.accounts),
        "checkpoints": loop.checkpoints,
        "slowest_batch_ms": loop.slowest_batch_s * 1e3,
        "on_disk_mebibytes": sum(file.stat().st_size for file in path.iterdir()) / 2**20,
        "resident_mebibytes": _peak_mebibytes(),
        "fill_s": filled_s,
    }
    partition.close()
    writer.close()
    sys.stdout.write(json.dumps(facts) + "\n")


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
        self._unwritten_s = 0.0
        self._offset = FIRST_OFFSET
        self.begin_to_count()

    def begin_to_count(self) -> None:
        """What came before was to warm up."""
        self.checkpoints = 0
        self.slowest_batch_s = self.wall_s = self.cpu_s = 0.0

    def run(self, lines: Iterator[bytes]) -> None:
        """Fold every line, and end what was begun to be written."""
        partition = self._partition
        cpu_s, started_s = time.process_time(), time.perf_counter()
        while values := list(islice(lines, self._batch_events)):
            batch_s = time.perf_counter()
            partition.fold([LogRecord(self._offset + place, value) for place, value in enumerate(values)], everybody)
            self._offset += len(values)
            self.checkpoints += partition.end_checkpoint(wait=partition.has_to_wait)
            if not partition.is_writing and (partition.is_full or self._unwritten_s >= self._checkpoint_s):
                partition.begin_checkpoint()
                self._unwritten_s = 0.0
            took_s = time.perf_counter() - batch_s
            self._unwritten_s += took_s
            self.slowest_batch_s = max(self.slowest_batch_s, took_s)
        self.checkpoints += partition.end_checkpoint(wait=True)
        self.wall_s += time.perf_counter() - started_s
        self.cpu_s += time.process_time() - cpu_s


def _peak_mebibytes() -> float:
    """Most memory that this process has held; not that of the one it was started by, as `getrusage` may say."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _fill_memory(partition: Partition, store: RocksStore, accounts: int) -> None:
    """Bring in the busiest accounts, as days of traffic would have done; the busiest last, as the newest."""
    most = min(accounts, partition.hot_bytes // _BYTES_OF_AN_ACCOUNT)
    for end in range(most, 0, -_READ_AT_ONCE):
        numbers = _account(np.arange(max(0, end - _READ_AT_ONCE), end)[::-1], accounts)
        names = [f"a{number:08d}" for number in numbers.tolist()]
        partition.engine.accounts.load(keys_of(names), np.arange(len(names)), store.get_accounts(names))


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
    merchants = np.array([hash64(_MERCHANT % number) for number in range(_MERCHANTS)], dtype=np.uint64)
    addresses = np.array([hash64(_ADDRESS % number) for number in range(_ADDRESSES)], dtype=np.uint64)
    names, records, ends = [], [], [np.zeros(1, dtype=np.int64)]
    for count in range(1, MOST_EVENTS + 1):
        numbers = np.arange(first + count - 1, end, MOST_EVENTS)
        shape = (len(numbers), count)
        events = empty_events(len(numbers) * count).reshape(shape)
        events["time_ms"] = START_MS - 1 - np.sort(random.integers(0, 60 * 86_400_000, shape), axis=1)[:, ::-1]
        events["offset"] = np.sort(random.integers(0, FIRST_OFFSET, shape), axis=1)
        events["event_hash"] = random.integers(1, 2**63, shape)
        events["content_hash"] = random.integers(0, 2**32, shape)
        events["amount_minor"] = np.exp(random.normal(*_LOG_AMOUNT, shape))
        events["merchant"] = merchants[_merchant(numbers[:, None], random.integers(0, _OWN_MERCHANTS, shape))]
        events["device"] = np.array([[hash64(_DEVICE % number)] for number in numbers.tolist()], dtype=np.uint64)
        events["ip"] = addresses[numbers[:, None] % _ADDRESSES]
        events["score_micro"] = random.integers(0, 20_000, shape)
        events["anomaly_micro"] = random.integers(0, 900_000, shape)
        events["country"], events["category"], events["kind"] = country_code("DE"), 5411, PAYMENT
        events["decision"], events["context"] = 0, METHODS["card"] | CHANNELS["ecom"] << 4
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


def _account(rank: NDArray[np.int64], accounts: int) -> NDArray[np.int64]:
    """Number of the account that is the busiest but `rank`: busy ones do not lie side by side."""
    return (rank * 7_368_787 + 12_345) % accounts


def _merchant(account: Any, choice: Any) -> Any:
    """Number of one of the few merchants of an account."""
    return (account * 7 + choice) % _MERCHANTS


def _write_log(path: Path, accounts: int, events: int, exponent: float, seed: int) -> None:
    """Payments of accounts drawn by Zipf's law."""
    random = np.random.default_rng(seed)
    share = np.cumsum(np.arange(1, accounts + 1, dtype=np.float64) ** -exponent)
    ranks = np.searchsorted(share, random.random(events) * share[-1])
    account = _account(ranks, accounts)
    amounts = np.exp(random.normal(*_LOG_AMOUNT, events)).astype(np.int64)
    merchants = _merchant(account, random.integers(0, _OWN_MERCHANTS, events))
    template = (
        '{"event_id":"e%010d","type":"payment","account_id":"a%08d","time_ms":%d,"amount_minor":%d,"currency":"EUR",'
        f'"method":"card","merchant_id":"{_MERCHANT}","device_id":"{_DEVICE}","ip":"{_ADDRESS}","country":"DE",'
        '"mcc":"5411","channel":"ecom"}\n'
    )
    with path.open("w") as file:
        rows = zip(account.tolist(), amounts.tolist(), merchants.tolist(), strict=True)
        file.writelines(
            template % (number, one, START_MS + number * _EVERY_MS, amount, merchant, one, one % _ADDRESSES)
            for number, (one, amount, merchant) in enumerate(rows)
        )


def _main() -> None:
    directory, seed, accounts, events, exponent = sys.argv[1:]
    _measure(Path(directory), int(seed), int(accounts), int(events), float(exponent))


if __name__ == "__main__":
    _main()
