"""Kafka's jars: fetched once with Maven into the user's cache, and compared with the pinned list on each use."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from features.errors import AssayError
from streams.broker.java import find_program

KAFKA_VERSION = "4.3.1"
POM = Path(__file__).with_name("pom.xml")
PINNED = Path(__file__).with_name("kafka-libs.sha256")
COPY_DEPENDENCIES = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
QUIET_MS = 60_000  # a server that sends nothing for so long is given up

Report = Callable[[str, int, int], None]
"""Told what happens now, how many steps are done, and of how many (0: not known)."""


def no_report(what: str, done: int, total: int) -> None:
    """Tell nobody."""


def cache_directory() -> Path:
    """Where the jars are kept: ``$ASSAY_CACHE/kafka-<version>``, by default under ``~/.cache/assay``."""
    base = os.environ.get("ASSAY_CACHE")
    return (Path(base) if base else Path.home() / ".cache" / "assay").absolute() / f"kafka-{KAFKA_VERSION}"


def pinned() -> dict[str, str]:
    """File name of every jar the broker may load, and its sha256."""
    lines = (line.split() for line in PINNED.read_text().splitlines())
    return {name: digest for digest, name in lines}


def jars(report: Report = no_report) -> list[Path]:
    """Every jar of the broker, each with the pinned sha256; missing ones are fetched first.

    Only these files belong on the class path: whatever else lies in the directory is not loaded.

    Raises:
        AssayError: a jar is damaged, Maven is missing, or the download failed.
    """
    directory = cache_directory()
    names = pinned()
    if any(not (directory / name).is_file() for name in names):
        directory.parent.mkdir(parents=True, exist_ok=True)
        with _only_one(directory.with_name(f"{directory.name}.lock")):
            if any(not (directory / name).is_file() for name in names):
                _fetch_into(directory, report)
    return verified(directory, f"delete {directory} and run `assay broker up` again")


def verified(directory: Path, remedy: str) -> list[Path]:
    """The pinned jars in `directory`, after reading each of them.

    Raises:
        AssayError: one is missing or has another sha256; `remedy` says what to do.
    """
    paths = []
    for name, expected in pinned().items():
        path = directory / name
        if not path.is_file():
            raise AssayError(f"{path} was expected among Kafka's jars and is missing: {remedy}")
        with path.open("rb") as file:
            got = hashlib.file_digest(file, "sha256").hexdigest()
        if got != expected:
            raise AssayError(
                f"{path} is damaged: expected sha256 {expected[:16]}…, got {got[:16]}… "
                f"({path.stat().st_size} bytes): {remedy}"
            )
        paths.append(path)
    return paths


def _fetch_into(directory: Path, report: Report) -> None:
    """Download beside `directory`, compare, then put it in place in one step."""
    maven = find_program("mvn", f"once, to fetch Apache Kafka {KAFKA_VERSION}", "maven")
    with tempfile.TemporaryDirectory(prefix="kafka-", suffix=".partial", dir=directory.parent) as partial:
        shutil.copy(POM, partial)
        libraries = Path(partial) / "libs"
        # fmt: off
        _run_maven(
            [str(maven), "--batch-mode", "--strict-checksums", "--file", f"{partial}/pom.xml",
             f"-Dmaven.wagon.rto={QUIET_MS}", f"-Daether.connector.requestTimeout={QUIET_MS}",
             COPY_DEPENDENCIES, "-DincludeScope=runtime", f"-DoutputDirectory={libraries}"],
            report,
        )
        # fmt: on
        verified(libraries, "Maven's own copy of it is not the pinned one; delete it below ~/.m2/repository, run again")
        if directory.exists():
            shutil.rmtree(directory)
        libraries.rename(directory)


def _run_maven(command: Sequence[str], report: Report) -> None:
    names = pinned()
    arrived: set[str] = set()
    complaint = ""
    report(f"fetching Apache Kafka {KAFKA_VERSION} with Maven", 0, len(names))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as maven:
        assert maven.stdout is not None
        try:
            for line in maven.stdout:
                if line.startswith("[ERROR]") and not complaint:
                    complaint = line.removeprefix("[ERROR]").strip()
                if "Downloaded from" in line:
                    name = line.split(" (")[0].rsplit("/", 1)[-1]
                    if name in names:
                        arrived.add(name)
                        report(f"fetched {name}", len(arrived), len(names))
        except BaseException:
            maven.terminate()
            raise
    if maven.returncode != 0:
        raise AssayError(
            f"Maven ended with code {maven.returncode} while fetching Kafka's jars: {complaint or 'no reason given'}: "
            "check the network and the mirrors and proxies of ~/.m2/settings.xml, then run `assay broker up` again"
        )


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Two processes do not fetch at the same time: the second waits, then finds the jars there."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
