"""The way in which the shipped model is made: from nothing, and the features are those of any model."""

from pathlib import Path

import pytest

from features.catalogue import FEATURES
from models.artefact import load_artefact
from streams import shipped
from streams.model_in_force import open_model
from streams.score import ScoreRequest, score
from streams.shipped_model import SHIPPED
from streams.simulator import Scenario, simulate
from streams.simulator.writer import write
from streams.train import TrainRequest, train_files

SMALL = Scenario(events=6_000, seed=3, fraud_share=0.05)


def test_a_model_made_anew_is_the_one_that_the_commands_make(tmp_path: Path) -> None:
    """The commands score with the model that ships, the module with one that knows nothing: the same features."""
    made = shipped.make(tmp_path / "made" / "model", SMALL)
    assert load_artefact(made.directory, FEATURES).id == made.model
    write(simulate(SMALL), tmp_path, "jsonl")
    first = open_model(SHIPPED)
    files = {name: tmp_path / name for name in ("events.jsonl", "labels.jsonl", "features.parquet", "verdicts.jsonl")}
    score(
        ScoreRequest(
            events=files["events.jsonl"],
            labels=files["labels.jsonl"],
            out=files["verdicts.jsonl"],
            features=files["features.parquet"],
        ),
        first,
        lambda _: first,
    )
    request = TrainRequest(
        features=files["features.parquet"],
        labels=files["labels.jsonl"],
        out=tmp_path / "trained" / "model",
        seed=shipped.SEED,
    )
    assert train_files(request).model == made.model


def test_the_module_tells_the_id_of_what_it_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shipped, "SCENARIO", SMALL)
    assert shipped.main([str(tmp_path / "model")]) == 0
    assert load_artefact(tmp_path / "model", FEATURES).id in capsys.readouterr().out
    assert shipped.main([str(tmp_path / "model")]) == 1
    told = capsys.readouterr().err
    assert told == f"{tmp_path / 'model'} exists: choose another directory, or remove it first\n"


def test_no_directory_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert shipped.main([]) == 2
    assert "usage: python -m streams.shipped DIRECTORY" in capsys.readouterr().err
