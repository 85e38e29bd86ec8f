"""Records that the console reads, made by hand, and a console that follows nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from features.records import Coordinates, Reason, Verdict, encode
from streams.config import load_config
from streams.console.console import Console
from streams.console.server import application
from streams.log import LogRecord

TOKEN = "0123456789abcdef0123"
HOSTILE = '<script>alert("x")</script>'


def verdict(event_id: str = "e1", account_id: str = "a1", decision: str = "approve", **more: Any) -> Verdict:
    """A verdict; reasons are given for what is not approved."""
    reasons = [Reason(code="VEL01", feature="f", value=7.0, baseline=0.4, contribution=1.2, text="7 payments")]
    fields: dict[str, Any] = {
        "event_id": event_id,
        "account_id": account_id,
        "time_ms": 1_000,
        "decision": decision,
        "score": 0.2,
        "anomaly": None,
        "expected_loss_minor": 1_000,
        "reasons": [] if decision == "approve" else reasons,
        "model": "0" * 16,
        "policy": "1" * 16,
        "at": Coordinates(0, 0),
        "flags": [],
    }
    return Verdict(**{**fields, **more})


def record(value: bytes, offset: int = 0, timestamp_ms: int = 5_000) -> LogRecord:
    """A record of a topic."""
    return LogRecord(offset, value, timestamp_ms=timestamp_ms)


def of(*verdicts: Verdict) -> list[LogRecord]:
    """Records of the verdicts topic."""
    return [record(encode(each), place) for place, each in enumerate(verdicts)]


def console(tmp_path: Path, **settings: str) -> Console:
    """A console of which the broker does not exist."""
    environment = {
        "ASSAY_KAFKA_BOOTSTRAP": "127.0.0.1:9",
        "ASSAY_MODELS_DIRECTORY": str(tmp_path / "models"),
        "ASSAY_CONSOLE_TOKEN": f"ana:{TOKEN}",
        **settings,
    }
    return Console(load_config(None, environment))


def with_client(console: Console, visit: Callable[[TestClient[Any, Any]], Awaitable[None]]) -> None:
    """Let `visit` talk to a server of this console."""

    async def talk() -> None:
        async with TestClient(TestServer(application(console, follow=False))) as client:
            await visit(client)

    asyncio.run(talk())


async def log_in(client: TestClient[Any, Any]) -> str:
    """Open a session; the secret that its forms carry."""
    answer = await client.post("/login", data={"token": TOKEN, "back": "/audit"}, allow_redirects=False)
    assert answer.status == 303
    # the test's address is 127.0.0.1 without a name, for which the client keeps no cookies by itself
    client.session.cookie_jar.update_cookies(answer.cookies)
    cookie = answer.cookies["assay-console"]
    client.session.headers["Cookie"] = f"assay-console={cookie.value}"
    page = await (await client.get("/audit")).text()
    return page.split('name="csrf" value="')[1].split('"')[0]
