"""An open-loop producer: every event has its moment, whether or not anybody keeps up.

    python -m benchmarks.pacer BOOTSTRAP TOPIC EVENTS_FILE COUNT MARK START_S RATE

Event i is due at START_S + i / RATE (seconds of the monotonic clock, which all processes of a machine share). A pacer
that is late sends at once what is due, and the latency counts from the moment at which it was due: nothing is left out
because something was slow (coordinated omission). Prints by how many milliseconds it was late at most.

Its producer has the client's own settings, and is not an idempotent one: of those, librdkafka's thread turns in circles
while five requests are under way, and takes the core from the broker that it waits for.
"""

import sys
import time
from itertools import islice
from pathlib import Path

import orjson
from confluent_kafka import Producer

from benchmarks.arena import partition_of

_NAP_S = 0.001


def due(now_s: float, start_s: float, rate: float) -> int:
    """How many events are due by now.

    >>> [due(now_s, 10.0, 2.0) for now_s in (9.9, 10.0, 10.4, 10.5, 12.0)]
    [0, 1, 1, 2, 5]
    """
    return 0 if now_s < start_s else int((now_s - start_s) * rate) + 1


def marked(value: bytes, mark: str) -> bytes:
    """The same event of another account under another id, so that a log can be sent again as one never seen.

    >>> marked(b'{"event_id":"e7","type":"payment","account_id":"a1"}', "q")
    b'{"event_id":"qe7","type":"payment","account_id":"qa1"}'
    """
    for name in (b'"event_id":"', b'"account_id":"'):
        value = value.replace(name, name + mark.encode(), 1)
    return value


def main() -> None:
    """Send everything, each event in its moment."""
    bootstrap, topic, path, count, mark, start, per_second = sys.argv[1:]
    total, start_s, rate = int(count), float(start), float(per_second)
    with Path(path).open("rb") as file:
        values = [marked(line.rstrip(b"\n"), mark) for line in islice(file, total)]
    keys = [orjson.loads(value)["account_id"].encode() for value in values]
    partitions = [partition_of(key) for key in keys]
    producer = Producer({"bootstrap.servers": bootstrap})
    sent, late_s = 0, 0.0
    time.sleep(max(0.0, start_s - time.monotonic()))
    while sent < total:
        now_s = time.monotonic()
        upto = min(total, due(now_s, start_s, rate))
        late_s = max(late_s, now_s - (start_s + sent / rate))
        for place in range(sent, upto):
            while True:
                try:
                    producer.produce(topic, values[place], keys[place], partitions[place])
                    break
                except BufferError:  # the broker is behind: what is due waits here, and its time counts
                    producer.poll(_NAP_S)
        producer.poll(0)
        sent = upto
        time.sleep(max(_NAP_S, start_s + sent / rate - time.monotonic()))
    producer.flush()
    print(orjson.dumps({"late_ms": late_s * 1000}).decode())


if __name__ == "__main__":
    main()
