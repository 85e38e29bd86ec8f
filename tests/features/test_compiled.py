"""Machine code is never older than the source that it was made from."""

import ast
from pathlib import Path

import pytest

from features.compiled import kernel_sources

ROOT = Path(__file__).resolve().parents[2]


def imported_files(path: Path) -> set[Path]:
    """Files of our packages that `path` imports, by Python's own parser."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            found |= {ROOT / (name.replace(".", "/") + ".py") for name in names}
        elif isinstance(node, ast.Import):
            found |= {ROOT / (alias.name.replace(".", "/") + ".py") for alias in node.names}
    return {file for file in found if file.exists() and file.parent.name in ("features", "models")}


def test_nothing_that_a_kernel_imports_is_missing() -> None:
    sources = set(kernel_sources())
    for path in sources:
        assert imported_files(path) <= sources, path.name


def test_every_file_with_a_kernel_is_there_and_what_no_kernel_needs_is_not() -> None:
    sources = set(kernel_sources())
    for path in [*(ROOT / "features").glob("*.py"), *(ROOT / "models").glob("*.py")]:
        names = {
            getattr(decorator, "id", "")
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.FunctionDef)
            for decorator in node.decorator_list
        }
        assert "compiled" not in names or path in sources, path.name
    assert ROOT / "features" / "rocks_store.py" not in sources


@pytest.mark.parametrize(
    "line", ["from features.b import X", "from features import a, b as c", "    from features.b import Y"]
)
def test_a_change_in_what_a_kernel_imports_is_seen(tmp_path: Path, line: str) -> None:
    for package in ("features", "models"):
        (tmp_path / package).mkdir()
    (tmp_path / "features" / "kernel.py").write_text(f"{line}\n\n@compiled\ndef f(): ...\n")
    (tmp_path / "features" / "b.py").write_text("from models.deep import Z\n")
    (tmp_path / "models" / "deep.py").write_text("")
    (tmp_path / "models" / "other.py").write_text("")
    assert {path.name for path in kernel_sources(tmp_path)} == {"kernel.py", "b.py", "deep.py"}
