"""The rivals' own environment: their pinned packages, in the cache, never in the product's environment."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.report import ROOT, announce
from features.errors import AssayError

REQUIREMENTS = ROOT / "benchmarks" / "peers" / "requirements.txt"


def peers_python(cache: Path) -> Path:
    """The interpreter of the rivals' environment; it is made first if it is not there (minutes, about 450 MB).

    Raises:
        AssayError: a package cannot be had.
    """
    name = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:12]
    directory = cache / f"peers-{name}"
    if not directory.exists():
        announce("installing the rivals' packages into an environment of their own; takes minutes, once")
        partial = directory.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        _run([sys.executable, "-m", "venv", "--copies", str(partial)])
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
        _run([str(partial / "bin" / "python"), *install, "--requirement", str(REQUIREMENTS)])
        partial.rename(directory)  # the interpreter finds its packages relative to itself
    return directory / "bin" / "python"


def peers_environment(**more: str) -> dict[str, str]:
    """Environment variables of a rival: its packages and the scripts of this checkout, and one thread for OpenMP."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ASSAY_", "PYTHON"))}
    return {**kept, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", **more}


def _run(command: list[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        said = (result.stderr.strip() or result.stdout.strip() or "nothing").splitlines()[-1]
        raise AssayError(
            f"the rivals' environment: {' '.join(command[:4])} … failed: {said}; check the network and the settings "
            "of pip, then run this again"
        )
