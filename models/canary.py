"""Try a model in a process of its own before a worker loads it.

A damaged LightGBM text can kill the process that parses it, or never return. `check` starts a small process that loads
the model and scores the golden rows; only if every raw score has the same bits may the model be loaded here. A model
that passed is remembered in the user's cache, so a worker pays for this once per model and LightGBM version.

The child (``python -m models.canary DIRECTORY ID``) imports neither numpy nor anything else that is slow. It checks the
hashes again, so that what was tried is what was checked.
"""

import contextlib
import ctypes
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

from features.errors import AssayError
from models.booster import RAW_SCORE, Booster, library_version

TIMEOUT_S = 30.0
"""A sound model takes a fraction of a second, even on a busy machine."""

_MEMORY_LIMIT_BYTES = 4 * 2**30
_SAME, _DIFFERENT = 0, 3
_ADVICE = "it was not loaded. Take the model from its source again, or train anew"


def check(directory: Path, artefact_id: str, timeout_s: float = TIMEOUT_S) -> None:
    """Return if the model in `directory` loads and gives its golden rows the expected bits.

    Args:
        directory: of the artefact; `models.artefact` has checked its hashes.
        artefact_id: sha256 (hex) of its manifest.
        timeout_s: after how many seconds a model counts as hanging.

    Raises:
        AssayError: the model crashed or hung the trial process, was refused by LightGBM, or scores differently.
    """
    passed = _marker(artefact_id)
    if passed is not None and _exists(passed):
        return
    root = Path(__file__).resolve().parent.parent
    command = [sys.executable, "-P", "-m", "models.canary", str(directory), artefact_id]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    try:
        child = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise AssayError(f"{directory}: the model did not score within {timeout_s:g} s; {_ADVICE}") from error
    if child.returncode < 0:
        name = signal.Signals(-child.returncode).name
        raise AssayError(f"{directory}: the model killed the trial process with {name}; {_ADVICE}")
    if child.returncode != _SAME:
        last_line = (child.stderr.decode(errors="replace").strip() or "no message").splitlines()[-1]
        raise AssayError(f"{directory}: the trial of the model failed: {last_line}; {_ADVICE}")
    if passed is not None:
        with contextlib.suppress(OSError):  # a cache that takes no file costs the next start a second trial
            passed.parent.mkdir(parents=True, exist_ok=True)
            passed.touch()


def _marker(artefact_id: str) -> Path | None:
    """The file that says the model passed; None where there is neither ASSAY_CACHE nor a home directory."""
    try:
        cache = Path(os.environ.get("ASSAY_CACHE") or Path("~/.cache/assay").expanduser())
    except RuntimeError:
        return None
    return cache / "canary" / f"{artefact_id}-{library_version()}"


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # no permission to look
        return False


def _limit(what: int, value: int) -> None:
    _, hard = resource.getrlimit(what)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(what, (value, value))


def _first_difference(directory: Path, artefact_id: str) -> str:
    """Load, score and compare; the first difference in words, empty if there is none."""
    manifest_bytes = (directory / "manifest.json").read_bytes()
    if hashlib.sha256(manifest_bytes).hexdigest() != artefact_id:
        return "manifest.json changed since it was checked"
    files = json.loads(manifest_bytes)["files"]
    content = {name: (directory / name).read_bytes() for name in ("model.txt", "golden.json")}
    for name, data in content.items():
        if hashlib.sha256(data).hexdigest() != files[name]:
            return f"{name} changed since it was checked"
    golden = json.loads(content["golden.json"])
    booster = Booster(content["model.txt"])
    values = [float.fromhex(text) for row in golden["rows"] for text in row]
    expected = golden["scores"]
    if len(values) != len(expected) * booster.feature_count:
        return f"expected golden rows of {booster.feature_count} values"
    rows = (ctypes.c_float * len(values))(*values)
    scores = (ctypes.c_double * len(expected))()
    booster.predict(RAW_SCORE, ctypes.addressof(rows), len(expected), ctypes.addressof(scores), len(scores))
    for number, (score, text) in enumerate(zip(scores, expected, strict=True)):
        if score.hex() != text:
            return f"golden row {number} scores {score.hex()}, expected {text}"
    return ""


def main(arguments: list[str]) -> int:
    """Body of the trial process: 0 the same bits, 3 a difference, told on standard error."""
    directory, artefact_id = arguments
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_AS, _MEMORY_LIMIT_BYTES)
    try:
        difference = _first_difference(Path(directory), artefact_id)
    except AssayError as error:
        difference = str(error)
    if difference:
        sys.stderr.write(difference + "\n")
        return _DIFFERENT
    return _SAME


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
