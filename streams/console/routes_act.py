"""Logging in, and what needs it: labels, snoozes, redrives, replays."""

import asyncio

from aiohttp import web

from features.errors import AssayError
from streams.console.access import COOKIE, SESSION_S, is_same_site
from streams.console.actions import give_label, give_snooze, label_of, start_redrive, start_replay
from streams.console.audit import Asked
from streams.console.console import console_of, now_ms
from streams.console.letters_view import source_of_text, wanted_of_query
from streams.console.places import wanted_place
from streams.console.replay_run import ReplayOrder
from streams.console.replay_view import replay_view
from streams.console.routes_look import FRESH_S, explain_job
from streams.console.shell import form_of, page, settled, source_of, texts
from streams.console.snooze_shelf import snooze_of

LETTER_FIELDS = ("source", "code", "account", "from", "to", "partition", "offset")


async def login_page(request: web.Request) -> web.Response:
    """The form that asks for a token."""
    return page(request, "login.html", back=_back(request.query.get("back", "")), wrong="")


async def login(request: web.Request) -> web.Response:
    """Open a session for a token."""
    if not is_same_site(request.headers, request.headers.get("Host", "")):
        raise web.HTTPForbidden(text="This form comes from another site.")
    console, fields = console_of(request), texts(await request.post())
    back = _back(fields.get("back", ""))
    locked = console.access.is_locked
    cookie = console.access.open(fields.get("token", "").strip())
    if cookie is None:
        wrong = "Too many wrong tokens: wait a minute." if locked else "This token is nobody's."
        return page(request, "login.html", status=429 if locked else 403, back=back, wrong=wrong)
    response = web.HTTPSeeOther(back)
    response.set_cookie(
        COOKIE, cookie, max_age=SESSION_S, path="/", httponly=True, samesite="Strict",
        secure=console.config.flag("console.secure_cookie"),
    )  # fmt: skip
    return response


async def logout(request: web.Request) -> web.Response:
    """End the session."""
    await form_of(request)
    console_of(request).access.close(request.cookies.get(COOKIE))
    response = web.HTTPSeeOther("/")
    response.del_cookie(COOKIE, path="/")
    return response


async def label(request: web.Request) -> web.Response:
    """Say what an event was."""
    session, fields = await form_of(request)
    console = console_of(request)
    partition, offset = wanted_place(fields.get("place", ""))
    job = await settled(explain_job(console, partition, offset))
    while not job.is_over:
        await asyncio.to_thread(job.settle, FRESH_S)
    if job.state != "done":
        raise AssayError(f"the event cannot be read: {job.error}")
    fraud_type = "" if fields.get("label") == "legit" else fields.get("fraud_type", "")  # one form has both buttons
    intake = label_of(job.result, fields.get("label", ""), fraud_type, now_ms())
    details = {
        "judged_event": f"{partition}:{offset}",
        "label": intake.label,
        "fraud_type": intake.fraud_type,
        "known_at_ms": intake.known_at_ms,
    }
    asked = Asked(console.tell, "label", session.name, source_of(request), details)
    console.picture.labels.take(await asyncio.to_thread(give_label, console, asked, partition, intake))
    raise web.HTTPSeeOther(_back(fields.get("back", "")))


async def snooze(request: web.Request) -> web.Response:
    """Keep an alert back for a while, or not any more."""
    session, fields = await form_of(request)
    console = console_of(request)
    said = snooze_of(fields, session.name, now_ms())
    details = {"alert": said.kind, "subject": said.subject, "until_ms": said.until_ms, "reason": said.reason}
    asked = Asked(console.tell, "snooze", session.name, source_of(request), details)
    await asyncio.to_thread(give_snooze, console, asked, said)
    console.picture.snoozes.said(said)
    raise web.HTTPSeeOther("/alerts")


async def redrive(request: web.Request) -> web.Response:
    """Send dead letters back to where they came from."""
    session, fields = await form_of(request)
    console = console_of(request)
    source = source_of_text(fields.get("source", ""))
    wanted = wanted_of_query(fields, now_ms())
    details = {name: fields[name] for name in LETTER_FIELDS if fields.get(name)}
    asked = Asked(console.tell, "redrive", session.name, source_of(request), details)
    await settled(start_redrive(console, asked, source, wanted, session.name))
    raise web.HTTPSeeOther(f"/letters?source={source}")


async def replay_page(request: web.Request) -> web.Response:
    """The form, and how far the newest replay is or what came of it."""
    console = console_of(request)
    job = console.jobs.get("replay")
    view = replay_view(job.result) if job is not None and job.state == "done" else None
    partitions = sorted({lag.place.partition for lag in console.picture.engine_lag.now()})
    most = console.config.whole("console.replay_records")
    return page(
        request, "replay.html", job=job, view=view, models=console.shelf.choices(), partitions=partitions, most=most
    )


async def replay(request: web.Request) -> web.Response:
    """Start a replay."""
    session, fields = await form_of(request)
    console, partition = console_of(request), fields.get("partition", "")
    if partition and not (partition.isascii() and partition.isdecimal() and len(partition) <= 9):
        raise AssayError("partition: expected a number, or all of them")
    what = ReplayOrder(
        partition=int(partition) if partition else None,
        start=fields.get("from", "").strip()[:40],
        end=fields.get("to", "").strip()[:40],
        model=fields.get("model", "").strip()[:64],
    )
    details = {"partition": what.partition, "from": what.start, "to": what.end, "model": what.model}
    asked = Asked(console.tell, "replay", session.name, source_of(request), details)
    await settled(start_replay(console, asked, what, session.name, now_ms()))
    raise web.HTTPSeeOther("/replay")


async def cancel(request: web.Request) -> web.Response:
    """Cancel the replay that is under way."""
    session, _ = await form_of(request)
    console = console_of(request)
    job = console.jobs.get("replay")
    if job is None or job.is_over:
        raise AssayError("no replay is under way")
    asked = Asked(console.tell, "cancel", session.name, source_of(request), {"started_by": job.by})
    await asyncio.to_thread(asked.then, job.cancel)
    await settled(job)
    raise web.HTTPSeeOther("/replay")


def _back(path: str) -> str:
    """A page of the console to go back to; anything else is its first page.

    >>> _back("/event/0/17"), _back("//evil.example"), _back("https://evil.example")
    ('/event/0/17', '/', '/')
    """
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and len(path) < 300
    return path if is_ours else "/"


ROUTES = [
    web.get("/login", login_page),
    web.post("/login", login),
    web.post("/logout", logout),
    web.post("/label", label),
    web.post("/alerts/snooze", snooze),
    web.post("/letters/redrive", redrive),
    web.get("/replay", replay_page),
    web.post("/replay", replay),
    web.post("/replay/cancel", cancel),
]
