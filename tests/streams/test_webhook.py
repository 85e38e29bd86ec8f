"""The webhook against a real server on this machine that answers, refuses, stays silent or points elsewhere."""

import json
import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter

from features.errors import AssayError
from features.records import Alert, encode
from streams.addresses import check_url
from streams.broker.certificates import make_certificates
from streams.config import load_config
from streams.metrics import WarmMetrics
from streams.webhook import Webhook, backoff_s, webhook_of

ALERT = Alert(
    alert="feature-drift",
    subjects=["account_amount_z_30d"],
    status="firing",
    severity="ticket",
    text="values are not distributed as in training",
    value=0.3,
    expected=0.0,
    since_ms=1,
    at_ms=2,
    runbook="docs/runbooks/feature-drift.md",
)


class Receiver:
    """A server that gives the answers it is told to, then 204; it remembers what came."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.answers: list[int | str] = []
        self.posts: list[tuple[str, dict[str, str], bytes]] = []
        self.released = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                receiver.posts.append((self.path, {name.lower(): text for name, text in self.headers.items()}, body))
                answer = receiver.answers.pop(0) if receiver.answers else 204
                if answer == "silence":
                    receiver.released.wait(30.0)
                elif answer == "rubbish":
                    self.wfile.write(b"this is no HTTP\r\n\r\n")
                elif answer != "hang up":
                    self.send_response(int(answer))
                    if 300 <= int(answer) < 400:
                        self.send_header("Location", f"{receiver.url}/elsewhere")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                self.close_connection = True

            def do_GET(self) -> None:
                self.do_POST()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self.url = self.url.replace("http://", "https://")
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    yield running
    running.stop()


@pytest.fixture
def failures() -> Counter:
    return Counter("failures", "Alerts that were not posted", registry=CollectorRegistry())


def failed(failures: Counter) -> float:
    return next(sample.value for metric in failures.collect() for sample in metric.samples)


class Naps:
    """Remembers for how long somebody wanted to wait, and does not."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)


def test_an_alert_is_posted_once_with_the_bytes_of_the_topic(receiver: Receiver, failures: Counter) -> None:
    naps = Naps()
    assert Webhook(f"{receiver.url}/hook", "hunter2", failures, sleep=naps).post(ALERT)
    ((path, headers, body),) = receiver.posts
    assert (path, body) == ("/hook", encode(ALERT))
    assert headers["authorization"] == "Bearer hunter2"
    assert headers["content-type"] == "application/json"
    assert (naps.taken, failed(failures)) == ([], 0)


def test_the_body_holds_the_fields_of_an_alert_and_nothing_else(receiver: Receiver, failures: Counter) -> None:
    Webhook(receiver.url, "", failures).post(ALERT)
    assert list(json.loads(receiver.posts[0][2])) == list(Alert.__struct_fields__)
    personal = {"account_id", "event_id", "email", "ip", "device_id", "card_id", "name", "phone"}
    assert not personal & set(Alert.__struct_fields__)


def test_without_a_token_no_header_is_sent(receiver: Receiver, failures: Counter) -> None:
    Webhook(receiver.url, "", failures).post(ALERT)
    assert "authorization" not in receiver.posts[0][1]


@pytest.mark.parametrize("answer", [500, 502, 503, 429, "hang up", "rubbish", "silence"])
def test_trouble_that_may_pass_is_tried_again(receiver: Receiver, failures: Counter, answer: int | str) -> None:
    receiver.answers, naps = [answer, answer], Naps()
    assert Webhook(receiver.url, "t", failures, timeout_s=0.3, sleep=naps).post(ALERT)
    assert [body for _, _, body in receiver.posts] == [encode(ALERT)] * 3
    assert (naps.taken, failed(failures)) == ([1.0, 2.0], 0)


@pytest.mark.parametrize("answer", [400, 401, 403, 404, 410])
def test_a_refusal_is_not_tried_again(receiver: Receiver, failures: Counter, answer: int) -> None:
    receiver.answers, naps = [answer], Naps()
    assert not Webhook(receiver.url, "t", failures, sleep=naps).post(ALERT)
    assert (len(receiver.posts), naps.taken, failed(failures)) == (1, [], 1)


@pytest.mark.parametrize("answer", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_so_the_token_goes_nowhere_else(
    receiver: Receiver, failures: Counter, answer: int
) -> None:
    receiver.answers = [answer]
    assert not Webhook(f"{receiver.url}/hook", "t", failures, sleep=Naps()).post(ALERT)
    assert [path for path, _, _ in receiver.posts] == ["/hook"]
    assert failed(failures) == 1


def test_tries_come_to_an_end_and_the_log_says_why_without_the_token(
    receiver: Receiver, failures: Counter, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answers, naps = [500] * 9, Naps()
    with caplog.at_level(logging.WARNING):
        assert not Webhook(receiver.url, "hunter2", failures, sleep=naps).post(ALERT)
    assert (len(receiver.posts), naps.taken, failed(failures)) == (4, [1.0, 2.0, 4.0], 1)
    assert f"feature-drift (firing) could not be posted to {receiver.url}: it answered 500" in caplog.text
    assert "hunter2" not in caplog.text


def test_nobody_there_is_counted_and_raises_nothing(failures: Counter, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    naps = Naps()
    assert not Webhook(f"http://127.0.0.1:{port}/", "", failures, sleep=naps).post(ALERT)
    assert (naps.taken, failed(failures)) == ([1.0, 2.0, 4.0], 1)
    assert "refused" in caplog.text


def test_a_server_without_encryption_is_no_https(receiver: Receiver, failures: Counter) -> None:
    url = receiver.url.replace("http://", "https://")
    assert not Webhook(url, "t", failures, waits_s=(), timeout_s=1.0).post(ALERT)
    assert receiver.posts == []
    assert failed(failures) == 1


def test_only_a_certificate_that_this_machine_trusts_is_taken(
    failures: Counter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server, authority = tmp_path / "server.pem", tmp_path / "authority.pem"
    make_certificates(server, authority)
    receiver = Receiver(server)
    try:
        assert not Webhook(receiver.url, "t", failures, waits_s=()).post(ALERT)
        assert "certificate verify failed" in caplog.text
        assert receiver.posts == []
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        assert Webhook(receiver.url, "t", failures, waits_s=()).post(ALERT)
    finally:
        receiver.stop()
    assert [body for _, _, body in receiver.posts] == [encode(ALERT)]


def test_http_goes_through_no_proxy(receiver: Receiver, failures: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1/")
    assert Webhook(receiver.url, "t", failures, waits_s=()).post(ALERT)


def test_the_schedule_doubles_and_is_bounded() -> None:
    assert backoff_s(0) == ()
    assert backoff_s(5, first_s=0.5) == (0.5, 1.0, 2.0, 4.0, 8.0)


@pytest.mark.parametrize(
    "url",
    [
        "https://alerts.example",
        "https://alerts.example:8443/services/assay",
        "https://10.0.0.7/",
        "http://localhost:8080/hook",
        "http://127.0.0.1/",
        "http://[::1]:9000/",
    ],
)
def test_protected_addresses_and_those_of_this_machine_are_allowed(url: str) -> None:
    check_url(url, "alerts.webhook", "alerts.webhook_token")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "alerts.example",
        "https://",
        "https:///path",
        "http://alerts.example/",
        "http://10.0.0.7/",
        "http://localhost.example/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "https://ana:s3cret@alerts.example/",
        "https://s3cret@alerts.example/",
        "https://alerts.example/?key=s3cret",
        "https://alerts.example/#s3cret",
        "https://alerts.example:port/",
        "https://alerts.example:0/",
        "https://[::1/",
        "https://alerts..example/",
        f"https://{'a' * 64}.example/",
        "https://alerts.example/a b",
        "https://alerts.example/\r\nHost: s3cret",
        "https://alerts.exämple/",
        "http://127.0.0.1@alerts.example/",
    ],
)
def test_any_other_address_is_refused_in_one_line_that_repeats_no_secret(url: str, failures: Counter) -> None:
    with pytest.raises(AssayError, match="^alerts.webhook: expected https://HOST/PATH, or http:// on this") as refused:
        Webhook(url, "", failures)
    assert "s3cret" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("token", ["hunter2\nHost: x", "hünter2", "hunter2\x00"])
def test_a_token_that_cannot_stand_in_a_header_is_refused_and_not_repeated(token: str, failures: Counter) -> None:
    with pytest.raises(AssayError, match="alerts.webhook_token: expected printable ASCII") as refused:
        Webhook("https://alerts.example/", token, failures)
    assert "nter2" not in str(refused.value)


def test_the_settings_say_where_to_and_with_what(receiver: Receiver, tmp_path: Path) -> None:
    metrics, held = WarmMetrics(), tmp_path / "token"
    held.write_text("hunter2\n")
    assert webhook_of(load_config(environment={}), metrics.webhook_failures) is None
    settings = {"ASSAY_ALERTS_WEBHOOK": receiver.url, "ASSAY_ALERTS_WEBHOOK_TOKEN_FILE": str(held)}
    webhook = webhook_of(load_config(environment=settings), metrics.webhook_failures)
    assert webhook is not None
    receiver.answers = [404]
    webhook.post(ALERT)
    assert receiver.posts[0][1]["authorization"] == "Bearer hunter2"
    assert metrics.registry.get_sample_value("assay_webhook_failures_total") == 1.0
