"""The shape of the repository: import direction, no pickle, and a README whose commands exist."""

import ast
import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from streams.cli import app

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("features", "models", "streams", "benchmarks")
SOURCES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def imported_by(path: Path) -> set[str]:
    """Every module that a file imports, at its top or inside a function."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def imports_of(package: str) -> set[str]:
    """First part of every module that a package imports."""
    return {name.split(".")[0] for path in (ROOT / package).rglob("*.py") for name in imported_by(path)}


def test_features_know_nothing_of_models_streams_or_kafka() -> None:
    assert not imports_of("features") & {"models", "streams", "confluent_kafka", "faust", "lightgbm", "river"}


def test_models_know_nothing_of_streams_or_kafka() -> None:
    assert not imports_of("models") & {"streams", "confluent_kafka", "faust", "rocksdict"}


def test_only_the_bench_command_knows_the_benchmarks_and_only_when_it_runs() -> None:
    product = [path for path in SOURCES if "benchmarks" not in path.relative_to(ROOT).parts]
    knowing = [path for path in product if {name for name in imported_by(path) if name.startswith("benchmarks")}]
    assert [path.relative_to(ROOT).as_posix() for path in knowing] == ["streams/commands/bench.py"]
    at_the_top = {node.module for node in ast.parse(knowing[0].read_text()).body if isinstance(node, ast.ImportFrom)}
    assert not [module for module in at_the_top if module and module.startswith("benchmarks")]


def test_rivals_know_nothing_of_the_product() -> None:
    names = {name for path in (ROOT / "benchmarks" / "peers").glob("*.py") for name in imported_by(path)}
    ours = {name for name in names if name.split(".")[0] in PACKAGES}
    assert ours
    assert all(name.startswith("benchmarks.peers") for name in ours)


def test_rocksdb_is_touched_in_one_place() -> None:
    assert [path.name for path in SOURCES if "rocksdict" in imported_by(path)] == ["rocks_store.py"]


def test_nothing_is_pickled() -> None:
    pickling = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
    assert [str(path) for path in SOURCES if pickling & imported_by(path)] == []


def test_the_import_check_sees_imports_inside_functions(tmp_path: Path) -> None:
    source = tmp_path / "module.py"
    source.write_text("def late():\n    from pickle import loads\n    return loads\n")
    assert imported_by(source) == {"pickle"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_says_what_it_is_and_is_about_one_thing(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), "a module begins with what it is for"
    assert len(text.splitlines()) <= 400, "split it: one idea per file"


def commands_of(group: typer.Typer) -> set[str]:
    """Names of all commands, those of groups as ``group command``."""
    names = {
        command.name or command.callback.__name__
        for command in group.registered_commands
        if command.callback is not None
    }
    for sub in group.registered_groups:
        assert sub.typer_instance is not None
        names |= {f"{sub.name} {name}" for name in commands_of(sub.typer_instance)}
    return names


def shown_in(document: str) -> list[list[str]]:
    """Words of each `assay ...` and `make ...` line in the code blocks of a document."""
    blocks = re.findall(r"```(?:sh|bash|console)\n(.*?)```", document, flags=re.DOTALL)
    joined = "\n".join(blocks).replace("\\\n", " ")
    lines = [line.removeprefix("$ ").split(" # ")[0].strip() for line in joined.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith(("assay ", "make "))]


def test_every_command_has_help_and_stands_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in sorted(commands_of(app)):
        result = CliRunner().invoke(app, [*command.split(), "--help"])
        assert result.exit_code == 0, result.output
        assert f"assay {command}" in readme, f"assay {command} is not in the README"


DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs/runbooks").glob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_shown_to_people_exist_with_their_options(document: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for words in shown_in(document.read_text(encoding="utf-8")):
        if words[0] == "make":
            assert words[1] in targets, f"make {words[1]} is no target"
            continue
        names = [word for word in words[1:] if not word.startswith("-")]
        command = next((c for c in (" ".join(names[:2]), names[0]) if c in commands_of(app)), None)
        assert command is not None, f"{' '.join(words)}: no such command"
        shown = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "200"}).output
        for option in (word.split("=")[0] for word in words if word.startswith("--")):
            assert option in shown, f"{' '.join(words)}: {option} is no option of assay {command}"


def test_the_lock_pins_every_package_with_hashes_and_names_no_host() -> None:
    for name in ("requirements.lock", "requirements-dev.lock", "benchmarks/peers/requirements.txt"):
        text = (ROOT / name).read_text()
        assert "://" not in text
        pinned = re.findall(r"^[A-Za-z0-9_.-]+==.*\\$", text, flags=re.MULTILINE)
        assert len(pinned) == len(re.findall(r"^[A-Za-z0-9]", text, flags=re.MULTILINE))
        assert text.count("--hash=sha256:") >= len(pinned)
