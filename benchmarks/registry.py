"""Every measurement, once: its name, what it measures, how long it takes, and the options that it takes.

`assay bench`, `python -m benchmarks` and `make bench` all read this table. A measurement is one function that returns a
dict of facts (`benchmarks/report.py`); its module is imported only when it runs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One row of the table.

    Attributes:
        name: on the command line.
        place: ``module:function`` below `benchmarks`.
        measures: for people, in one line.
        takes: how long a default run takes, roughly, on two cores.
        options: names of the keyword arguments that it is given; those without a value keep the function's default.
        by_default: whether it runs when no name is given.
    """

    name: str
    place: str
    measures: str
    takes: str
    options: tuple[str, ...]
    by_default: bool = True

    def load(self) -> Callable[..., dict[str, Any]]:
        """The function."""
        module, function = self.place.split(":")
        loaded: Callable[..., dict[str, Any]] = getattr(import_module(f"benchmarks.{module}"), function)
        return loaded

    def run(self, options: dict[str, Any]) -> dict[str, Any]:
        """Measure.

        Args:
            options: any of the names in `OPTIONS`; None stands for the function's default.
        """
        return self.load()(**{name: options[name] for name in self.options if options.get(name) is not None})


OPTIONS = ("directory", "cache", "seed", "repeats", "events", "accounts", "mebibytes", "handbook")
"""What a measurement may ask for."""

BENCHMARKS = (
    Benchmark(
        "trees",
        "trees:trees",
        "rows through 300 trees, against LightGBM's own predict",
        "1 min",
        ("seed", "repeats"),
    ),
    Benchmark(
        "forest",
        "forest:forest",
        "rows through the online detector, against River's",
        "1 min",
        ("seed", "repeats"),
    ),
    Benchmark(
        "features",
        "features:features",
        "the features of a batch of events",
        "1 min",
        ("seed", "repeats"),
    ),
    Benchmark(
        "risk",
        "entity_risk:entity_risk",
        "rows into fraud rates of entities, and what these rates find with other delays and weights",
        "4 min",
        ("directory", "seed", "events"),
        by_default=False,
    ),
    Benchmark(
        "entity_graph",
        "entity_graph:entity_graph",
        "links into the entity graph, what is known of the entities they change, and a rebuild",
        "1 min",
        ("seed", "events", "accounts"),
        by_default=False,
    ),
    Benchmark(
        "entities",
        "entities:entities",
        "the warm path's share of 60,000 events/s, and the time until a profile is visible to the engine",
        "6 min",
        ("directory", "cache", "seed", "repeats", "events"),
        by_default=False,
    ),
    Benchmark(
        "engine",
        "engine:engine",
        "record bytes to verdict bytes on one core, no broker, against the rivals' job",
        "2 min",
        ("directory", "cache", "seed", "repeats", "events"),
    ),
    Benchmark(
        "state",
        "state:state",
        "one partition with ten thousand, a million and ten million accounts in state",
        "5 min",
        ("directory", "seed", "accounts", "events"),
        by_default=False,
    ),
    Benchmark(
        "file_to_file",
        "file_to_file:throughput",
        "`assay score` from file to file, and the time to the first verdict",
        "1 min",
        ("directory", "seed", "repeats", "events"),
    ),
    Benchmark(
        "many_accounts",
        "many_accounts:memory",
        "memory and speed with a million accounts in state",
        "3 min",
        ("directory", "seed", "accounts"),
    ),
    Benchmark(
        "kafka",
        "kafka:end_to_end",
        "a worker on a real broker, exactly once, against the ceiling; every verdict compared",
        "2 min",
        ("directory", "cache", "seed", "repeats", "events"),
    ),
    Benchmark(
        "ceiling",
        "ceiling:ceiling",
        "consume and produce of the same bytes and nothing else, exactly once and at least once",
        "1 min",
        ("directory", "cache", "seed", "repeats", "events"),
    ),
    Benchmark(
        "latency",
        "latency:latency",
        "producer to verdict consumer at 25, 50 and 75 % of capacity, against the bare loop",
        "5 min",
        ("directory", "cache", "seed", "repeats", "events"),
    ),
    Benchmark(
        "peers",
        "rivals:peers",
        "the same job on the same topic by Quix Streams, Faust, Bytewax and a plain loop",
        "8 min",
        ("directory", "cache", "seed", "repeats", "events"),
        by_default=False,
    ),
    Benchmark(
        "recovery",
        "recovery:recovery",
        "folding a log again after a crash, against live work",
        "5 min",
        ("directory", "seed", "events"),
        by_default=False,
    ),
    Benchmark(
        "restart",
        "restart:restart",
        "from the start of a worker on a large state to its first verdict",
        "3 min",
        ("directory", "seed", "accounts"),
    ),
    Benchmark(
        "snapshot",
        "snapshot:snapshot",
        "what a snapshot of a large state does to the verdicts made meanwhile",
        "2 min",
        ("directory", "seed", "mebibytes"),
    ),
    Benchmark(
        "handbook",
        "handbook:score",
        "every transaction of the Fraud Detection Handbook; needs --handbook",
        "3 min",
        ("directory", "handbook"),
        by_default=False,
    ),
)


def named(name: str) -> Benchmark | None:
    """The measurement of that name."""
    return next((benchmark for benchmark in BENCHMARKS if benchmark.name == name), None)
