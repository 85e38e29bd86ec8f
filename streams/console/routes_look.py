"""Pages that look back into the log: an event, a feature of it, an account, a search of everything, dead letters."""

import re
from urllib.parse import urlencode

from aiohttp import web

from features.errors import AssayError
from features.events import Label, Marker
from features.identity import hash64
from features.money import EXPONENTS
from models.wording import Money
from streams.console.console import Console, console_of, now_ms
from streams.console.desk import Explained
from streams.console.graph_view import GraphView, entities_of, graph_view
from streams.console.jobs import Job
from streams.console.letters import read_letter, read_letters, would_send
from streams.console.letters_view import letter_page, letter_rows, source_of_text, wanted_of_query
from streams.console.shell import page, place_of, settled
from streams.console.timeline import account_page
from streams.console.view_event import event_view, label_said
from streams.console.view_evidence import evidence_view
from streams.console.view_rows import verdict_row
from streams.console.words import shown_id
from streams.explain import fields_of
from streams.explain_evidence import evidence

FRESH_S = 300.0
"""What was found out about a record of the log is shown again for so long; it does not change."""
ACCOUNT_FRESH_S = 20.0
FIND_FRESH_S = 20.0
_FEATURE = re.compile(r"[a-z0-9_]{1,80}")


async def event(request: web.Request) -> web.Response:
    """One record of the log from left to right."""
    console = console_of(request)
    partition, offset = place_of(request)
    job = await settled(explain_job(console, partition, offset))
    row = console.picture.verdicts.at(partition, offset)
    published = (
        None if row is None else verdict_row(row.verdict, row.published_ms, console.picture.labels, console.shelf.money)
    )
    if job.state != "done":
        title = f"Event {partition}:{offset}"
        return page(request, "waiting.html", job=job, title=title, published=published, again=request.path)
    found: Explained = job.result
    seen_event = found.seen.event
    is_event = found.told.event is not None and not isinstance(seen_event, Label | Marker)
    event_id = found.told.event.get("event_id", "") if found.told.event else ""
    account_id = "" if not is_event else seen_event.account_id  # type: ignore[union-attr]
    label = console.picture.labels.of(event_id, account_id)
    return page(
        request,
        "event.html",
        view=event_view(found.told, found.published),
        published=published,
        graph=_graph(console, found) if is_event else None,
        label=label_said(label),
        can_label=is_event and found.told.verdict is not None,
        place=f"{partition}:{offset}",
        event_id=shown_id(event_id) if event_id else f"Record {partition}:{offset}",
        account_link=f"/account/{partition}/{offset}" if account_id else "",
        partition=partition,
    )


async def feature(request: web.Request) -> web.Response:
    """Exactly the events that one feature of an event counted."""
    console, name = console_of(request), request.match_info["name"]
    partition, offset = place_of(request)
    if not _FEATURE.fullmatch(name):
        raise web.HTTPNotFound(text="There is no such feature.")
    job = await settled(explain_job(console, partition, offset))
    if job.state != "done":
        return page(
            request,
            "waiting.html",
            job=job,
            title=f"Feature of {partition}:{offset}",
            published=None,
            again=request.path,
        )
    found: Explained = job.result
    proof = evidence(found.seen, name)
    money = Money(found.told.currency, EXPONENTS[found.told.currency])
    as_of_ms = int((found.told.event or {})["time_ms"])
    return page(
        request, "feature.html", view=evidence_view(proof, money, as_of_ms), back=f"/event/{partition}/{offset}"
    )


async def account(request: web.Request) -> web.Response:
    """The account of the event at a place, as of the end of the log."""
    console = console_of(request)
    partition, offset = place_of(request)
    desk = console.desks["look"]
    job = console.jobs.start(
        "look",
        ("account", partition, offset),
        f"the account of {partition}:{offset}",
        lambda report: desk.account(desk.account_of(partition, offset), partition, report),
        fresh_s=ACCOUNT_FRESH_S,
    )
    return await _account(request, job, offset)


async def account_by_id(request: web.Request) -> web.Response:
    """The account with an id; its newest verdict says where it is, else every partition is tried."""
    console = console_of(request)
    account_id = request.query.get("id", "").strip()
    if not 1 <= len(account_id) <= 64:
        raise AssayError("expected an account id of 1 to 64 characters")
    rows = console.picture.verdicts.of_account(account_id, 1)
    if rows:
        at = rows[0].verdict.at
        raise web.HTTPSeeOther(f"/account/{at.partition}/{at.offset}")
    desk = console.desks["look"]
    job = console.jobs.start(
        "look",
        ("account-id", account_id),
        "the account",
        lambda report: desk.account(account_id, None, report),
        fresh_s=ACCOUNT_FRESH_S,
    )
    return await _account(request, job, None)


async def _account(request: web.Request, job: Job, offset: int | None) -> web.Response:
    await settled(job)
    if job.state != "done":
        return page(request, "waiting.html", job=job, title="Account", published=None, again=request.path_qs)
    shown = job.result
    money = Money(shown.currency, EXPONENTS[shown.currency])
    return page(
        request,
        "account.html",
        view=account_page(shown, money),
        offset=offset,
        links={row.offset: f"/event/{shown.partition}/{row.offset}" for row in shown.account.events},
    )


async def find(request: web.Request) -> web.Response:
    """Every record of the whole log with an event id."""
    console = console_of(request)
    event_id = request.query.get("id", "").strip()
    if not 1 <= len(event_id) <= 64:
        raise AssayError("expected an event id of 1 to 64 characters")
    desk = console.desks["look"]
    job = await settled(
        console.jobs.start(
            "look",
            ("find", event_id),
            "searching the whole log",
            lambda report: desk.found(event_id, report),
            fresh_s=FIND_FRESH_S,
        )
    )
    if job.state != "done":
        return page(request, "waiting.html", job=job, title="Search", published=None, again=request.path_qs)
    return page(request, "found.html", event_id=event_id, found=job.result)


async def letters(request: web.Request) -> web.Response:
    """Dead letters: the newest that fit, and what a redrive of them would send."""
    console, query = console_of(request), request.query
    source = source_of_text(query.get("source", "events"))
    wanted = wanted_of_query(query, now_ms())
    desk = console.desks["look"]
    key = ("letters", source, tuple(sorted(query.items())))
    job = await settled(
        console.jobs.start(
            "look",
            key,
            "reading dead letters",
            lambda report: (read_letters(desk, source, wanted, report), would_send(desk, source, wanted, report)),
            fresh_s=2.0,
        )
    )
    if job.state != "done":
        return page(request, "waiting.html", job=job, title="Dead letters", published=None, again=request.path_qs)
    found, choice = job.result
    redrive = console.jobs.get("redrive")
    return page(
        request,
        "letters.html",
        source=source,
        query=query,
        rows=letter_rows(found, source),
        counts=sorted(found.counts.items(), key=lambda item: (-item[1], item[0])),
        sending=len(choice.letters),
        staying=choice.left,
        job=redrive,
        again=f"{request.path}?{urlencode(sorted(query.items()))}",
    )


async def letter(request: web.Request) -> web.Response:
    """One dead letter, its values masked."""
    console = console_of(request)
    source = source_of_text(request.match_info["source"])
    partition, offset = place_of(request)
    desk = console.desks["look"]
    job = await settled(
        console.jobs.start(
            "look",
            ("letter", source, partition, offset),
            "reading a dead letter",
            lambda _: read_letter(desk, source, partition, offset),
            fresh_s=FRESH_S,
        )
    )
    if job.state != "done":
        return page(request, "waiting.html", job=job, title="Dead letter", published=None, again=request.path)
    return page(request, "letter.html", view=letter_page(job.result, source))


def explain_job(console: Console, partition: int, offset: int) -> Job:
    """The job that finds out what became of the record at a place."""
    desk = console.desks["look"]
    return console.jobs.start(
        "look",
        ("event", partition, offset),
        f"rebuilding the state before {partition}:{offset}",
        lambda report: desk.explained(partition, offset, report),
        fresh_s=FRESH_S,
    )


def _graph(console: Console, found: Explained) -> GraphView | None:
    links, seen = console.picture.links, found.seen.event
    fields = fields_of(seen, unmasked=True)  # type: ignore[arg-type]
    entities = entities_of(fields)
    wanted = {pair.account for entity in entities for pair in links.accounts_of(entity)}
    wanted.discard(hash64(str(fields["account_id"])))
    return graph_view(links, str(fields["account_id"]), entities, console.picture.verdicts.account_names(wanted))


ROUTES = [
    web.get("/event/{partition}/{offset}", event),
    web.get("/event/{partition}/{offset}/feature/{name}", feature),
    web.get("/account/{partition}/{offset}", account),
    web.get("/account", account_by_id),
    web.get("/find", find),
    web.get("/letters", letters),
    web.get("/letters/{source}/{partition}/{offset}", letter),
]
