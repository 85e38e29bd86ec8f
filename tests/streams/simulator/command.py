"""The command `assay simulate` within the test's process."""

from typing import Any

import typer
from typer.testing import CliRunner

from streams.commands.simulate import simulate as simulate_command

app = typer.Typer()
app.command("simulate")(simulate_command)
app.callback()(lambda: None)  # so that the command keeps its name


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["simulate", *arguments], env={"COLUMNS": "200"})
