"""A rival's job without a broker: record bytes in a list, verdict bytes out, its best stock form and the plain one.

    python -m benchmarks.peers.in_memory --events EVENTS.jsonl --model MODEL.txt --count 20000 --batch 1000

Prints JSON: microseconds of CPU for each event, with one LightGBM call per event and with one per batch.
"""

import argparse
import time
from collections import defaultdict
from itertools import islice
from pathlib import Path

import orjson

from benchmarks.peers.job import History, Models, features

WARM_UP_SHARE = 0.2


def main() -> None:
    """Measure both forms on the same events, each from empty state."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    arguments = parser.parse_args()
    with arguments.events.open("rb") as file:
        values = [line.rstrip(b"\n") for line in islice(file, arguments.count)]
    results = {}
    for name, batch in (("row_by_row", 1), ("batched", arguments.batch)):
        results[name] = microseconds(values, arguments.model, batch)
    print(orjson.dumps(results).decode())


def microseconds(values: list[bytes], model_file: str, batch: int) -> float:
    """CPU time of an event after the first fifth; `batch` 1 calls LightGBM for each event."""
    models = Models(model_file)
    histories: dict[str, History] = defaultdict(lambda: ([], []))
    warm_up = int(len(values) * WARM_UP_SHARE) // batch * batch
    started_s = time.process_time()
    for start in range(0, len(values), batch):
        if start == warm_up:
            started_s = time.process_time()
        events = [orjson.loads(value) for value in values[start : start + batch]]
        rows = [features(event, histories[event["account_id"]]) for event in events]
        verdicts = [models.judge(events[0], rows[0])] if batch == 1 else models.judge_many(events, rows)
        assert len(verdicts) == len(events)
    return (time.process_time() - started_s) / (len(values) - warm_up) * 1e6


if __name__ == "__main__":
    main()
