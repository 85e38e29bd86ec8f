"""The kill campaign by hand: ``python -m tests.faults --kills 1000 --seed 7``; exit code 1 if a promise is broken."""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from streams import broker as kafka
from tests.faults.fork_server import ForkServer
from tests.faults.kills import kill_campaign
from tests.faults.truth import Differences
from tests.streams.small_model import small_model_directory


def main() -> int:
    """Start a broker, kill, judge, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="kill -9 so often")
    parser.add_argument("--seed", type=int, default=1, help="of traffic and kills")
    parser.add_argument("--delivery", choices=("exactly_once", "at_least_once"), default="exactly_once")
    parser.add_argument("--keep", type=Path, help="leave broker, states and workers' logs in this directory")
    asked = parser.parse_args()
    console = Console(stderr=True)
    columns = (TextColumn("kills"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())

    with (
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar,
        TemporaryDirectory(prefix="assay-faults-") as temporary,
        kafka.start((asked.keep or Path(temporary)) / "broker") as broker,
        ForkServer(small_model_directory()) as fork_server,
    ):
        task = bar.add_task("", total=asked.kills)
        report = kill_campaign(
            broker.bootstrap_servers,
            "kills.",
            asked.keep or Path(temporary),
            fork_server,
            kills=asked.kills,
            seed=asked.seed,
            delivery=asked.delivery,
            progress=lambda killed: bar.update(task, completed=killed),
        )
    print("\n".join(report.lines()))  # noqa: T201
    return int(report.judgement.differences != Differences())


if __name__ == "__main__":
    sys.exit(main())
