"""`assay config`: every setting in force and where its value came from."""

from pathlib import Path
from typing import Annotated

import typer

from streams.config import SETTINGS, load_config

_ONE_LINE = 1_000
"""Columns of what is not a terminal: there each setting is one line, fit for grep."""

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", envvar="ASSAY_CONFIG", help="TOML file; every key is also ASSAY_<SECTION>_<KEY>."),
]


def config(
    path: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print every setting: value, origin, meaning. Secrets are shown as set or not set."""
    loaded = load_config(path)
    rows = []
    for setting in SETTINGS:
        value = loaded.values[setting.name]
        shown = ("set" if value else "not set") if setting.secret else value
        rows.append((setting.name, shown, loaded.origins[setting.name], setting.variable, setting.meaning))
    if as_json:
        import orjson

        keys = ("name", "value", "origin", "variable", "meaning")
        typer.echo(orjson.dumps([dict(zip(keys, row, strict=True)) for row in rows], option=orjson.OPT_INDENT_2))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("setting", "value", "from", "meaning", box=None, pad_edge=False)
    for name, shown, origin, _, meaning in rows:
        table.add_row(*(Text(str(cell)) for cell in (name, shown, origin, meaning)))
    console = Console()
    if not console.is_terminal:
        console.width = _ONE_LINE
    console.print(table)
