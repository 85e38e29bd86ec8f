"""What all routes share: rendering a page, reading a form that may change something, waiting for a job."""

import asyncio
from typing import Any, Final

from aiohttp import web
from multidict import MultiDict

from streams.console.access import Session, is_own_form, is_same_site
from streams.console.console import console_of, now_ms
from streams.console.jobs import Job
from streams.console.places import LogPlace, place_in

SESSION: Final[web.RequestKey[Session | None]] = web.RequestKey("session")
"""Where the session of a request is kept in it."""
SETTLE_S: Final = 0.8
"""So long a page waits for a job before it shows its progress instead."""


def page(request: web.Request, template: str, *, status: int = 200, **values: Any) -> web.Response:
    """A page out of a template."""
    console, session = console_of(request), request.get(SESSION)
    theme = request.cookies.get("theme")
    html = console.pages.html(
        template,
        **{"here": request.path, "now_ms": now_ms(), "fault": console.picture.fault, "session": session,
           "can_act": bool(console.access.tokens), "alarms": len(console.picture.alerts.in_force()),
           "theme": theme if theme in ("light", "dark") else None, **values},
    )  # fmt: skip
    return web.Response(text=html, content_type="text/html", status=status)


async def form_of(request: web.Request) -> tuple[Session, MultiDict[str]]:
    """The fields of a form that changes something, of somebody who may.

    Raises:
        HTTPForbidden: nobody is logged in, or the form is not one of this session.
        HTTPSeeOther: to the login, where nobody is logged in.
    """
    if not is_same_site(request.headers, request.headers.get("Host", "")):
        raise web.HTTPForbidden(text="This form comes from another site.")
    session: Session | None = request[SESSION]
    if session is None:
        raise web.HTTPForbidden(text="Nobody is logged in: log in, then try again.")
    fields = texts(await request.post())
    if not is_own_form(session, fields.get("csrf", "")):
        raise web.HTTPForbidden(text="This form is not one of your session: load the page again, then try again.")
    return session, fields


def texts(fields: Any) -> MultiDict[str]:
    """Those fields of a form that are text."""
    return MultiDict((name, value) for name, value in fields.items() if isinstance(value, str))


async def settled(job: Job) -> Job:
    """The job, after a moment in which it may have ended."""
    await asyncio.to_thread(job.settle, SETTLE_S)
    return job


def place_of(request: web.Request) -> LogPlace:
    """The place in the address of a page.

    Raises:
        HTTPNotFound: it is none.
    """
    place = place_in(f"{request.match_info['partition']}:{request.match_info['offset']}")
    if place is None:
        raise web.HTTPNotFound(text="There is no such place: expected /PARTITION/OFFSET.")
    return place


def source_of(request: web.Request) -> str:
    """Where a request comes from, for the audit trail."""
    return request.remote or "unknown"
