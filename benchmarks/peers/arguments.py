"""What every rival is told on its command line."""

import argparse
from dataclasses import dataclass


@dataclass(frozen=True)
class Arguments:
    """Where to read, where to write, and what to judge with.

    Attributes:
        bootstrap: brokers.
        events: topic of the events.
        verdicts: topic to write; it exists.
        group: consumer group, or whatever stands for one; each run has its own.
        model: path of LightGBM's text.
        directory: for state; empty.
        form: `row_by_row` or `batched`, where there is a choice.
    """

    bootstrap: str
    events: str
    verdicts: str
    group: str
    model: str
    directory: str
    form: str


def parse() -> Arguments:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    for name in ("bootstrap", "events", "verdicts", "group", "model", "directory"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--form", default="batched", choices=("row_by_row", "batched"))
    return Arguments(**vars(parser.parse_args()))
