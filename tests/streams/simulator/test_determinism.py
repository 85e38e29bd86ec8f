"""The same scenario gives the same bytes, in every process; another seed gives others."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from pathlib import Path
from streams.simulator import Scenario, simulate
from streams.simulator.writer import write
write(simulate(Scenario(events=6_000, seed=int(sys.argv[2]))), Path(sys.argv[1]), sys.argv[3])
"""


def digests(directory: Path, hash_seed: str, seed: int, file_format: str) -> dict[str, str]:
    """Hashes of the files that another process writes."""
    subprocess.run(
        [sys.executable, "-c", PROGRAM, str(directory), str(seed), file_format],
        check=True,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
    )
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(directory.iterdir())}


@pytest.mark.parametrize("file_format", ["jsonl", "parquet"])
def test_the_same_scenario_gives_the_same_bytes_in_every_process(tmp_path: Path, file_format: str) -> None:
    first = digests(tmp_path / "a", "1", 5, file_format)
    assert sorted(first) == [f"{name}.{file_format}" for name in ("events", "labels", "truth")]
    assert digests(tmp_path / "b", "2", 5, file_format) == first


def test_another_seed_gives_other_bytes_in_every_file(tmp_path: Path) -> None:
    first, second = digests(tmp_path / "a", "1", 5, "jsonl"), digests(tmp_path / "b", "1", 6, "jsonl")
    assert not set(first.values()) & set(second.values())
