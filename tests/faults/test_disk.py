"""A disk that is full: the worker says so and ends, and goes on from where it was when there is space again."""

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streams.broker import RunningBroker
from tests.faults.campaign import SHORT, STEP, campaign, under_load
from tests.faults.fork_server import ForkServer
from tests.faults.supervisor import Run
from tests.faults.truth import Differences

SIZE = "8m"


def test_a_full_disk_ends_the_worker_and_loses_nothing(
    broker: RunningBroker, fork_server: ForkServer, tmp_path: Path, seed: int
) -> None:
    with (
        small_disk(tmp_path / "disk"),
        campaign(
            broker.bootstrap_servers, "full.", tmp_path, fork_server=fork_server, seed=seed, events=8 * STEP,
            slots=("0",), **{**SHORT, "ASSAY_STATE_DIRECTORY": str(tmp_path / "disk")},
        ) as it,
    ):  # fmt: skip
        worker = it.supervisor.start("0")
        under_load(it)
        take_all_space(tmp_path / "disk" / "ballast", worker)
        it.feed.send(4 * STEP)
        assert worker.wait() == 1
        assert f"state in {tmp_path / 'disk'}" in worker.last_line()
        assert "disk" in worker.last_line().removeprefix(f"assay: state in {tmp_path / 'disk'}")
        it.supervisor.running.clear()

        (tmp_path / "disk" / "ballast").unlink()
        it.supervisor.start("0")
        judgement = it.finish()
    assert judgement.differences == Differences()
    assert len(judgement.got) == len(judgement.wanted)


@contextmanager
def small_disk(directory: Path) -> Iterator[None]:
    """A file system of a few mebibytes, if we may mount one; else just a directory."""
    directory.mkdir()
    if os.geteuid() != 0:
        yield
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "assay-faults", str(directory)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def take_all_space(ballast: Path, worker: Run) -> None:
    """Fill the disk to its last byte; on a disk that is not ours, let no file of the worker grow any more."""
    with ballast.open("wb", buffering=0) as file:
        if os.geteuid() != 0:
            resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (1, 1))
            return
        for size in (1 << 16, 1 << 12, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
