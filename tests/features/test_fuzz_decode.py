"""A short look of the fuzzer at the decoder, and proof that it would speak up."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(find_spec("atheris") is None, reason="atheris is built for Linux on x86-64 only")
ROOT = Path(__file__).resolve().parents[2]
BROKEN = """
import tests.fuzz_decode as fuzz

def broken(value, _decode=fuzz.decode):
    if b"method" in value and b"}" not in value:
        raise ZeroDivisionError
    return _decode(value)

fuzz.decode = broken
fuzz.main()
"""


def fuzz(*command: str, finds: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command, "--seconds", "5", "--finds", str(finds)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_five_seconds_of_fuzzing_find_nothing(tmp_path: Path) -> None:
    run = fuzz("-m", "tests.fuzz_decode", finds=tmp_path)
    assert run.returncode == 0, run.stderr[-3000:]
    assert "Done" in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_fuzzer_finds_a_decoder_that_raises(tmp_path: Path) -> None:
    run = fuzz("-c", BROKEN, finds=tmp_path)
    assert run.returncode != 0
    assert "ZeroDivisionError" in run.stdout + run.stderr
    assert any(b"method" in find.read_bytes() for find in tmp_path.iterdir())
