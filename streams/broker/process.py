"""Processes of nodes: started in a session of their own, recognised by their command line, ended by their pid alone."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from random import SystemRandom

from features.errors import AssayError
from streams.broker.properties import HOST

POLL_S = 0.05
# Below the range from which systems draw the ports of outgoing connections: a client that keeps calling a stopped
# broker can then never be given the broker's own port and so keep it from coming back.
PORTS = range(20_000, 30_000)


def spawn(java: Path, arguments: Path, log: Path, directory: Path) -> int:
    """Start `java` with the argument file; its output is added to `log`. It outlives this process. Returns its pid."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [java, f"@{arguments}"],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    # For some milliseconds after its start a process has no command line to recognise it by.
    while process.poll() is None and not is_ours(process.pid, arguments):
        time.sleep(0.001)
    return process.pid


def is_ours(pid: int, arguments: Path) -> bool:
    """Whether process `pid` runs, and is the one that was started with `arguments`.

    Pids are used again after a crash or a reboot: the number alone says nothing.
    """
    return pid > 0 and f"@{arguments}" in _command_line(pid)


def _command_line(pid: int) -> str:
    """That of a running process; empty if it has ended, even if nobody has collected its exit code yet."""
    if Path("/proc/self/cmdline").exists():
        try:
            return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" "))
        except (FileNotFoundError, ProcessLookupError):
            return ""
    answer = subprocess.run(["ps", "-ww", "-p", str(pid), "-o", "args="], capture_output=True, text=True, check=False)
    return answer.stdout


def end(processes: Iterable[tuple[int, Path]], how: signal.Signals, timeout_s: float) -> None:
    """Send a signal to those (pid, argument file) that are ours and wait for them; what is left then is killed."""
    waiting = [process for process in processes if is_ours(*process)]
    for step, limit_s in ((how, timeout_s), (signal.SIGKILL, 10.0)):
        for pid, _ in waiting:
            _send(pid, step)
        deadline = time.monotonic() + limit_s
        while waiting and time.monotonic() < deadline:
            time.sleep(POLL_S)
            waiting = [process for process in waiting if is_ours(*process)]
    if waiting:
        raise AssayError(f"processes {[pid for pid, _ in waiting]} did not end after SIGKILL: the disk may hang")


def _send(pid: int, how: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it may just have ended
        os.kill(pid, how)


def is_open(port: int) -> bool:
    """Whether somebody listens on a port of the loopback address."""
    with socket.socket() as connection:
        connection.settimeout(1.0)
        return connection.connect_ex((HOST, port)) == 0


def is_free(port: int) -> bool:
    """Whether a port of the loopback address may be listened on."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError:
            return False
        return True


def free_ports(count: int) -> list[int]:
    """`count` different free ports.

    Raises:
        AssayError: so many could not be found.
    """
    candidates = SystemRandom().sample(PORTS, k=len(PORTS))
    found = list(islice(filter(is_free, candidates), count))
    if len(found) < count:
        raise AssayError(f"expected {count} free ports in {PORTS.start}-{PORTS.stop}, found {len(found)}: close some")
    return found
