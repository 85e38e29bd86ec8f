"""`assay train`: feature rows and labels in, a model out."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from streams.train import TrainResult

_DAY_MS = 86_400_000


def train(
    features: Annotated[
        Path, typer.Option("--features", help="Feature rows as served: what `assay score --features` writes (Parquet).")
    ],
    labels: Annotated[
        Path,
        typer.Option("--labels", help="Labels, JSON lines, Parquet or an archived topic; later ones replace earlier."),
    ],
    out: Annotated[Path, typer.Option("--out", help="Directory to make for the model; it must not exist yet.")],
    until: Annotated[
        str | None,
        typer.Option(
            "--until",
            help="Train on what was known at this time: ISO 8601 (UTC if it names no zone) or epoch milliseconds.",
        ),
    ] = None,
    mature_days: Annotated[
        float,
        typer.Option(
            "--mature-days",
            min=0.0,
            help="Leave out the events of the last so many days: their labels are still to come.",
        ),
    ] = 0.0,
    policy: Annotated[
        Path | None, typer.Option("--policy", help="Costs of each outcome (policy.json); default: a built-in example.")
    ] = None,
    rates: Annotated[
        Path | None, typer.Option("--rates", help="Exchange rates to the base currency (rates.json).")
    ] = None,
    detector: Annotated[
        Path | None,
        typer.Option(
            "--detector",
            help="Online detector: half_space_trees (default), tail_log_probability, or a JSON file with what to "
            "change of its specification, such as another of River's.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of everything random in training.")] = 0,
    threads: Annotated[
        int, typer.Option("--threads", min=1, help="More only pay off on idle cores; they change no byte of the model.")
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Train a model on feature rows and labels, and write it as a directory of plain files.

    Rows are cut by time: 70 % grow the trees, 15 % say when to stop, the last 15 % calibrate the probabilities, and the
    quality is measured on them. An event without a known label counts as legitimate. The same inputs give the same
    bytes.
    """
    import msgspec
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from models.training import MOST_ROUNDS
    from streams.train import TrainRequest, train_files

    request = TrainRequest(
        features=features,
        labels=labels,
        out=out,
        until_ms=None if until is None else _milliseconds(until),
        mature_ms=round(mature_days * _DAY_MS),
        policy=policy,
        rates=rates,
        detector=detector,
        seed=seed,
        threads=threads,
    )
    columns = (SpinnerColumn(), TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        trees = progress.add_task("trees", total=MOST_ROUNDS)
        result = train_files(request, on_round=lambda count: progress.update(trees, completed=count))
    if as_json:
        typer.echo(msgspec.json.encode(result.to_json()).decode())
    else:
        _show(result)


def _milliseconds(text: str) -> int:
    """Epoch milliseconds of an ISO 8601 time or of a number of milliseconds.

    >>> _milliseconds("1970-01-01T00:00:01Z"), _milliseconds("1970-01-02"), _milliseconds("1500")
    (1000, 86400000, 1500)
    """
    if text.isdecimal():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"expected ISO 8601 (2025-06-30T12:00:00Z) or epoch milliseconds, got {text!r}", param_hint="--until"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1_000)


def _show(result: "TrainResult") -> None:
    """The metrics as a table, where the model is, and what to do next."""
    from rich.console import Console
    from rich.table import Table

    report = result.report
    table = Table(title=f"on the last {report.events:,} events, {report.frauds:,} of them fraud")
    table.add_column("measure")
    table.add_column("value", justify="right")
    for measure, value in (
        ("average precision", report.average_precision),
        ("ROC AUC", report.roc_auc),
        *((f"recall at {float(share):.1%} false positives", recall) for share, recall in report.recall_at.items()),
        ("calibration error", report.calibration_error),
        ("legitimate events not approved", 1.0 - report.false_positive_shares["approve"]),
        *((f"caught: {attack} ({part.frauds})", part.caught_share) for attack, part in report.attacks.items()),
        ("savings against approving everything", report.savings),
    ):
        table.add_row(measure, "-" if value is None else f"{value:.4f}")
    console = Console()
    console.print(table)
    console.print("The trees never saw these events; the two numbers of the calibration were fitted on them.")
    if result.labels_without_event:
        console.print(f"{result.labels_without_event:,} labels judge no event of the feature rows.")
    typer.echo(f"model {result.model[:16]} ({result.trees} trees) is in {result.directory}")
    typer.echo(f"next: {result.next_command}")
