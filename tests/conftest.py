"""One real Kafka for all tests that ask for it; where none can be had they do not run, and the summary says so."""

import os
from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import settings

from features.errors import AssayError
from streams import broker as kafka
from streams.admin import apply_topics, connect

# No deadline: a kernel compiles on its first call, whichever example makes it. CI draws the same examples each time.
settings.register_profile("assay", deadline=None, derandomize="CI" in os.environ, print_blob=True)
settings.load_profile("assay")

_numbers = count(1)
NOT_RUN = pytest.StashKey[tuple[list[str], str]]()


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
    return prefix


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what uses the fixture, before ``-m`` chooses by marks."""
    if "broker" in getattr(item, "fixturenames", ()):
        item.add_marker("broker")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs a broker where none can be had."""
    users = [item for item in items if item.get_closest_marker("broker")]
    if not users or config.option.collectonly:
        return
    try:
        kafka.prepare(lambda what, done, total: None if done else _say(config, f"{what}: {total} jars, once"))
    except AssayError as error:
        config.stash[NOT_RUN] = [item.nodeid for item in users], str(error)
        config.hook.pytest_deselected(items=users)
        items[:] = [item for item in items if item not in users]


def _say(config: pytest.Config, line: str) -> None:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.write_line(line)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A session that had to have a broker and had none has failed."""
    if NOT_RUN in session.config.stash and os.environ.get("ASSAY_REQUIRE_BROKER") == "1":
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name every test that did not run."""
    if NOT_RUN in config.stash:
        names, reason = config.stash[NOT_RUN]
        terminalreporter.section(f"{len(names)} tests did not run: no Kafka broker", red=True, bold=True)
        for name in names:
            terminalreporter.line(name)
        terminalreporter.line(reason)
