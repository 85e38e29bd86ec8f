"""`assay console --demo`: one command, everything there, and nothing left behind."""

import os
import re
import signal
import subprocess
from pathlib import Path
from urllib.request import urlopen

from streams import broker as kafka
from tests.streams.console.site import wait_for
from tests.streams.workers import ASSAY


def test_one_command_shows_a_running_engine_and_ends_with_everything(
    broker: kafka.RunningBroker, tmp_path: Path
) -> None:
    assert broker.bootstrap_servers  # the fixture says whether a broker can be had at all
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ASSAY_") or name == "ASSAY_CACHE"}
    demo = subprocess.Popen(
        [ASSAY, "console", "--demo", "--port", "0", "--directory", str(tmp_path)],
        env={**kept, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=(tmp_path / "demo.log").open("wb"),
        text=True,
    )
    try:
        assert demo.stdout is not None
        said = [demo.stdout.readline() for _ in range(3)]
        url = re.search(r"http://\S+", said[0])
        assert url is not None, said
        for page, link in (("verdicts?decision=decline", b'href="/event/'), ("letters", b'href="/letters/events/')):
            address = url[0] + page
            wait_for(page, lambda: link in urlopen(address, timeout=60).read())  # noqa: B023 - called at once
        token = re.search(r"token (\S+)", said[1])
        assert token is not None
        assert len(token[1]) > 16
    finally:
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=120)
        kafka.stop(tmp_path / "broker")
    assert demo.returncode == 0, (tmp_path / "demo.log").read_text()
    assert not kafka.describe(tmp_path / "broker").running
    assert b"stopped" in (tmp_path / "run.log").read_bytes()
