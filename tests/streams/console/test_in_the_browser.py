"""The console in a real Chromium: every view, both widths, both colour schemes, the keyboard, and every action."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from streams.broker import RunningBroker
from tests.streams.console.makers import HOSTILE, TOKEN
from tests.streams.console.site import PARTITIONS, Site, site, wait_for
from tests.streams.fresh_topics import fresh_topics

pytestmark = pytest.mark.chromium
SCREENSHOTS = Path(__file__).parents[3] / "build" / "screenshots"


@pytest.fixture(scope="module")
def served(broker: RunningBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(broker, fresh_topics(broker, PARTITIONS), tmp_path_factory.mktemp("console")) as running:
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    found = shutil.which("chromium")
    assert found is not None, "conftest.py leaves these tests out where there is no Chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visitor:
    """A page of its own, and everything that went wrong in it."""

    def __init__(self, browser: Browser, url: str, width: int) -> None:
        self.context = browser.new_context(
            base_url=url, viewport={"width": width, "height": 900}, reduced_motion="reduce"
        )
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("dialog", lambda dialog: self.faults.append(f"a dialog: {dialog.message}"))

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(message.text)

    def open(self, path: str) -> Page:
        self.page.goto(path)
        self.page.wait_for_selector("progress", state="detached")
        return self.page

    def log_in(self) -> None:
        self.page.goto("/login")
        self.page.get_by_label("Your token").fill(TOKEN)
        self.page.get_by_role("button", name="Log in").click()
        expect(self.page.get_by_text("ana", exact=True)).to_be_visible()


@pytest.fixture
def visitor(served: Site, chromium: Browser) -> Iterator[Visitor]:
    made = Visitor(chromium, served.url, 1280)
    yield made
    made.context.close()
    assert made.faults == []


def place_of(served: Site, decision: str) -> str:
    """Place of an event with this decision, as in the address of its page."""
    row = [row for row in served.console.picture.verdicts.held() if row.verdict.decision == decision][-1]
    return f"{row.verdict.at.partition}/{row.verdict.at.offset}"


ALL = "[...document.querySelectorAll('%s')]"
FIELDS, DRAWINGS, NAMED = (ALL % each for each in ("input:not([type=hidden]), select", "svg[role=img]", "[id]"))
FAULTS = {
    "is wider than its window": "document.documentElement.scrollWidth > window.innerWidth",
    "has no single heading": "document.querySelectorAll('h1').length !== 1",
    "has a field without a name": f"{FIELDS}.some((each) => !each.labels.length)",
    "has a drawing without a title": f"{DRAWINGS}.some((each) => !each.querySelector('title'))",
    "has an id twice": f"new Set({NAMED}.map((each) => each.id)).size !== {NAMED}.length",
}
"""What must not be true of any page, as JavaScript."""


def views(served: Site) -> dict[str, str]:
    place = place_of(served, "decline")
    return {
        "live": "/",
        "alerts": "/alerts",
        "review": "/review",
        "verdicts": "/verdicts",
        "models": "/models",
        "dead-letters": "/letters",
        "dead-letter": "/letters/events/1/0",
        "replay": "/replay",
        "audit": "/audit",
        "login": "/login",
        "event": f"/event/{place}",
        "feature": f"/event/{place}/feature/account_payment_count_90d",
        "account": f"/account/{place}",
    }


@pytest.mark.parametrize("width", [1280, 390])
def test_every_view_at_every_width_in_every_scheme(served: Site, chromium: Browser, width: int) -> None:
    """Nothing is thrown, nothing is wider than the window, every field has a name; pictures of each are kept."""
    visitor = Visitor(chromium, served.url, width)
    visitor.log_in()
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    wrong = []
    for name, path in views(served).items():
        page = visitor.open(path)
        wrong += [f"{name} {fault}" for fault, found in FAULTS.items() if page.evaluate(found)]
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            background = page.evaluate("getComputedStyle(document.body).backgroundColor")
            if (sum(map(int, re.findall(r"\d+", background)[:3])) < 384) != (scheme == "dark"):
                wrong.append(f"{name} is not {scheme}")
            page.screenshot(path=SCREENSHOTS / f"{name}-{width}-{scheme}.png", full_page=True)
    visitor.context.close()
    assert (wrong, visitor.faults) == ([], [])


def test_the_pages_tell_what_the_engine_did(served: Site, visitor: Visitor) -> None:
    page = visitor.open("/")
    expect(page.get_by_text("all 2 partitions are caught up")).to_be_visible()
    expect(page.get_by_text("9 verdicts, usually 500 <b>")).to_be_visible()
    page = visitor.open(f"/event/{place_of(served, 'decline')}")
    expect(page.get_by_text("Proved: computed again, the same bytes")).to_be_visible()
    for step in ("Event", "History", "Features", "Scores", "Reasons", "Decision"):
        expect(page.get_by_role("heading", name=re.compile(step)).first).to_be_visible()
    page.locator(".features a").first.click()
    expect(
        page.get_by_text("computed a second time from the events below: the same").or_(page.get_by_text("not computed"))
    ).to_be_visible()
    page = visitor.open("/models")
    expect(page.get_by_text("features are not distributed as in training")).to_be_visible()


def test_a_hostile_id_is_text_everywhere(served: Site, visitor: Visitor) -> None:
    page = visitor.open("/verdicts?text=%3Cscript%3E")
    links = page.locator("a.row")
    expect(links).to_have_count(2)
    expect(links.first).to_contain_text(HOSTILE)
    href = links.first.get_attribute("href")
    assert href is not None
    page = visitor.open(href)
    expect(page.locator("h1")).to_contain_text(HOSTILE)
    page = visitor.open(href.replace("event", "account"))
    expect(page.locator("h1")).to_contain_text(HOSTILE[:40])
    page = visitor.open(f"/find?id={HOSTILE}0")
    expect(page.locator("a.row")).to_have_count(1)


def test_the_keyboard_is_enough(served: Site, visitor: Visitor) -> None:
    page = visitor.open("/verdicts")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to content")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator("a.row").nth(1)).to_be_focused()
    page.keyboard.press("k")
    expect(page.locator("a.row").first).to_be_focused()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("g")
    expect(page.get_by_role("searchbox")).to_have_value("g")
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("m")
    page.wait_for_url("**/models")
    order = []
    for _ in range(6):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.textContent.trim()"))
    assert order[:5] == ["Skip to content", "assay", "Live", "Alerts1 in force", "Review"]


def test_the_theme_is_switched_and_kept(visitor: Visitor) -> None:
    page = visitor.open("/alerts")
    page.get_by_role("button", name="Switch between light and dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_a_page_moves_by_itself_until_it_is_paused(visitor: Visitor) -> None:
    page = visitor.open("/")
    pulse = page.locator("#pulse")
    page.locator("#rate-numbers summary").click()
    expect(pulse).to_contain_text("as of", timeout=15_000)
    expect(page.locator("#rate-numbers")).to_have_attribute("open", "")
    page.keyboard.press("p")
    expect(pulse).to_have_text("paused")
    expect(page.get_by_role("button", name="Go on")).to_be_visible()


def test_an_analyst_labels_what_waits_for_review(served: Site, visitor: Visitor) -> None:
    visitor.log_in()
    page = visitor.open("/review")
    first = page.locator(".queue li").first
    event_id = first.locator("a.row").inner_text()
    first.get_by_role("button", name="Fraud").click()
    expect(page.locator(".queue a.row", has_text=event_id)).to_have_count(0)
    (label,) = [each for each in served.values("labels") if each["judged_event_id"] == event_id]
    assert (label["label"], label["source"]) == ("fraud", "analyst")
    asked, done = [each for each in served.values("audit") if each["action"] == "label"]
    assert (asked["stage"], done["stage"]) == ("asked", "done")
    assert asked["id"] == done["id"]
    assert asked["who"] == "ana"
    expect(page.get_by_text("1 / 50")).to_be_visible()
    wait_for("the audit trail", lambda: served.console.picture.audit.newest(1))
    page = visitor.open("/audit")
    expect(page.locator("tbody tr").first).to_contain_text("done")
    page.screenshot(path=SCREENSHOTS / "audit-done-1280-light.png", full_page=True)


def test_an_alert_is_snoozed_and_told_again(served: Site, visitor: Visitor) -> None:
    visitor.log_in()
    page = visitor.open("/alerts")
    page.locator(".alerts summary", has_text="Snooze").first.click()
    form = page.locator("form[action='/alerts/snooze']").first
    form.locator("select[name=span]").select_option("8h")
    form.get_by_label("Why").fill("the sale")
    form.get_by_role("button", name="Snooze").click()
    row = page.locator("section", has=page.get_by_role("heading", name="Snoozed")).locator("tbody tr")
    expect(row).to_contain_text("the sale")
    assert [fault for fault, found in FAULTS.items() if page.evaluate(found)] == []
    page.screenshot(path=SCREENSHOTS / "alerts-snoozed-1280-light.png", full_page=True)
    row.get_by_role("button", name="End").click()
    expect(page.get_by_role("heading", name="Snoozed")).to_have_count(0)
    said = [each for each in served.values("telemetry") if each["type"] == "snooze"]
    assert [(each["by"], each["reason"]) for each in said] == [("ana", "the sale"), ("ana", "ended")]
    assert said[1]["until_ms"] < said[0]["until_ms"]
    assert [each["stage"] for each in served.values("audit") if each["action"] == "snooze"] == ["asked", "done"] * 2


def test_dead_letters_go_back_once(served: Site, visitor: Visitor) -> None:
    visitor.log_in()
    page = visitor.open("/letters?code=not_json")
    send = page.get_by_role("button", name="Send 1 back")
    page.get_by_label("The cause is mended").check()
    send.click()
    expect(page.get_by_text("1 records were sent back")).to_be_visible(timeout=30_000)
    assert [each["stage"] for each in served.values("audit") if each["action"] == "redrive"] == ["asked", "done"]
    marks = [each for each in served.raw_values("events.dlq") if b'"redriven":[' in each]
    assert len(marks) == 1


def test_a_replay_shows_what_another_model_would_have_decided(served: Site, visitor: Visitor) -> None:
    visitor.log_in()
    page = visitor.open("/replay")
    page.locator("select[name=partition]").select_option("0")
    page.get_by_role("button", name="Replay").click()
    expect(page.get_by_role("heading", name="Nothing changed")).to_be_visible(timeout=60_000)
    page.locator("select[name=partition]").select_option("0")
    page.locator("select[name=model]").select_option(index=2)
    page.get_by_role("button", name="Replay").click()
    expect(page.get_by_role("heading", name="What changed")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("have another decision")).to_be_visible()
    page.screenshot(path=SCREENSHOTS / "replay-changed-1280-light.png", full_page=True)
    page.locator("a.row").first.click()
    expect(page.get_by_role("heading", name=re.compile("Decision"))).to_be_visible()
    stages = [each["stage"] for each in served.values("audit") if each["action"] == "replay"]
    assert stages == ["asked", "done", "asked", "done"]


def test_readers_see_no_buttons(visitor: Visitor, served: Site) -> None:
    for path in ("/alerts", "/review", "/letters", "/replay", f"/event/{place_of(served, 'decline')}"):
        page = visitor.open(path)
        expect(page.locator("form[method=post]")).to_have_count(0)
