"""A topic that is deleted and made anew under its name, on a real broker: nothing of the former one is gone on with.

The new topic has other records at the same offsets, so a state of the former one would fit by its numbers.
"""

import shutil
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import orjson
import pytest
from confluent_kafka.admin import AdminClient

from streams.admin import apply_topics, connect, topic_id
from streams.broker import RunningBroker
from tests.streams.command_line import assay, fails_with
from tests.streams.logs import keyed, mixed_log
from tests.streams.states import content_of
from tests.streams.test_worker import of_topic, scored_from_files
from tests.streams.workers import environment, produce, read_all, stop, worker

Records = list[tuple[bytes | None, bytes, int]]
FORMER = (200, 600)
"""Records of the former topic, at its two snapshots."""
NEW, LATE = 900, 300
"""Records of the new one, and how many of them were judged when things go wrong."""


def log_of(count: int, seed: int) -> Records:
    """A log of one partition; the accounts of all seeds have the same names."""
    return [(key, value, 0) for key, value, _ in keyed(mixed_log(count, seed=seed, accounts=20))]


def verdicts_of(records: Records, directory: Path) -> list[bytes]:
    """What the file end makes of a log."""
    return scored_from_files(records, 0, directory)["verdicts"]


class Site:
    """Topics of one prefix, one partition each, and a snapshot store."""

    def __init__(self, broker: RunningBroker, prefix: str, directory: Path) -> None:
        self.client: AdminClient
        self.client, _ = connect(broker.client_settings)
        self.bootstrap = broker.bootstrap_servers
        self.prefix = prefix
        self.directory = directory
        self.events = f"{prefix}events"
        self.snapshots = directory / "snapshots"

    def settings(self, state: str, **more: str) -> dict[str, str]:
        """Of a worker with that directory of states."""
        return environment(self.bootstrap, self.prefix, self.directory / state, **more)

    def write(self, records: Records) -> None:
        produce(self.bootstrap, self.events, records)

    def judge(self, state: str, verdicts: int, *, snapshots: bool = False) -> list[bytes]:
        """Run a worker until so many verdicts are there in all; their bytes."""
        log = self.directory / f"log-{state}"
        with worker(self.settings(state, ASSAY_SNAPSHOTS_URL=str(self.snapshots) if snapshots else ""), log) as process:
            found = read_all(self.bootstrap, [f"{self.prefix}verdicts"], 1, verdicts)
            assert stop(process) == 0, log.read_text()
        return [message.value() or b"" for message in of_topic(found, "verdicts")]

    def refused(self, state: str) -> str:
        """What a worker says that does not start."""
        log = self.directory / f"log-{state}"
        before = log.read_text() if log.exists() else ""
        with worker(self.settings(state), log) as process:
            assert process.wait(timeout=60) == 1, log.read_text()
        (line,) = [line for line in log.read_text()[len(before) :].splitlines() if line.startswith("assay: ")]
        assert "made from another log" in line
        return line

    def make_anew(self) -> None:
        """Delete the topics that hold events and verdicts, and make them again."""
        names = [self.events, f"{self.prefix}verdicts"]
        for answer in self.client.delete_topics(names, operation_timeout=20).values():
            answer.result()
        deadline = time.monotonic() + 20
        while set(names) & self.client.list_topics(timeout=20).topics.keys():
            assert time.monotonic() < deadline
        apply_topics(self.client, self.prefix, 1)


@pytest.fixture
def site(broker: RunningBroker, topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    made = Site(broker, topic, tmp_path)
    for name, value in made.settings("state", ASSAY_SNAPSHOTS_URL=str(made.snapshots)).items():
        if name.startswith("ASSAY_"):
            monkeypatch.setenv(name, value)
    yield made


@pytest.mark.parametrize("topic", [1], indirect=True)
def test_nothing_of_a_former_topic_is_gone_on_with(site: Site, tmp_path: Path) -> None:
    former, new = log_of(FORMER[-1], 51), log_of(NEW, 52)
    expected = verdicts_of(new, tmp_path / "expected")
    former_id = topic_id(site.client, site.events)
    for start, end in pairwise((0, *FORMER)):
        site.write(former[start:end])
        site.judge("former", len(verdicts_of(former[:end], tmp_path / f"former-{end}")))
        assert assay("state", "snapshot", "--state", tmp_path / "former").code == 0

    site.make_anew()
    new_id = topic_id(site.client, site.events)
    assert former_id != new_id
    site.refused("former")  # before anything is committed
    site.write(new[:LATE])
    early = len(verdicts_of(new[:LATE], tmp_path / "early"))
    assert site.judge("new", early) == expected[:early]

    # an operator restores: no snapshot of the former topic, though all look fit
    restored = ("--state", tmp_path / "restored", "--partition", 0)
    finished = assay("state", "restore", *restored)
    assert (finished.code, finished.output) == (1, b"")
    assert "no snapshot of this topic" in finished.errors.splitlines()[-1]

    # a worker on another machine: nor does it, though one is not ahead of what is committed
    site.write(new[LATE:])
    assert site.judge("empty", len(expected), snapshots=True) == expected
    assert f"topic id {former_id}); they are passed over" in (tmp_path / "log-empty").read_text()
    right = content_of(tmp_path / "empty" / f"{site.events}-0")
    assert right.values["topic_id"] == new_id.encode()

    # a machine that still has the former state: by its numbers it could go on
    before = content_of(tmp_path / "former" / f"{site.events}-0")
    line = site.refused("former")
    for words in (former_id, new_id, "state restore", str(tmp_path / "former")):
        assert words in line
    assert content_of(tmp_path / "former" / f"{site.events}-0") == before

    # whoever looks back does not start from one either
    shutil.rmtree(site.snapshots / f"{site.events}-0" / new_id)
    info = assay("state", "info", "--state", tmp_path / "empty").output.decode()
    assert f"; 0 snapshots; 2 snapshots, the newest at {FORMER[-1]} (of another log: topic id {former_id})" in info
    finished = assay("verify", "--sample", len(expected))
    assert finished.code == 0, finished
    finished = assay("state", "rebuild", "--state", tmp_path / "rebuilt", "--partition", 0)
    assert finished.code == 0, finished
    assert content_of(tmp_path / "rebuilt" / f"{site.events}-0") == right

    # nor whoever reads an archive, which does not say of which topic it is
    archive = ("--archive", tmp_path / "archive")
    assert assay("archive", "--to", archive[1]).code == 0
    finished = assay("verify", "--sample", len(expected), *archive)
    assert finished.code == 0, finished
    assert "this one is no topic of Kafka" in finished.errors
    finished = assay("state", "rebuild", "--state", tmp_path / "from-archive", "--partition", 0, *archive)
    assert finished.code == 0, finished
    assert content_of(tmp_path / "from-archive" / f"{site.events}-0") == right

    # its own snapshots are taken, though the former topic's newest has a higher offset
    assert assay("state", "snapshot", "--state", tmp_path / "new").code == 0
    finished = assay("state", "restore", *restored, "--json")
    assert orjson.loads(finished.output)["next_offset"] == LATE < FORMER[-1]
    assert content_of(tmp_path / "restored" / f"{site.events}-0") == content_of(tmp_path / "new" / f"{site.events}-0")
    assert assay("verify", "--sample", len(expected)).code == 0


def test_a_topic_that_is_not_there_has_no_id(broker: RunningBroker) -> None:
    fails_with(
        assay("state", "restore", "--partition", 0, "--snapshots", "none", "--bootstrap", broker.bootstrap_servers),
        "asking for the id of the topic fraud.events",
        "docs/security.md",
        "assay topics apply",
    )
