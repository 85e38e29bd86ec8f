"""The whole product on simulated traffic: simulate, score, train, put the new model in force, score on, report.

The log is cut once. Up to the cut the model that ships judges; what was known by then trains a new one, which a marker
in the log puts in force; everything after the cut is judged by it, on the account state that the first part left.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import msgspec
import orjson

from features.errors import AssayError
from features.windows import DAY_MS
from streams.event_files import EventFile
from streams.label_merge import merge_labels
from streams.model_in_force import ModelInForce, open_model
from streams.score import ScoreRequest, Summary, score
from streams.simulator import Scenario, simulate
from streams.simulator.writer import write
from streams.train import TrainRequest, train_files

TRAINING_SHARE = 0.6
"""Share of the log that the new model learns from."""
MATURE_MS = 7 * DAY_MS
"""Events younger than this at the cut are left out of training: their labels are still to come."""

Step = Callable[[str], None]
"""Told what begins."""


@dataclass(frozen=True, slots=True)
class DemoFiles:
    """Where everything of a demo lies."""

    directory: Path

    @property
    def simulated(self) -> Path:
        """events.jsonl, labels.jsonl, truth.jsonl."""
        return self.directory / "simulated"

    @property
    def first_log(self) -> Path:
        """Events and labels up to the cut, as one log."""
        return self.directory / "log-1.jsonl"

    @property
    def second_log(self) -> Path:
        """The marker of the new model, then everything after the cut."""
        return self.directory / "log-2.jsonl"

    @property
    def features(self) -> Path:
        """Features of the first part, as served."""
        return self.directory / "features.parquet"

    @property
    def model(self) -> Path:
        """The trained model."""
        return self.directory / "model"

    @property
    def state(self) -> Path:
        """Account state in RocksDB."""
        return self.directory / "state"

    @property
    def first_verdicts(self) -> Path:
        """Verdicts of the first part."""
        return self.directory / "verdicts-1.jsonl"

    @property
    def second_verdicts(self) -> Path:
        """Verdicts of the second part."""
        return self.directory / "verdicts-2.jsonl"


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What a demo did.

    Attributes:
        files: where everything is.
        model: id of the trained model.
        trees: its size.
        first, second: the two scoring runs.
        second_seconds: wall time of the second one.
    """

    files: DemoFiles
    model: str
    trees: int
    first: Summary
    second: Summary
    second_seconds: float

    @property
    def events_per_second(self) -> float:
        """Records of the second part per second of wall time, start-up not included."""
        return self.second.records / self.second_seconds


def run_demo(directory: Path, events: int, seed: int, first_model: ModelInForce, step: Step) -> DemoResult:
    """Run every step; an earlier demo in the same directory is replaced.

    Raises:
        AssayError: `directory` holds something else, or a step fails.
    """
    files = DemoFiles(directory)
    _make_room(files)
    step(f"simulating {events:,} events with seed {seed}")
    write(simulate(Scenario(events=events, seed=seed)), files.simulated, "jsonl")
    cut = int(events * TRAINING_SHARE)
    _write_first_log(files, cut)
    step("scoring the first part with the model that ships, keeping features and account state")
    first = score(
        ScoreRequest(
            events=files.first_log,
            out=files.first_verdicts,
            dead_letters=directory / "dead-letters.jsonl",
            features=files.features,
            state=files.state,
        ),
        first_model,
        _only(first_model),
    )
    step("training a model on what was known at the cut")
    trained = train_files(
        TrainRequest(
            features=files.features,
            labels=files.simulated / "labels.jsonl",
            out=files.model,
            until_ms=_newest_ms(files.first_log),
            mature_ms=MATURE_MS,
            seed=seed,
        )
    )
    model = open_model(files.model)
    _write_second_log(files, cut, model.id)
    step(f"scoring the rest with model {model.id[:16]}, put in force by a marker in the log")
    started = time.perf_counter()
    second = score(
        ScoreRequest(
            events=files.second_log,
            out=files.second_verdicts,
            dead_letters=directory / "dead-letters.jsonl",
            state=files.state,
            continues=True,
        ),
        first_model,
        _only(first_model, model),
    )
    return DemoResult(files, trained.model, trained.trees, first, second, time.perf_counter() - started)


def _make_room(files: DemoFiles) -> None:
    if files.directory.exists():
        if any(files.directory.iterdir()) and not files.simulated.exists():
            raise AssayError(f"{files.directory} holds something that is not a demo: choose another --out")
        shutil.rmtree(files.directory)
    files.directory.mkdir(parents=True)


def _merged(files: DemoFiles) -> Iterator[bytes]:
    return merge_labels(EventFile(files.simulated / "events.jsonl"), EventFile(files.simulated / "labels.jsonl"))


def _write_first_log(files: DemoFiles, cut: int) -> None:
    with files.first_log.open("wb") as file:
        file.writelines(record + b"\n" for record in islice(_merged(files), cut))


def _write_second_log(files: DemoFiles, cut: int, model_id: str) -> None:
    marker = {
        "event_id": f"model-{model_id[:16]}",
        "type": "marker",
        "time_ms": _newest_ms(files.first_log),
        "marker": "model",
        "value": model_id,
    }
    with files.second_log.open("wb") as file:
        file.writelines(record + b"\n" for record in chain([orjson.dumps(marker)], islice(_merged(files), cut, None)))


class _Timed(msgspec.Struct):
    time_ms: int


def _newest_ms(log: Path) -> int:
    """Time of the newest record; simulated records are all readable."""
    decode = msgspec.json.Decoder(_Timed).decode
    return max(decode(record).time_ms for record in EventFile(log))


def _only(*models: ModelInForce) -> Callable[[str], ModelInForce]:
    """Opens no other models than these."""
    by_id = {model.id: model for model in models}

    def by_reference(model_id: str) -> ModelInForce:
        if model_id not in by_id:
            raise AssayError(f"model {model_id[:16]}: expected one of this demo: {', '.join(i[:16] for i in by_id)}")
        return by_id[model_id]

    return by_reference
