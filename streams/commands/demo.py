"""`assay demo`: the whole product on simulated traffic."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from streams.demo import DemoResult
    from streams.demo_report import DemoReport

WIDTH = 120
"""Columns of what is not a terminal."""


def demo(
    out: Annotated[Path, typer.Option("--out", help="Directory of everything that the demo makes.")] = Path(
        "assay-demo"
    ),
    events: Annotated[
        int, typer.Option("--events", min=100_000, help="Simulated events; training needs some fraud.")
    ] = 200_000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same verdicts.")] = 1,
    kafka: Annotated[
        bool, typer.Option("--kafka", help="Send the same log through a real broker, started for the demo.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Simulate a platform under attack, train a model on the first part, judge the rest, show what was caught.

    Needs no broker, no Docker and no Java; with --kafka it starts a real Apache Kafka on this machine (Java 17 and
    Maven), sends the same log through it and compares the verdicts byte for byte.
    """
    from rich.console import Console

    from streams.demo import run_demo
    from streams.demo_report import lines_of, report, to_json
    from streams.model_in_force import open_model
    from streams.shipped_model import SHIPPED

    console = Console(stderr=True)
    result = run_demo(out, events, seed, open_model(SHIPPED), lambda text: console.print(f"· {text}", highlight=False))
    compared = None
    if kafka:
        from streams.demo_kafka import through_kafka

        compared = through_kafka(result, lambda text: console.print(f"· {text}", highlight=False))
    shown = report(lines_of(result.files.second_verdicts), result.files.simulated / "truth.jsonl")
    if as_json:
        import orjson

        facts: dict[str, Any] = {
            "model": result.model,
            "events_per_second": result.events_per_second,
            "verdicts": result.second.verdicts,
            "kafka": compared,
            **to_json(shown),
        }
        typer.echo(orjson.dumps(facts, option=orjson.OPT_INDENT_2).decode())
        return
    _print(result, shown)
    if compared is not None:
        typer.echo(
            f"through Kafka: {compared['events']:,} events in, {compared['verdicts']:,} verdicts out in "
            f"{compared['seconds']:.1f} s ({compared['events_per_second']:,.0f} events/s), "
            f"{compared['different']} differ from the file run"
        )


def _print(result: "DemoResult", shown: "DemoReport") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console.width = WIDTH
    verdicts = Table(title="Verdicts on fraud, some of each decision", title_justify="left", box=None, pad_edge=False)
    for name in ("decision", "score", "attack", "account", "reasons"):
        verdicts.add_column(name, justify="right" if name == "score" else "left", no_wrap=name != "reasons")
    for verdict, attack in shown.examples:
        reasons = "; ".join(reason.text for reason in verdict.reasons[:2])
        verdicts.add_row(verdict.decision, f"{verdict.score:.3f}", attack, verdict.account_id, reasons or "-")
    console.print(verdicts, "")

    caught = Table(
        title="Caught: fraud that was not approved, and attacks in which something was caught",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    for name in ("attack", "payments", "caught", "rate", "attacks", "step_up", "review", "decline"):
        caught.add_column(
            name, justify="left" if name == "attack" else "right", min_width=18 if name == "attack" else 0
        )
    for attack, row in sorted(shown.attacks.items()):
        caught.add_row(
            attack,
            f"{row.payments:,}",
            f"{row.caught:,}",
            f"{row.caught / row.payments:.0%}",
            f"{len(row.stopped)} of {len(row.instances)}",
            *(f"{row.by_decision[name]:,}" for name in ("step_up", "review", "decline")),
        )
    console.print(caught, "")
    for crowd, name in (("none", "legitimate events"), ("sale", "events of the sale")):
        if shown.legitimate.get(crowd):
            share = shown.stopped_legitimate[crowd] / shown.legitimate[crowd]
            console.print(
                f"{name}: {shown.legitimate[crowd]:,}, not approved: {shown.stopped_legitimate[crowd]:,} ({share:.2%})",
                highlight=False,
            )
    console.print(
        f"\n{result.second.verdicts:,} verdicts on {result.second.records:,} records in {result.second_seconds:.1f} s: "
        f"{result.events_per_second:,.0f} events/s on one core, account state in RocksDB\n"
        f"model {result.model[:16]} with {result.trees} trees; verdicts in {result.files.second_verdicts}, "
        f"log in {result.files.second_log}, model in {result.files.model}, state in {result.files.state}",
        highlight=False,
        soft_wrap=True,
    )
