"""One small workload for all smoke tests: its models are trained once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import workload


@pytest.fixture(scope="session")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workload")


@pytest.fixture
def small_cache(_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache whose models were trained on few events."""
    monkeypatch.setattr(workload, "TRAINING_EVENTS", 20_000)
    yield _cache
