"""Resident memory and speed with a million accounts in state."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from benchmarks.report import ASSAY, circumstances, run

START_MS = 1_750_000_000_000
ACCOUNTS = 1_000_000


def payments(accounts: int, events: int, seed: int) -> Iterator[bytes]:
    """One payment of every account, in random order, then payments of accounts drawn by a Zipf-like law."""
    random = np.random.default_rng(seed)
    first = random.permutation(accounts)
    ranks = np.minimum(random.zipf(1.2, size=max(0, events - accounts)), accounts) - 1
    order = np.concatenate([first, first[ranks]])
    amounts = np.round(np.exp(random.normal(8.0, 1.2, size=len(order)))).astype(np.int64)
    merchants = random.integers(0, 5_000, size=len(order))
    for number, (account, amount, merchant) in enumerate(zip(order, amounts, merchants, strict=True)):
        yield orjson.dumps(
            {
                "event_id": f"e{number:010d}",
                "type": "payment",
                "account_id": f"a{account:08d}",
                "time_ms": START_MS + number * 40,
                "amount_minor": int(amount),
                "currency": "EUR",
                "method": "card",
                "merchant_id": f"m{merchant:05d}",
                "device_id": f"d{account:08d}",
                "country": "DE",
                "channel": "ecom",
            }
        )


def memory(directory: Path, seed: int, accounts: int = ACCOUNTS) -> dict[str, Any]:
    """Scores half as many events again as there are accounts; reports peak memory and state size."""
    events = accounts * 3 // 2
    path = directory / f"accounts-{accounts}-{events}-{seed}.jsonl"
    if not path.exists():
        with path.open("wb") as file:
            for payment in payments(accounts, events, seed):
                file.write(payment + b"\n")
    state = directory / "state-many-accounts"
    shutil.rmtree(state, ignore_errors=True)
    out = str(directory / "verdicts-many.jsonl")
    result = run([*ASSAY, "score", str(path), "--out", out, "--state", str(state), "--json"])
    summary = orjson.loads(result.output)
    on_disk = sum(file.stat().st_size for file in state.rglob("*") if file.is_file())
    return {
        **circumstances(
            f"{summary['records']} payments of {accounts} accounts, seed {seed}",
            "every account is cold once; later traffic is skewed to few accounts",
        ),
        "seed": seed,
        "accounts": accounts,
        "peak_mebibytes": result.peak_mebibytes,
        "state_on_disk_mebibytes": on_disk / 2**20,
        "wall_s": result.wall_s,
        "events_per_s_with_startup": summary["records"] / result.wall_s,
    }
