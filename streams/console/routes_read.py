"""Pages out of the picture alone: live, alerts, verdicts, review, models, audit."""

import asyncio
from datetime import UTC, datetime

from aiohttp import web

from features.errors import AssayError
from features.records import Verdict
from models.decision import OUTCOMES
from streams.alert_kinds import KINDS
from streams.console.console import Console, console_of, now_ms
from streams.console.places import place_in
from streams.console.review_queue import Queue, review_queue
from streams.console.shell import page
from streams.console.snooze_shelf import END, SPANS
from streams.console.verdict_book import Search
from streams.console.view_live import live_view
from streams.console.view_models import models_view
from streams.console.view_rows import queue_rows, verdict_rows

MOST_ROWS = 50


async def live(request: web.Request) -> web.Response:
    """What the engine does now."""
    return page(request, "live.html", view=live_view(console_of(request).picture, now_ms()))


async def alerts(request: web.Request) -> web.Response:
    """What is in force, and what was told."""
    picture = console_of(request).picture
    shelf, snoozes = picture.alerts, picture.snoozes.in_force(now_ms())
    return page(
        request, "alerts.html", in_force=shelf.in_force(), told=shelf.told(MOST_ROWS), kinds=KINDS, snoozes=snoozes,
        spans=SPANS, end=END,
    )  # fmt: skip


async def verdicts(request: web.Request) -> web.Response:
    """The newest verdicts, or those that fit a search."""
    console, query = console_of(request), request.query
    text = query.get("text", "").strip()[:64]
    place = place_in(text)
    if place is not None:
        raise web.HTTPSeeOther(f"/event/{place.partition}/{place.offset}")
    wanted = Search(
        text, _decision(query.get("decision", "")), query.get("code", "")[:16], _score(query.get("score", ""))
    )
    book = console.picture.verdicts
    found = await asyncio.to_thread(book.copy().search, wanted, MOST_ROWS)
    rows = verdict_rows(found, console.picture.labels, console.shelf.money)
    return page(
        request, "verdicts.html", wanted=wanted, rows=rows, kept=len(book), most=MOST_ROWS, decisions=OUTCOMES,
        is_search=wanted != Search(),
    )  # fmt: skip


async def review(request: web.Request) -> web.Response:
    """What an analyst should look at next."""
    console = console_of(request)
    queue = queue_of(console, now_ms())
    rows = queue_rows(queue, console.shelf.money)
    return page(request, "review.html", queue=queue, rows=rows, money=console.shelf.money)


async def models(request: web.Request) -> web.Response:
    """Models in force, and whether traffic is what they were trained on."""
    console = console_of(request)
    return page(request, "models.html", view=models_view(console.picture.telemetry.by_model(), console.shelf.artefact))


async def audit(request: web.Request) -> web.Response:
    """Who did what."""
    return page(request, "audit.html", actions=console_of(request).picture.audit.newest(MOST_ROWS))


def queue_of(console: Console, time_ms: int) -> Queue:
    """The review queue as of now; a day begins at midnight UTC."""
    picture = console.picture
    midnight = datetime.fromtimestamp(time_ms / 1_000, UTC).replace(hour=0, minute=0, second=0, microsecond=0)

    def is_labelled(verdict: Verdict) -> bool:
        return picture.labels.of(verdict.event_id, verdict.account_id) is not None

    return review_queue(
        (row.verdict for row in picture.verdicts.held()),
        is_labelled,
        console.shelf.costs_of,
        capacity=console.config.whole("console.review_capacity"),
        looked_at=picture.labels.by_analysts_since(int(midnight.timestamp() * 1_000)),
    )


def _decision(text: str) -> str:
    return text if text in OUTCOMES else ""


def _score(text: str) -> float | None:
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0.0 <= number <= 1.0:
        raise AssayError("score: expected a number from 0 to 1")
    return number


ROUTES = [
    web.get("/", live),
    web.get("/alerts", alerts),
    web.get("/verdicts", verdicts),
    web.get("/review", review),
    web.get("/models", models),
    web.get("/audit", audit),
]
