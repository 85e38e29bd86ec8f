"""The command line as a whole: quick to start, every command listed, faults in one line."""

import logging
import subprocess
import sys
from typing import Any

import pytest
import typer

from features.errors import AssayError
from streams import cli
from tests.streams.command_line import assay, fails_with
from tests.test_tidy import commands_of

HEAVY = (
    "numba",
    "lightgbm",
    "river",
    "pyarrow",
    "sklearn",
    "scipy",
    "pandas",
    "duckdb",
    "confluent_kafka",
    "rocksdict",
)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("COLUMNS", "100")
    return monkeypatch


def test_help_lists_every_command() -> None:
    done = assay("--help")
    assert done.code == 0
    listed = {line.split()[0] for line in done.output.decode().partition("Commands:")[2].splitlines() if line.strip()}
    assert listed >= {command.split()[0] for command in commands_of(cli.app)}
    assert {"demo", "score", "run", "simulate", "train", "config"} <= listed


@pytest.mark.parametrize("command", sorted(commands_of(cli.app)))
def test_every_command_says_what_it_does_and_what_its_options_mean(command: str) -> None:
    found: Any = typer.main.get_command(cli.app)
    for name in command.split():
        found = found.commands[name]
    assert len((found.help or "").split()) > 5
    assert [parameter.name for parameter in found.params if not parameter.help] == []


def test_no_arguments_shows_the_help() -> None:
    done = assay()
    assert b"Commands:" in done.output or "Commands:" in done.errors


def test_importing_the_commands_is_light() -> None:
    """What is heavy is imported by the command that needs it."""
    program = "import sys, streams.cli; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    loaded = set(done.stdout.decode().split())
    assert "typer" in loaded
    assert loaded.isdisjoint(HEAVY), loaded.intersection(HEAVY)


@pytest.mark.parametrize("arguments", [["nonsense"], ["--nonsense"], ["config", "--nonsense"], ["schema", "nonsense"]])
def test_wrong_usage_is_code_2(arguments: list[str]) -> None:
    done = assay(*arguments)
    assert done.code == 2
    assert done.errors.splitlines()[-1].startswith("Error: ")
    assert done.output == b""


def test_a_fault_outside_is_one_line_and_code_1(failing: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise AssayError("state in somewhere: expected this, got that; do so")

    failing.setattr(cli, "app", fails)
    done = assay("score")
    fails_with(done, "state in somewhere: expected this, got that; do so")


def test_an_interruption_is_one_line_and_the_code_of_its_signal(failing: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    failing.setattr(cli, "app", interrupted)
    done = assay("score")
    assert (done.code, done.errors) == (130, "assay: interrupted\n")


def test_our_own_mistake_is_not_hidden(failing: pytest.MonkeyPatch) -> None:
    """An assertion is a fault of the program: it keeps its traceback."""

    def wrong() -> None:
        raise AssertionError("ours")

    failing.setattr(cli, "app", wrong)
    with pytest.raises(AssertionError, match="ours"):
        assay("score")


def test_the_log_goes_to_standard_error(failing: pytest.MonkeyPatch) -> None:
    failing.setattr(cli, "app", lambda: logging.getLogger("assay.test").info("partition 3: said"))
    done = assay("score")
    assert (done.code, done.output) == (0, b"")
    assert done.errors.endswith("INFO assay.test partition 3: said\n")


def test_the_installed_script_is_this_one() -> None:
    done = subprocess.run([sys.executable, "-m", "streams.cli", "--help"], capture_output=True, check=True)
    assert b"Judges every payment event as it happens" in done.stdout
