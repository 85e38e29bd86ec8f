"""`python -m benchmarks`: all measurements, or those that are named."""

import argparse
import tempfile
from pathlib import Path

from benchmarks.report import open_files_limit, show
from features.errors import AssayError

EVENTS = 200_000


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        help="file_to_file, many_accounts, kafka, recovery, restart, snapshot, handbook; default: all but the last",
    )
    parser.add_argument("--events", type=int, help=f"default: {EVENTS}, in recovery more")
    parser.add_argument("--accounts", type=int, default=1_000_000)
    parser.add_argument("--mebibytes", type=int, default=1_024, help="size of the state in snapshot")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--handbook", type=Path, help="path of the handbook's transactions.parquet")
    parser.add_argument("--directory", type=Path, help="keep data here; default: a temporary directory")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    usual = ["file_to_file", "many_accounts", "kafka", "recovery", "restart", "snapshot"]
    names = arguments.names or [*usual, *(["handbook"] if arguments.handbook else [])]
    open_files_limit()
    with tempfile.TemporaryDirectory(prefix="assay-benchmarks-") as temporary:
        directory = arguments.directory or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        for name in names:
            if name == "file_to_file":
                from benchmarks.file_to_file import throughput

                facts = throughput(directory, arguments.events or EVENTS, arguments.seed, arguments.repeats)
            elif name == "many_accounts":
                from benchmarks.many_accounts import memory

                facts = memory(directory, arguments.accounts, arguments.accounts * 3 // 2, arguments.seed)
            elif name == "kafka":
                from benchmarks.kafka import end_to_end

                try:
                    facts = end_to_end(directory, (arguments.events or EVENTS) // 2, arguments.seed)
                except AssayError as error:
                    facts = {"not_measured": str(error)}
            elif name == "recovery":
                from benchmarks.recovery import recovery

                facts = recovery(directory, (arguments.events or 0) // 2, arguments.seed)
            elif name == "restart":
                from benchmarks.restart import restart

                facts = restart(directory, arguments.accounts, arguments.seed)
            elif name == "snapshot":
                from benchmarks.snapshot import snapshot

                facts = snapshot(directory, arguments.mebibytes, arguments.seed)
            elif name == "handbook":
                from benchmarks.handbook import score

                if arguments.handbook is None:
                    parser.error("handbook needs --handbook PATH of its transactions.parquet")
                facts = score(arguments.handbook, directory)
            else:
                parser.error(f"{name}: expected {', '.join(usual)} or handbook")
            show(name, facts, as_json=arguments.json)


if __name__ == "__main__":
    main()
