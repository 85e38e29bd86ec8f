"""`assay schema`: to standard output, to files, and what it says when it cannot."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from features.errors import AssayError
from streams.cli import app
from streams.schema import NAMES, schema

runner = CliRunner()


@pytest.mark.parametrize("name", NAMES)
def test_one_schema_goes_to_standard_output(name: str) -> None:
    result = runner.invoke(app, ["schema", name])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == schema(name)


def test_all_schemas_are_one_object_by_name() -> None:
    result = runner.invoke(app, ["schema"])
    assert json.loads(result.stdout) == {name: schema(name) for name in NAMES}


def test_schemas_go_to_files(tmp_path: Path) -> None:
    result = runner.invoke(app, ["schema", "all", "--out", str(tmp_path / "new" / "schemas")])
    paths = [Path(line) for line in result.stdout.splitlines()]
    assert {path.stem: json.loads(path.read_text()) for path in paths} == {name: schema(name) for name in NAMES}
    assert result.exit_code == 0


def test_a_name_that_has_no_schema_is_wrong_usage() -> None:
    result = runner.invoke(app, ["schema", "payment"])
    assert result.exit_code == 2
    assert "dead-letter" in result.stderr


def test_a_directory_that_cannot_be_made_is_a_fault_outside(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = runner.invoke(app, ["schema", "event", "--out", str(tmp_path / "file" / "below")])
    assert isinstance(result.exception, AssayError)
    assert "expected a directory that can be written to" in str(result.exception)
