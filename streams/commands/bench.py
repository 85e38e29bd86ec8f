"""`assay bench`: what this checkout measures on this machine; `benchmarks/` is not part of an image."""

from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from features.errors import AssayError


class WithTable(TyperCommand):
    """A command whose help ends with the table of measurements, where there is a checkout to read it from."""

    def get_help(self, ctx: typer.Context) -> str:  # type: ignore[override]
        """The usual help and the table."""
        text = super().get_help(ctx)
        if find_spec("benchmarks") is None:
            return text
        from benchmarks.registry import BENCHMARKS

        lines = [
            f"  {row.name:14} {' ' if row.by_default else '*'} {row.measures} (about {row.takes})" for row in BENCHMARKS
        ]
        return "\n".join([text, "", "Measurements (*: only when named):", *lines])


def bench(
    names: Annotated[
        list[str] | None, typer.Argument(help="What to measure; without a name, all that need not be named.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for each.")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of all data; the same seed gives the same bytes.")] = 1,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Runs of each side; the median counts.")] = 3,
    events: Annotated[
        int | None, typer.Option("--events", min=1, help="Events to measure with; each has its own default.")
    ] = None,
    accounts: Annotated[int | None, typer.Option("--accounts", min=1, help="Accounts in state.")] = None,
    mebibytes: Annotated[int | None, typer.Option("--mebibytes", min=1, help="Size of the state in snapshot.")] = None,
    handbook: Annotated[
        Path | None, typer.Option("--handbook", help="The handbook's transactions.parquet.", dir_okay=False)
    ] = None,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--directory", help="Keep everything here; default: models and rivals in the cache, the rest not."
        ),
    ] = None,
) -> None:
    """Measure speed, memory and latency on this machine, each beside what it is compared with.

    Every measurement prints machine, commit, data, seed and its own bias; `ratio` is ours against the other side in the
    same run, `equal` says whether compared results were the same. Exit code 1 if something could not be measured or
    was not equal.
    """
    if find_spec("benchmarks") is None:
        raise AssayError(
            "measurements are part of the repository and not of this installation: run `make bench` in a checkout"
        )
    from benchmarks.registry import BENCHMARKS, named
    from benchmarks.report import cache_directory, open_files_limit, show

    unknown = [name for name in names or () if named(name) is None]
    if unknown:
        known = ", ".join(row.name for row in BENCHMARKS)
        raise typer.BadParameter(f"{', '.join(unknown)}: expected some of {known}", param_hint="NAMES")
    if handbook is None and "handbook" in (names or ()):
        raise typer.BadParameter("handbook needs the path of its transactions.parquet", param_hint="--handbook")
    rows = [row for row in BENCHMARKS if (row.name in names if names else row.by_default)]
    open_files_limit()
    failed = []
    with TemporaryDirectory(prefix="assay-bench-") as temporary:
        kept = directory or Path(temporary)
        kept.mkdir(parents=True, exist_ok=True)
        options: dict[str, Any] = {
            "directory": kept.absolute(),
            "cache": (directory or cache_directory()).absolute(),
            "seed": seed,
            "repeats": repeats,
            "events": events,
            "accounts": accounts,
            "mebibytes": mebibytes,
            "handbook": handbook,
        }
        for row in rows:
            try:
                facts = row.run(options)
            except AssayError as error:
                facts = {"not_measured": str(error)}
            show(row.name, facts, as_json=as_json)
            if "not_measured" in facts or facts.get("equal") is False:
                failed.append(row.name)
    if failed:
        raise AssayError(f"not measured, or not equal: {', '.join(failed)}; what was found stands above")
