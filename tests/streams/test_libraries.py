"""Kafka's jars and the programs that fetch and run them: pinned, compared, and missed with a clear line."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from features.errors import AssayError
from streams import broker as kafka
from streams.broker import java, libraries

JARS = {"kafka-1.jar": b"the broker", "log-2.jar": b"its log"}
FAKE_MAVEN = """#!{python}
import os, pathlib, sys
jars = {jars!r}
directory = pathlib.Path(next(word for word in sys.argv if word.startswith("-DoutputDirectory="))[18:])
directory.mkdir()
for name, content in jars.items():
    print(f"Downloaded from central: https://repository.example/{{name}} (10 kB at 1 kB/s)")
    (directory / name).write_bytes(content)
print({last!r})
sys.exit({code})
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with two pinned jars to fetch, an empty cache, and no programs; returns the folder for programs."""
    pinned = tmp_path / "pinned.sha256"
    pinned.write_text("".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in JARS.items()))
    monkeypatch.setattr(libraries, "PINNED", pinned)
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "programs"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    (tmp_path / "programs").mkdir()
    return tmp_path / "programs"


def program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def maven(folder: Path, jars: dict[str, bytes], code: int = 0, last: str = "") -> None:
    program(folder / "mvn", FAKE_MAVEN.format(python=sys.executable, jars=jars, code=code, last=last))


def test_without_java_the_other_ways_are_named(machine: Path) -> None:
    with pytest.raises(AssayError, match=r"Java 17 or newer; no `java` was found on the PATH") as caught:
        kafka.prepare()
    assert "docker compose up" in str(caught.value)
    assert "assay score" in str(caught.value)


def test_an_old_java_is_named_with_its_version(machine: Path) -> None:
    program(machine / "java", "#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    with pytest.raises(AssayError, match=r"programs/java is version 11"):
        kafka.prepare()


def test_a_java_that_does_not_start_is_not_used(machine: Path) -> None:
    program(machine / "java", "#!/bin/sh\nexit 3\n")
    with pytest.raises(AssayError, match="ends with code 3"):
        kafka.prepare()


def test_java_home_comes_before_the_path(machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "jdk"
    (home / "bin").mkdir(parents=True)
    program(machine / "java", "#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    program(home / "bin" / "java", "#!/bin/sh\necho 'openjdk version \"21.0.1\"' >&2\n")
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert java.find_java() == home / "bin" / "java"


def test_without_maven_and_without_jars_the_other_ways_are_named(machine: Path) -> None:
    with pytest.raises(
        AssayError, match=r"needs `mvn` once, to fetch Apache Kafka .*; none was found .*docker compose up"
    ):
        libraries.jars()


def test_jars_are_fetched_once_with_progress(machine: Path) -> None:
    maven(machine, JARS)
    steps: list[tuple[int, int]] = []
    fetched = libraries.jars(lambda what, done, total: steps.append((done, total)))
    assert [path.name for path in fetched] == list(JARS)
    assert steps == [(0, 2), (1, 2), (2, 2)]
    (machine / "mvn").unlink()
    assert libraries.jars() == fetched


def test_a_damaged_jar_is_named(machine: Path) -> None:
    maven(machine, JARS)
    damaged = libraries.jars()[1]
    damaged.write_bytes(b"its lag")
    with pytest.raises(AssayError, match=r"log-2\.jar is damaged: expected sha256 \w{16}…, got \w{16}… \(7 bytes\)"):
        libraries.jars()


def test_a_jar_that_is_missing_is_fetched_again(machine: Path) -> None:
    maven(machine, JARS)
    lost = libraries.jars()[0]
    lost.unlink()
    assert lost in libraries.jars()


def test_a_download_that_is_not_the_pinned_one_is_not_kept(machine: Path) -> None:
    maven(machine, JARS | {"log-2.jar": b"something else"})
    with pytest.raises(AssayError, match=r"log-2\.jar is damaged.*~/\.m2/repository"):
        libraries.jars()
    assert not libraries.cache_directory().exists()
    assert list(libraries.cache_directory().parent.glob("*.partial")) == []


def test_the_reason_of_maven_is_passed_on(machine: Path) -> None:
    maven(machine, {}, code=1, last="[ERROR] Could not resolve kafka: no route to host")
    with pytest.raises(AssayError, match=r"code 1 .* Could not resolve kafka: no route to host: check the network"):
        libraries.jars()


def test_a_jar_that_is_not_pinned_is_not_loaded(machine: Path) -> None:
    maven(machine, JARS | {"stranger.jar": b"surprise"})
    assert [path.name for path in libraries.jars()] == list(JARS)


def test_the_pinned_list_and_the_pom_name_the_same_version() -> None:
    names = libraries.pinned()
    assert f"kafka_2.13-{libraries.KAFKA_VERSION}.jar" in names
    assert all(len(digest) == 64 for digest in names.values())
    assert f"<version>{libraries.KAFKA_VERSION}</version>" in libraries.POM.read_text()


@pytest.mark.parametrize("processes", [[], ["-n", "2"]], ids=["one process", "two processes"])
def test_a_session_without_java_names_the_tests_that_did_not_run(tmp_path: Path, processes: list[str]) -> None:
    root = Path(__file__).parents[2]
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "conftest.py").write_text((root / "tests" / "conftest.py").read_text())
    (tests / "test_two.py").write_text("def test_alone(): pass\n\n\ndef test_with(topic): pass\n")

    def session(**more: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": str(tmp_path), "PYTHONPATH": str(root), **more}
        words = [*processes, "-c", "/dev/null", "--rootdir", str(tmp_path), str(tests)]
        command = [sys.executable, "-m", "pytest", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    lenient = session()
    assert lenient.returncode == 0, lenient.stdout
    assert "1 passed" in lenient.stdout
    assert lenient.stdout.count("1 tests did not run: no Kafka broker") == 1
    assert "test_two.py::test_with" in lenient.stdout
    assert "needs Java 17 or newer" in lenient.stdout
    assert session(ASSAY_REQUIRE_BROKER="1").returncode == 1
