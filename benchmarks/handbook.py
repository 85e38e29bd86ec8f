"""Transactions of the Fraud Detection Handbook (simulated by its authors) through `assay score`.

The data is not part of the project: pass the path of its `transactions.parquet`. One verdict per row is checked.
"""

from pathlib import Path
from typing import Any

import numpy as np
import orjson
from pyarrow import parquet

from benchmarks.report import ASSAY, circumstances, run


def write_events(source: Path, target: Path) -> int:
    """The data set's rows as payment events, in its own order; returns how many."""
    table = parquet.read_table(source)
    ids = table["TRANSACTION_ID"].to_numpy()
    times_ms = table["TX_DATETIME"].to_numpy().astype("datetime64[ms]").astype(np.int64)
    customers = table["CUSTOMER_ID"].to_numpy()
    terminals = table["TERMINAL_ID"].to_numpy()
    cents = np.rint(table["TX_AMOUNT"].to_numpy().astype(np.float64) * 100).astype(np.int64)
    with target.open("wb") as file:
        for number, time_ms, customer, terminal, amount in zip(ids, times_ms, customers, terminals, cents, strict=True):
            event = {
                "event_id": f"h{number}",
                "type": "payment",
                "account_id": f"c{customer}",
                "time_ms": int(time_ms),
                "amount_minor": int(amount),
                "currency": "EUR",
                "method": "card",
                "channel": "pos",
                "merchant_id": f"t{terminal}",
            }
            file.write(orjson.dumps(event) + b"\n")
    return len(ids)


def score(directory: Path, handbook: Path) -> dict[str, Any]:
    """Wall time and memory of scoring every row of `handbook`."""
    events = directory / "handbook.jsonl"
    rows = write_events(handbook, events)
    verdicts = directory / "handbook-verdicts.jsonl"
    result = run([*ASSAY, "score", str(events), "--out", str(verdicts), "--json"])
    summary = orjson.loads(result.output)
    with verdicts.open("rb") as file:
        judged = {orjson.loads(line)["event_id"] for line in file}
    return {
        **circumstances(f"{rows} simulated transactions of the Fraud Detection Handbook", "amount, time and ids only"),
        "rows": rows,
        "verdicts": summary["verdicts"],
        "one_verdict_per_row": summary["verdicts"] == rows == len(judged),
        "dead_letters": sum(summary["dead_letters"].values()),
        "wall_s": result.wall_s,
        "events_per_s_with_startup": rows / result.wall_s,
        "peak_mebibytes": result.peak_mebibytes,
    }
