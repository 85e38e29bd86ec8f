"""The model that ships with the project, made anew: `python -m streams.shipped DIRECTORY`.

Simulated traffic, its features as the engine serves them, and `assay train` on them: the same code gives the same
bytes. It is needed when the feature set, the shape of an artefact or training has changed. The shipped model is not
asked, because then it cannot be opened any more.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import lightgbm
import numpy as np

from features.catalogue import FEATURES
from features.errors import AssayError
from features.money import Rates
from models.artefact import write_artefact
from models.booster import library_version
from models.calibration import Calibration
from models.detector import DetectorSpec
from models.manifest import Trained
from models.policy import Policy
from models.reference import reference_of
from models.training import detector_inputs
from streams.model_in_force import ModelInForce, open_model
from streams.score import ScoreRequest, score
from streams.simulator import Scenario, simulate
from streams.simulator.writer import write
from streams.train import TrainRequest, TrainResult, train_files

SCENARIO = Scenario(events=250_000, seed=11)
"""Two months of a platform with 3,125 accounts."""
SEED = 1
"""Of training."""
_STAND_IN_ROWS = 200


def make(directory: Path, scenario: Scenario) -> TrainResult:
    """Simulate, compute features and train.

    Args:
        directory: to make for the model; its last part becomes the model's name.
        scenario: what is simulated.

    Raises:
        AssayError: the directory exists, or a step fails.
    """
    with TemporaryDirectory(prefix="assay-shipped-") as temporary:
        work = Path(temporary)
        write(simulate(scenario), work, "jsonl")
        model = _stand_in(work / "stand-in")
        events = ScoreRequest(
            events=work / "events.jsonl",
            labels=work / "labels.jsonl",
            out=work / "verdicts.jsonl",
            dead_letters=work / "dead-letters.jsonl",
            features=work / "features.parquet",
        )
        score(events, model, lambda _: model)
        request = TrainRequest(
            features=work / "features.parquet", labels=work / "labels.jsonl", out=directory, seed=SEED
        )
        return train_files(request)


def _stand_in(directory: Path) -> ModelInForce:
    """A model that knows nothing. Of a model nothing but the exchange rates enters into features."""
    rows = np.random.default_rng(0).random((_STAND_IN_ROWS, len(FEATURES.names)), dtype=np.float32)
    settings = {"objective": "binary", "num_threads": 1, "verbosity": -1}
    data = lightgbm.Dataset(rows, rows[:, 0] > 0.5, feature_name=list(FEATURES.names))
    names = detector_inputs(FEATURES)
    write_artefact(
        directory,
        name="stand-in",
        feature_set=FEATURES,
        model_text=lightgbm.train(settings, data, num_boost_round=1).model_to_string(),
        calibration=Calibration(kind="none"),
        detector=DetectorSpec(names=names, limits=((0.0, 1.0),) * len(names), n_trees=1, height=1),
        policy=Policy.default(),
        rates=Rates.default(),
        baselines=[None] * len(FEATURES.names),
        sample=rows,
        reference=reference_of(FEATURES.names, rows, np.zeros(len(rows)), np.zeros(len(rows), dtype=np.uint8)),
        trained=Trained(
            first_time_ms=0,
            last_time_ms=0,
            event_count=0,
            fraud_count=0,
            seed=0,
            lightgbm=library_version(),
            metrics={},
        ),
    )
    return open_model(directory)


def main(arguments: list[str]) -> int:
    """Command line: makes the model and tells its id; 1 and one line on standard error if it cannot."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m streams.shipped DIRECTORY\n")
        return 2
    try:
        result = make(Path(arguments[0]), SCENARIO)
    except AssayError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"model {result.model} ({result.trees} trees) is in {result.directory}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
