"""The traffic and the models that engine, Kafka, ceiling, latency and rivals are measured with.

Events are simulated payments, logins and applications of about 350 bytes, each once, no two alike. Everything follows
from the seed, and is kept in a directory named by what it was made from.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from benchmarks.report import ROOT, announce
from benchmarks.workload_models import DETECTOR_HEIGHT, DETECTOR_TREES, LEAVES, TREES, train
from features.catalogue import FEATURES
from features.errors import AssayError
from streams.simulator.known import label_records
from streams.simulator.records import event_records
from streams.simulator.scenario import DEFAULT_START_MS, Scenario
from streams.simulator.timeline import Timeline, simulate

LEAST_EVENTS = 2_000
TRAINING_EVENTS = 60_000
_TRAINING_SEED_STEP = 1_000_003
"""The training log has this much larger a seed: the models never saw what they judge."""
_JUDGED = ("payment", "login", "application")
_SOURCES = ("benchmarks/workload*.py", "benchmarks/peers/job.py", "streams/simulator/**/*.py")


@dataclass(frozen=True, slots=True)
class Workload:
    """What is judged, and by which models.

    Attributes:
        events_file: JSON lines, in order of arrival.
        values: the same lines, without their ends.
        keys: account of each.
        model: directory of the product's model.
        peer_model: LightGBM's text for the rivals.
        seed: of all of it.
    """

    events_file: Path
    values: list[bytes]
    keys: list[bytes]
    model: Path
    peer_model: Path
    seed: int

    @property
    def described(self) -> str:
        """For `circumstances`."""
        size = sum(map(len, self.values)) / len(self.values)
        return (
            f"{len(self.values)} simulated events of {size:.0f} bytes on average, {len(set(self.keys))} accounts; "
            f"model of {TREES} trees x {LEAVES} leaves, detector {DETECTOR_TREES} x {DETECTOR_HEIGHT}; seed {self.seed}"
        )


def squeezed(values: Sequence[bytes], rate: float, start_ms: int = DEFAULT_START_MS) -> Iterator[bytes]:
    """The same records in the same order, one after another at `rate` events per second of event time.

    >>> [value for value in squeezed([b'{"time_ms":5}', b'{"time_ms":99000}'], 4.0, 1_000)]
    [b'{"time_ms":1000}', b'{"time_ms":1250}']
    """
    for place, value in enumerate(values):
        yield orjson.dumps(orjson.loads(value) | {"time_ms": start_ms + int(place * 1000 / rate)})


def workload(cache: Path, events: int, seed: int, within_s: int | None = None) -> Workload:
    """Make it, or read what an earlier run of the same code made of the same numbers.

    Args:
        cache: where it is kept.
        events: how many.
        seed: of everything.
        within_s: squeeze the log, and the one that the models are trained on, into so many seconds of event time: for
            whoever sends it as fast as that, and wants decisions as usual. None: times are as simulated.

    Raises:
        AssayError: too few events.
    """
    if events < LEAST_EVENTS:
        raise AssayError(f"expected at least {LEAST_EVENTS} events to measure with, got {events}: ask for more")
    directory = cache / f"workload-{_digest()}-{TRAINING_EVENTS}-{seed}{f'-{within_s}-s' if within_s else ''}"
    directory.mkdir(parents=True, exist_ok=True)
    events_file = directory / f"events-{events}.jsonl"
    if not events_file.exists():
        announce(f"simulating {events} events")
        values = _within(judged_once(simulate(Scenario(events=events + events // 10, seed=seed)))[:events], within_s)
        partial = events_file.with_suffix(".partial")
        partial.write_bytes(b"".join(value + b"\n" for value in values))
        partial.rename(events_file)
    model, peer_model = directory / "model", directory / "peer-model.txt"
    if not (model.exists() and peer_model.exists()):
        announce(f"training two models of {TREES} trees, for the product and for the rivals")
        played = simulate(Scenario(events=TRAINING_EVENTS, seed=seed + _TRAINING_SEED_STEP))
        frauds = {label["judged_event_id"] for label in label_records(played) if label["label"] == "fraud"}
        train(_within(judged_once(played), within_s), frauds, seed, model, peer_model)
    values = events_file.read_bytes().splitlines()
    keys = [orjson.loads(value)["account_id"].encode() for value in values]
    return Workload(events_file, values, keys, model, peer_model, seed)


def _within(values: list[bytes], within_s: int | None) -> list[bytes]:
    return values if within_s is None else list(squeezed(values, len(values) / within_s))


def judged_once(played: Timeline) -> list[bytes]:
    """Events that get a verdict, in order of arrival, without the repeated ones."""
    events = {event["event_id"]: event for event in event_records(played) if event["type"] in _JUDGED}
    return [orjson.dumps(event) for event in events.values()]


def _digest() -> str:
    """Names the code that everything follows from: another simulator or feature set makes other data."""
    digest = hashlib.sha256(FEATURES.hash.encode())
    for pattern in _SOURCES:
        for path in sorted(ROOT.glob(pattern)):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
