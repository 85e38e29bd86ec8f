"""The web server: routes, checks that every request passes, headers that every answer has."""

import logging
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from features.errors import AssayError
from streams.console import routes_act, routes_look, routes_read
from streams.console.access import COOKIE, HEADERS, is_own_name
from streams.console.console import CONSOLE, Console, console_of
from streams.console.shell import SESSION, page

_log = logging.getLogger("assay.console")
STATIC: Final = Path(str(files("streams.console") / "static"))
_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_OPEN: Final = ("/login", "/healthz", "/static/")
LARGEST_FORM: Final = 16_384


def application(console: Console, *, follow: bool = True) -> web.Application:
    """The console as an application of aiohttp.

    Args:
        console: what it shows.
        follow: follow topics; False for tests that fill the picture themselves.
    """
    app = web.Application(middlewares=[_headers, _own_name, _session, _faults], client_max_size=LARGEST_FORM)
    app[CONSOLE] = console
    app.add_routes([*routes_read.ROUTES, *routes_look.ROUTES, *routes_act.ROUTES])
    app.add_routes([web.get("/static/{name}", _static), web.get("/healthz", _healthy)])
    if follow:
        app.on_startup.append(console.start)
    app.on_cleanup.append(console.stop)
    return app


@web.middleware
async def _headers(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        response = await handler(request)
    except web.HTTPException as error:
        response = error
    response.headers.update(HEADERS)
    if request.path.startswith("/static/"):
        response.headers["Cache-Control"] = "no-cache"  # asked for again each time, and answered in no time
    if isinstance(response, web.HTTPException):
        raise response
    return response


@web.middleware
async def _own_name(request: web.Request, handler: Handler) -> web.StreamResponse:
    if not is_own_name(request.headers.get("Host", ""), console_of(request).names):
        raise web.HTTPMisdirectedRequest(
            text="The console does not go by this name. If it should, add the name to console.hosts.\n"
        )
    return await handler(request)


@web.middleware
async def _session(request: web.Request, handler: Handler) -> web.StreamResponse:
    console = console_of(request)
    request[SESSION] = console.access.session(request.cookies.get(COOKIE))
    if request[SESSION] is None and not console.reads_are_open and not request.path.startswith(_OPEN):
        raise web.HTTPSeeOther("/login")
    return await handler(request)


@web.middleware
async def _faults(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A fault outside is a page that says what it is and what to do; a mistake of ours says where to look."""
    try:
        return await handler(request)
    except AssayError as error:
        return page(request, "fault.html", status=400, title="That did not work", said=str(error))
    except web.HTTPException as error:
        if (
            error.status >= 400
            and error.content_type == "text/plain"
            and "text/html" in request.headers.get("Accept", "")
        ):
            return page(request, "fault.html", status=error.status, title=error.reason, said=error.text or error.reason)
        raise
    except Exception:
        _log.exception("%s %s", request.method, request.path)
        said = "A mistake of ours. The log of the console says more."
        return page(request, "fault.html", status=500, title="That did not work", said=said)


async def _static(request: web.Request) -> web.Response:
    path = STATIC / request.match_info["name"]
    if path.parent != STATIC or path.suffix not in _TYPES or not path.is_file():
        raise web.HTTPNotFound(text="There is no such file.")
    return web.Response(body=path.read_bytes(), content_type=_TYPES[path.suffix], charset="utf-8")


async def _healthy(request: web.Request) -> web.Response:
    fault: Any = console_of(request).picture.fault
    return web.Response(text=f"{fault or 'ok'}\n", status=503 if fault else 200)
