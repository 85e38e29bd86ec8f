"""What tests need from outside: one real Kafka for all of them, and promtool.

Where it cannot be had the tests that need it do not run, and the summary says so.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from hypothesis import settings

from features.errors import AssayError
from streams import broker as kafka
from streams.admin import apply_topics, connect
from tests.side_by_side import FileByFile, place_of

# No deadline: a kernel compiles on its first call, whichever example makes it. CI draws the same examples each time.
settings.register_profile("assay", deadline=None, derandomize="CI" in os.environ, print_blob=True)
settings.load_profile("assay")

_numbers = count(1)
NOT_RUN = pytest.StashKey[list[tuple[list[str], str, str]]]()
"""Names of tests, what they miss, and why it cannot be had."""


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kafka.RunningBroker]:
    """A single Kafka node on a free port, unencrypted; stopped after the last test, also when tests fail."""
    with kafka.start(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture
def topic(broker: kafka.RunningBroker, request: pytest.FixtureRequest) -> str:
    """A prefix of topics that nobody else uses, with every topic of the contract created under it.

    Two partitions; another number with ``@pytest.mark.parametrize("topic", [4], indirect=True)``.
    """
    client, _ = connect(broker.client_settings)
    prefix = f"test-{next(_numbers)}."
    apply_topics(client, prefix, getattr(request, "param", 2))
    _wait_until_answered(client, prefix)
    return prefix


def _wait_until_answered(client: AdminClient, prefix: str) -> None:
    """On a busy machine a broker is told by its controller that it leads a partition after everybody else knows."""
    topics = {name: topic for name, topic in client.list_topics(timeout=20).topics.items() if name.startswith(prefix)}
    ends = {TopicPartition(name, number): OffsetSpec.latest() for name in topics for number in topics[name].partitions}
    deadline_s = time.monotonic() + 60.0
    while any(answer.exception() for answer in client.list_offsets(ends, request_timeout=20).values()):
        assert time.monotonic() < deadline_s, f"no leader answers for every partition of {prefix}"
        time.sleep(0.05)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what uses the fixture, before ``-m`` chooses by marks."""
    if "broker" in getattr(item, "fixturenames", ()):
        item.add_marker("broker")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Before several test processes start: what all of them need is fetched and compiled once."""
    if session.config.getoption("numprocesses", None):
        with suppress(AssayError):  # they will find out for themselves, and say who does not run
            _prepare_broker(session.config)
        subprocess.run([sys.executable, "-m", "streams.warm_up"], cwd=session.config.rootpath, check=False)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long files first; leave out what needs something that cannot be had."""
    items.sort(key=lambda item: place_of(item.nodeid))
    if config.option.collectonly:
        return
    not_run = []
    for marker, (missing, prepare) in NEEDED.items():
        users = [item for item in items if item.get_closest_marker(marker)]
        if not users:
            continue
        try:
            prepare(config)
        except AssayError as error:
            not_run.append(([item.nodeid for item in users], missing, str(error)))
            config.hook.pytest_deselected(items=users)
            items[:] = [item for item in items if item not in users]
    if not_run:
        config.stash[NOT_RUN] = not_run


def _prepare_broker(config: pytest.Config) -> None:
    kafka.prepare(lambda what, done, total: None if done else _say(config, f"{what}: {total} jars, once"))


def _find_promtool(config: pytest.Config) -> None:
    if shutil.which("promtool") is None:
        raise AssayError("rules are tested with promtool: install it, on Debian with `apt-get install prometheus`")


NEEDED: dict[str, tuple[str, Callable[[pytest.Config], None]]] = {
    "broker": ("no Kafka broker", _prepare_broker),
    "promtool": ("no promtool", _find_promtool),
}
"""Marker of tests to what is missing where it cannot be had, and the check; it raises `AssayError` with the reason."""


def _say(config: pytest.Config, line: str) -> None:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.write_line(line)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A session that had to have everything and had not has failed."""
    config = session.config
    if NOT_RUN in config.stash:
        if hasattr(config, "workeroutput"):  # one of several test processes: the summary is not its own
            config.workeroutput["not_run"] = config.stash[NOT_RUN]
        elif os.environ.get("ASSAY_REQUIRE_BROKER") == "1":
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FileByFile:
    """Files as they stand in the order of the session."""
    config.option.loadscopereorder = False
    return FileByFile(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what one of several test processes did not run; each says the same."""
    if "not_run" in getattr(node, "workeroutput", {}):
        node.config.stash[NOT_RUN] = node.workeroutput["not_run"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name every test that did not run."""
    for names, missing, reason in config.stash.get(NOT_RUN, []):
        terminalreporter.section(f"{len(names)} tests did not run: {missing}", red=True, bold=True)
        for name in names:
            terminalreporter.line(name)
        terminalreporter.line(reason)
