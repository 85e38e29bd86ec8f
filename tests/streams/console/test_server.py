"""The server: what every answer carries, who may act, and that hostile ids stay text."""

import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from features.errors import AssayError
from features.records import Coordinates, encode
from streams.console.audit import AuditRecord, audit_json
from streams.console.console import Console
from tests.streams.console.makers import HOSTILE, TOKEN, console, log_in, of, record, verdict, with_client

Client = TestClient[Any, Any]
PAGES = ["/", "/alerts", "/review", "/verdicts", "/models", "/replay", "/audit", "/login"]
FORMS = ["/label", "/letters/redrive", "/replay", "/replay/cancel", "/logout"]


@pytest.fixture
def bare(tmp_path: Path) -> Console:
    return console(tmp_path)


def test_every_answer_forbids_inline_scripts_frames_and_caches(bare: Console) -> None:
    async def visit(client: Client) -> None:
        for path in [*PAGES, "/static/console.js", "/no-such-page", "/event/x/y", "/static/..%2fserver.py"]:
            answer = await client.get(path)
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "script-src 'self';" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "no-" in answer.headers["Cache-Control"]

    with_client(bare, visit)


def test_pages_have_no_inline_script_style_or_handler_and_nothing_from_elsewhere(bare: Console) -> None:
    for each in of(verdict("e1", decision="review"), verdict("e2", decision="decline")):
        bare.picture.verdicts.take(each)

    async def visit(client: Client) -> None:
        await log_in(client)
        for path in PAGES:
            html = await (await client.get(path)).text()
            assert re.findall(r"<script[^>]*>", html) == ['<script src="/static/console.js" defer>']
            assert not re.search(r"<[^>]*\s(style|on[a-z]+)=", html)
            assert not re.search(r'(src|href|action)="(https?:)?//', html)
            assert "<style" not in html

    with_client(bare, visit)


def test_static_files_are_those_of_the_package_and_no_others(bare: Console) -> None:
    async def visit(client: Client) -> None:
        assert (await client.get("/static/console.css")).content_type == "text/css"
        for name in ("server.py", "..%2fserver.py", "%2e%2e%2ftemplates%2fbase.html", "nothing.css", "console.css%00"):
            assert (await client.get(f"/static/{name}")).status == 404

    with_client(bare, visit)


def test_an_id_that_is_a_script_stays_text(bare: Console) -> None:
    hostile = verdict(HOSTILE, f"{HOSTILE}'\"><img src=x>", "review", at=Coordinates(1, 2))
    for each in of(hostile):
        bare.picture.verdicts.take(each)

    async def visit(client: Client) -> None:
        for path in ("/verdicts", "/review", "/verdicts?text=%3Cscript%3E", "/verdicts?code=%3Cscript%3E"):
            html = await (await client.get(path)).text()
            assert "<script>" not in html
            assert "<img" not in html
            assert "&lt;script&gt;" in html

    with_client(bare, visit)


def test_ids_that_look_like_cards_or_mail_addresses_are_masked(bare: Console) -> None:
    for each in of(verdict("4111111111111111", "ana@example.org", "review", at=Coordinates(1, 2))):
        bare.picture.verdicts.take(each)

    async def visit(client: Client) -> None:
        for path in ("/verdicts", "/review"):
            html = await (await client.get(path)).text()
            assert "4111111111111111" not in html
            assert "example.org" not in html
            assert "[16 digits]" in html

    with_client(bare, visit)


def test_a_name_that_is_not_ours_is_refused(bare: Console) -> None:
    async def visit(client: Client) -> None:
        for host in ("evil.example", "evil.example:9111", "127.0.0.1.evil.example", ""):
            assert (await client.get("/", headers={"Host": host})).status in (400, 421)
        assert (await client.get("/", headers={"Host": "localhost:1"})).status == 200

    with_client(bare, visit)


def test_nobody_acts_without_a_session(bare: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    monkeypatch.setattr(bare, "tell", told.append)

    async def visit(client: Client) -> None:
        for path in FORMS:
            answer = await client.post(path, data={"place": "0:1", "label": "fraud", "source": "events"})
            assert answer.status == 403, path

    with_client(bare, visit)
    assert told == []


@pytest.mark.parametrize("forged", ["no secret", "another secret", "another site", "another origin"])
def test_forged_forms_change_nothing(bare: Console, monkeypatch: pytest.MonkeyPatch, forged: str) -> None:
    told: list[object] = []
    monkeypatch.setattr(bare, "tell", told.append)

    async def visit(client: Client) -> None:
        csrf = await log_in(client)
        data = {"csrf": csrf, "place": "0:1", "label": "fraud", "source": "events", "back": "/"}
        headers = {}
        if forged == "no secret":
            del data["csrf"]
        elif forged == "another secret":
            data["csrf"] = csrf[::-1]
        elif forged == "another site":
            headers = {"Sec-Fetch-Site": "cross-site"}
        else:
            headers = {"Origin": "http://evil.example"}
        for path in FORMS:
            assert (await client.post(path, data=data, headers=headers)).status == 403, path

    with_client(bare, visit)
    assert told == []


def test_the_cookie_of_a_session_is_for_this_site_and_no_script(bare: Console) -> None:
    async def visit(client: Client) -> None:
        wrong = await client.post("/login", data={"token": TOKEN[:-1]})
        assert wrong.status == 403
        assert "Set-Cookie" not in wrong.headers
        right = await client.post("/login", data={"token": TOKEN, "back": "//evil.example"}, allow_redirects=False)
        assert right.headers["Location"] == "/"
        cookie = right.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert TOKEN not in cookie
        forged = await client.post("/login", data={"token": TOKEN}, headers={"Origin": "http://evil.example"})
        assert forged.status == 403

    with_client(bare, visit)


def test_who_logs_out_may_not_act_any_more(bare: Console) -> None:
    async def visit(client: Client) -> None:
        csrf = await log_in(client)
        assert (await client.post("/logout", data={"csrf": csrf}, allow_redirects=False)).status == 303
        assert (await client.post("/replay/cancel", data={"csrf": csrf})).status == 403

    with_client(bare, visit)


def test_without_a_token_nobody_can_log_in(tmp_path: Path) -> None:
    async def visit(client: Client) -> None:
        assert "no token is set" in await (await client.get("/login")).text()
        assert (await client.post("/login", data={"token": ""})).status == 403

    with_client(console(tmp_path, ASSAY_CONSOLE_TOKEN=""), visit)


def test_on_an_open_address_reading_needs_a_login_too(tmp_path: Path) -> None:
    shut = console(tmp_path, ASSAY_CONSOLE_ADDRESS="0.0.0.0")

    async def visit(client: Client) -> None:
        for path in ("/", "/verdicts", "/event/0/1", "/audit"):
            answer = await client.get(path, allow_redirects=False)
            assert (answer.status, answer.headers["Location"]) == (303, "/login")
        await log_in(client)
        assert (await client.get("/", allow_redirects=False)).status == 200

    with_client(shut, visit)


def test_an_open_address_without_tokens_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(AssayError, match=r"console\.token"):
        console(tmp_path, ASSAY_CONSOLE_ADDRESS="0.0.0.0", ASSAY_CONSOLE_TOKEN="")
    console(tmp_path, ASSAY_CONSOLE_ADDRESS="0.0.0.0", ASSAY_CONSOLE_TOKEN="", ASSAY_CONSOLE_OPEN_READING="true")


def test_a_label_that_the_audit_trail_does_not_take_is_not_given(
    bare: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way from the form; the trail refuses, so nothing may be sent."""
    sent: list[object] = []

    def refuse(_: object) -> None:
        raise AssayError("the trail is closed")

    monkeypatch.setattr(bare, "tell", refuse)
    monkeypatch.setattr(bare.sender, "send", sent.append)

    async def visit(client: Client) -> None:
        csrf = await log_in(client)
        answer = await client.post(
            "/replay/cancel", data={"csrf": csrf}, headers={"Accept": "text/html"}, allow_redirects=False
        )
        assert answer.status == 400  # no replay is under way
        answer = await client.post("/replay", data={"csrf": csrf}, allow_redirects=False)
        page = await (await client.get("/replay")).text()
        assert "the trail is closed" in page

    with_client(bare, visit)
    assert sent == []


def test_the_search_box_takes_places_and_filters(bare: Console) -> None:
    for each in of(verdict("e1", decision="review", score=0.9), verdict("e2", decision="review", score=0.1)):
        bare.picture.verdicts.take(each)

    async def visit(client: Client) -> None:
        place = await client.get("/verdicts?text=1:17", allow_redirects=False)
        assert place.headers["Location"] == "/event/1/17"
        html = await (await client.get("/verdicts?decision=review&score=0.5&code=VEL01")).text()
        assert ">e1</a>" in html
        assert ">e2</a>" not in html
        wrong = await client.get("/verdicts?score=much", headers={"Accept": "text/html"})
        assert wrong.status == 400
        assert "from 0 to 1" in await wrong.text()

    with_client(bare, visit)


def test_large_forms_and_strange_addresses_are_refused(bare: Console) -> None:
    async def visit(client: Client) -> None:
        csrf = await log_in(client)
        assert (await client.post("/replay", data={"csrf": csrf, "from": "x" * 100_000})).status == 413
        for path in ("/event/-1/2", "/event/1/99999999999999999999", "/event/\u0661/2", "/account/a/b"):
            assert (await client.get(path)).status == 404
        assert (await client.get("/event/0/1/feature/%3Cscript%3E")).status == 404

    with_client(bare, visit)


def test_health_tells_whether_the_picture_moves(bare: Console) -> None:
    async def visit(client: Client) -> None:
        assert (await client.get("/healthz")).status == 200
        bare.picture.fault = "no broker <b>"
        answer = await client.get("/healthz")
        assert (answer.status, await answer.text()) == (503, "no broker <b>\n")
        assert "no broker &lt;b&gt;" in await (await client.get("/")).text()

    with_client(bare, visit)


def test_the_audit_page_shows_what_was_asked_and_not_finished(bare: Console) -> None:
    first = AuditRecord(
        id="0" * 16, action="label", stage="asked", who="<b>ana", source="::1", at_ms=1, details={"label": HOSTILE}
    )
    bare.picture.audit.take(audit_json(first))

    async def visit(client: Client) -> None:
        html = await (await client.get("/audit")).text()
        assert "not known yet" in html
        assert "<b>ana" not in html
        assert HOSTILE not in html

    with_client(bare, visit)


def test_a_theme_is_one_of_two_words(bare: Console) -> None:
    async def visit(client: Client) -> None:
        for theme, shown in (("dark", ' data-theme="dark"'), ('x" onload="y', "")):
            html = await (await client.get("/", headers={"Cookie": f"theme={theme}"})).text()
            assert f'<html lang="en"{shown}>' in html

    with_client(bare, visit)


def test_a_verdict_of_a_strange_engine_breaks_no_page(bare: Console) -> None:
    strange = encode(verdict("e1", decision='"><b>'))
    bare.picture.verdicts.take(record(strange))

    async def visit(client: Client) -> None:
        for path in ("/verdicts", "/review"):
            answer = await client.get(path)
            assert answer.status == 200
            assert "<b>" not in await answer.text()

    with_client(bare, visit)
