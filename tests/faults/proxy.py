"""A TCP proxy in front of the broker, in a process of its own, that behaves as badly as it is told to.

The broker advertises the proxy's port, so every client connection crosses it, and so do the broker's own transaction
markers. What happens when comes from the test, which draws it from a seed; the proxy only obeys. One word a line:

- ``pass``: bytes go through.
- ``reset``: every connection is cut off, and every new one too.
- ``silence``: connections stay open, nothing goes through in either direction.
- ``slow``: a tenth of a second for each piece of up to 16 KiB.
- ``late``: requests go through at once, answers wait: a commit is done, and whoever asked for it does not know.
"""

import asyncio
import os
import subprocess
import sys
from types import TracebackType
from typing import Self

from tests.faults.fork_server import ROOT

FAULTS = ("reset", "silence", "slow", "late")
HOST = "127.0.0.1"
_SLOW_S = 0.1
_PIECE_BYTES = 16_384


class Proxy:
    """The commanding end; ``pass`` until told otherwise.

    Args:
        port: where it listens.
        target: port of the broker.
    """

    def __init__(self, port: int, target: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.proxy", str(port), str(target)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.behave("pass")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def behave(self, how: str) -> None:
        """From now on, until the next call; returns when it does."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(how + "\n")
        assert self._process.stdout.readline() == how + "\n", "the proxy has ended"


class _Pump:
    """Everything that passes, and how."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._how = "pass"
        self._changed = asyncio.Condition()
        self._connections: set[asyncio.StreamWriter] = set()

    async def behave(self, how: str) -> None:
        async with self._changed:
            self._how = how
            self._changed.notify_all()
        if how == "reset":
            for writer in self._connections:
                writer.transport.abort()

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client, with its own to the broker."""
        self._connections.add(writer)
        try:
            if self._how != "reset":
                from_broker, to_broker = await asyncio.open_connection(HOST, self._target)
                self._connections.add(to_broker)
                try:
                    await asyncio.gather(
                        self._pump(reader, to_broker, "request"), self._pump(from_broker, writer, "answer")
                    )
                finally:
                    self._drop(to_broker)
        except OSError:
            pass  # the broker is away, or someone has hung up: the other side is told by the end of its connection
        finally:
            self._drop(writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, what: str) -> None:
        while piece := await reader.read(_PIECE_BYTES):
            if self._how == "slow":
                await asyncio.sleep(_SLOW_S)
            held = ("silence", "late") if what == "answer" else ("silence",)
            async with self._changed:
                await self._changed.wait_for(lambda held=held: self._how not in held)
            writer.write(piece)
            await writer.drain()
        writer.transport.abort()  # the other direction ends with this one

    def _drop(self, writer: asyncio.StreamWriter) -> None:
        self._connections.discard(writer)
        writer.transport.abort()


async def _serve(port: int, target: int) -> None:
    pump = _Pump(target)
    await asyncio.start_server(pump.connect, HOST, port)
    commands = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := (await commands.readline()).decode():
        await pump.behave(line.strip())
        sys.stdout.write(line)
        sys.stdout.flush()
    os._exit(0)  # connections are cut off without ceremony


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
