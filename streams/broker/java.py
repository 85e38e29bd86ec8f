"""Where Java is, whether it is new enough, and how a class of Kafka is started with it."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from features.errors import AssayError
from streams.broker.private import write_private

OLDEST_JAVA = 17
OTHER_WAYS = "or start Kafka with `docker compose up`, or work without a broker: `assay score EVENTS --out VERDICTS`"

# A broker for one laptop: a small fixed heap, the collector and compiler with the least threads, no files outside
# its own directory.
FLAGS = (
    "-Xms64m",
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:MaxMetaspaceSize=128m",
    "-XX:ReservedCodeCacheSize=64m",
    "-XX:MaxDirectMemorySize=64m",
    "-XX:-UsePerfData",
    "-Xss512k",
    "-Djava.awt.headless=true",
)


def find_java() -> Path:
    """Path of a Java of at least version 17: that of ``JAVA_HOME``, else the first ``java`` on the PATH.

    Raises:
        AssayError: there is none, it does not start, or it is older.
    """
    home = os.environ.get("JAVA_HOME")
    place = f"JAVA_HOME={home}" if home else "the PATH"
    found = shutil.which("java", path=str(Path(home) / "bin") if home else None)
    if found is None:
        raise AssayError(
            f"the local broker needs Java {OLDEST_JAVA} or newer; no `java` was found on {place}: "
            f"install it (Debian: openjdk-17-jre-headless), {OTHER_WAYS}"
        )
    answer = subprocess.run([found, "-version"], capture_output=True, text=True, check=False)
    version = java_version(answer.stderr)
    if answer.returncode != 0 or version is None or version < OLDEST_JAVA:
        got = f"version {version}" if version is not None else f"a program that ends with code {answer.returncode}"
        raise AssayError(
            f"the local broker needs Java {OLDEST_JAVA} or newer; {found} is {got}: "
            f"install it (Debian: openjdk-17-jre-headless) and set JAVA_HOME, {OTHER_WAYS}"
        )
    return Path(found)


def java_version(text: str) -> int | None:
    """Feature release named by the output of ``java -version``; None if it names none.

    >>> java_version('openjdk version "17.0.15" 2025-04-15')
    17
    >>> java_version('java version "1.8.0_402"')
    8
    """
    match = re.search(r'version "(?:1\.)?(\d+)', text)
    return int(match[1]) if match else None


def find_program(name: str, what_for: str, package: str) -> Path:
    """Path of the program `name` on the PATH.

    Raises:
        AssayError: there is none.
    """
    found = shutil.which(name)
    if found is None:
        raise AssayError(
            f"the local broker needs `{name}` {what_for}; none was found on the PATH: "
            f"install it (Debian: {package}), {OTHER_WAYS}"
        )
    return Path(found)


def write_arguments(path: Path, jars: Sequence[Path], directory: Path, main: str, arguments: Sequence[str]) -> None:
    """Write the argument file of one Java process.

    The class path is long and some arguments are passwords: in a file neither shows in the list of processes.

    Args:
        path: the file, replaced if it is there.
        jars: class path, in order.
        directory: where the process keeps its logging settings and temporary files.
        main: class to start.
        arguments: its arguments.
    """
    words = [
        *FLAGS,
        f"-Djava.io.tmpdir={directory / 'temporary'}",
        f"-Dlog4j2.configurationFile={(directory / 'log4j2.properties').as_uri()}",
        f"-Dkafka.logs.dir={directory}",
        "-cp",
        os.pathsep.join(map(str, jars)),
        main,
        *arguments,
    ]
    write_private(path, "".join(f"{quoted(word)}\n" for word in words))


def quoted(word: str) -> str:
    """One word of a Java argument file.

    >>> quoted('-Dname="a b"')
    '"-Dname=\\\\"a b\\\\""'
    """
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
