"""Serves the console until SIGTERM or SIGINT."""

import asyncio
import signal
from collections.abc import Callable

from aiohttp import web

from features.errors import AssayError
from streams.config import Config
from streams.console.console import Console
from streams.console.server import application


def serve(config: Config, say: Callable[[str], None]) -> None:
    """Serve until asked to end.

    Args:
        config: settings in force.
        say: told the address once it answers.

    Raises:
        AssayError: a setting is wrong, or the port is taken.
    """
    asyncio.run(_serve(Console(config), say))


async def _serve(console: Console, say: Callable[[str], None]) -> None:
    address, port = console.config.text("console.address"), console.config.whole("console.port")
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    runner = web.AppRunner(application(console), access_log=None, handle_signals=False, shutdown_timeout=5.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, address, port)
        try:
            await site.start()
        except OSError as error:
            raise AssayError(
                f"console.address {address}, console.port {port}: expected a free port ({error.strerror}); set "
                "ASSAY_CONSOLE_PORT to another one, 0 for any"
            ) from None
        shown = f"[{address}]" if ":" in address else address
        say(f"http://{shown}:{runner.addresses[0][1]}/")
        await over.wait()
    finally:
        await runner.cleanup()
