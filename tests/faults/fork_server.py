"""Workers in milliseconds: a process that has imported everything and loaded every kernel forks one whenever asked.

A fresh `assay run` or `assay warm` spends about two seconds on imports before it does anything; a hundred kills would
be minutes of waiting. The forked child is a process like any other: it makes its own Kafka clients, opens its own
files, and dies of kill -9 just the same. The server never makes a client, a store or a thread, so there is nothing in
it that a fork could tear. One JSON line asks, one answers; when the asking end closes, whoever still runs is killed.
"""

import faulthandler
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

ROOT = Path(__file__).absolute().parents[2]
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Libraries for linear algebra start their threads when they are imported; a fork would lose them."""

_POLL_S = 0.02
STACKS = signal.SIGUSR1
"""A forked worker writes the stacks of all its threads to its log."""


class ForkServer:
    """The asking end.

    Args:
        model: directory of a model; its kernels are compiled or loaded before the first fork.
    """

    def __init__(self, model: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.fork_server", str(model)],
            cwd=ROOT,
            env={**os.environ, **ONE_THREAD},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self, environment: Mapping[str, str], log: Path, command: str = "run") -> "Forked":
        """Start `assay run`, or another command, with these environment variables, its output added to `log`."""
        return Forked(self, int(self._ask({"environment": dict(environment), "log": str(log), "command": command})))

    def poll(self, pid: int) -> int | None:
        """Exit code of a worker, minus the signal that ended it; None while it runs. Ask no more after a code."""
        code: int | None = self._ask({"poll": pid})
        return code

    def close(self) -> None:
        """Kill what still runs, end the server."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def _ask(self, question: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        answer = self._process.stdout.readline()
        assert answer, "the fork server has ended"
        return json.loads(answer)


class Forked:
    """A forked worker, with what one asks of a `subprocess.Popen`."""

    def __init__(self, server: ForkServer, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._server = server

    def poll(self) -> int | None:
        """Exit code, minus the signal that ended it; None while it runs."""
        if self.returncode is None:
            self.returncode = self._server.poll(self.pid)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """A signal, if it still runs: until its exit code is asked for, the pid is nobody else's."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float) -> int:
        """Exit code, once it has one.

        Raises:
            subprocess.TimeoutExpired: it has none after so many seconds.
        """
        deadline_s = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline_s:
                raise subprocess.TimeoutExpired(f"forked worker {self.pid}", timeout)
            time.sleep(_POLL_S)
        return code


def serve(model: Path, questions: IO[str], answers: IO[str]) -> None:
    """The answering end: load, then answer until the questions end."""
    import streams.cli
    import streams.warm.worker
    import streams.worker  # noqa: F401 - everything that `assay run` and `assay warm` import
    from streams.model_in_force import open_model
    from streams.warm_up import warm_up

    warm_up(open_model(model))
    if sys.platform == "linux":
        assert len(list(Path("/proc/self/task").iterdir())) == 1, "a fork would lose the other threads"
    running: set[int] = set()
    for line in questions:
        question = json.loads(line)
        if "poll" in question:
            pid, status = os.waitpid(question["poll"], os.WNOHANG)
            running.discard(pid)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        else:
            answer = os.fork()
            if answer == 0:
                _become_worker(question["command"], question["environment"], Path(question["log"]))
            running.add(answer)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    for pid in running:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _become_worker(command: str, environment: Mapping[str, str], log: Path) -> None:
    """Run the command and end this process, whatever happens: it must never answer in the place of its parent."""
    code = 1
    try:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for target, source in ((0, nothing), (1, output), (2, output)):
            os.dup2(source, target)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = ["assay", command]
        faulthandler.register(STACKS)
        from streams.cli import main

        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), sys.stdin, sys.stdout)
