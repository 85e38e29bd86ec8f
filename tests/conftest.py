"""What tests need from outside: one real Kafka for all of them, promtool, and Chromium.

Where it cannot be had the tests that need it do not run, and the summary says so.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import settings

from features.errors import AssayError
from streams import broker as kafka
from tests.side_by_side import FileByFile, place_of
from tests.streams.fresh_topics import fresh_topics

# No deadline: a kernel compiles on its first call, whichever example makes it. CI draws the same examples each time.
settings.register_profile("assay", deadline=None, derandomize="CI" in os.environ, print_blob=True)
settings.load_profile("assay")

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
    return fresh_topics(broker, getattr(request, "param", 2))


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


def _find_chromium(config: pytest.Config) -> None:
    if shutil.which("chromium") is None:
        raise AssayError("the console is tested in a real browser: on Debian `apt-get install chromium`")


NEEDED: dict[str, tuple[str, Callable[[pytest.Config], None]]] = {
    "broker": ("no Kafka broker", _prepare_broker),
    "promtool": ("no promtool", _find_promtool),
    "chromium": ("no Chromium", _find_chromium),
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
