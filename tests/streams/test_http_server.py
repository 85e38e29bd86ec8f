"""Metrics and health over real sockets."""

import http.client
import socket
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from features.errors import AssayError, InvalidRecord
from features.faults import ERROR_CODES
from streams.http_server import HttpServer
from streams.log import Output, SetAside
from streams.metrics import WarmMetrics, WorkerMetrics


class Worker:
    """What the server asks: a worker that is well until told otherwise."""

    def __init__(self) -> None:
        self.metrics = WorkerMetrics()
        self.wrong: str | None = None
        self.unready: str | None = "no partition assigned"


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def server(worker: Worker) -> Iterator[HttpServer]:
    running = HttpServer("127.0.0.1", 0, worker.metrics.registry, lambda: worker.wrong, lambda: worker.unready)
    yield running
    running.stop()


def get(server: HttpServer, path: str, method: str = "GET") -> tuple[int, str, str]:
    """Status, type and body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request(method, path)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, answer.headers.get("Content-Type", ""), body


def test_metrics_are_what_was_counted(server: HttpServer, worker: Worker) -> None:
    output = Output(
        kinds={"payment": 3, "label": 1},
        decisions={"approve": 2, "decline": 1},
        duplicates=4,
        set_aside=[SetAside(0, InvalidRecord("not_json", "$", "an object", "text"))] * 2,
    )
    worker.metrics.count(output)
    worker.metrics.count(output)
    status, content_type, body = get(server, "/metrics")
    assert status == 200
    assert content_type.startswith("text/plain")
    values = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }
    assert values["assay_events_total", "payment"] == 6
    assert values["assay_events_total", "label"] == 2
    assert values["assay_verdicts_total", "approve"] == 4
    assert values["assay_verdicts_total", "decline"] == 2
    assert values["assay_dead_letters_total", "not_json"] == 4
    assert values["assay_duplicates_total",] == 8
    assert values["assay_batch_seconds_bucket", "+Inf"] == 0


@pytest.mark.parametrize(
    ("metrics", "name"),
    [(WorkerMetrics, "assay_dead_letters_total"), (WarmMetrics, "assay_warm_dead_letters_total")],
)
def test_every_code_is_there_from_the_start_so_that_the_first_letter_is_an_increase(
    metrics: type[WorkerMetrics | WarmMetrics], name: str
) -> None:
    registry = metrics().registry
    assert {code: registry.get_sample_value(name, {"code": code}) for code in ERROR_CODES} == dict.fromkeys(
        ERROR_CODES, 0.0
    )


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_says_ok_or_what_is_wrong(server: HttpServer, worker: Worker, path: str) -> None:
    worker.wrong = worker.unready = None
    assert get(server, path)[::2] == (200, "ok\n")
    worker.wrong = worker.unready = "no progress for 40 s"
    assert get(server, path)[::2] == (503, "no progress for 40 s\n")


def test_a_worker_may_be_healthy_and_not_yet_ready(server: HttpServer) -> None:
    assert get(server, "/healthz")[0] == 200
    assert get(server, "/readyz")[::2] == (503, "no partition assigned\n")


@pytest.mark.parametrize("path", ["/", "/metricsx", "/../etc/passwd", "/healthz/more"])
def test_there_is_nothing_else(server: HttpServer, path: str) -> None:
    status, _, body = get(server, path)
    assert status == 404
    assert body == "/metrics, /healthz or /readyz\n"


def test_nothing_can_be_written(server: HttpServer) -> None:
    assert get(server, "/metrics", "POST")[0] == 501


def test_a_scrape_is_not_logged(server: HttpServer, capfd: pytest.CaptureFixture[str]) -> None:
    get(server, "/metrics")
    get(server, "/nothing")
    assert capfd.readouterr() == ("", "")


def test_a_port_in_use_is_one_line(server: HttpServer, worker: Worker) -> None:
    with pytest.raises(AssayError, match=f"http.port {server.port}: expected a free port .*ASSAY_HTTP_PORT") as refused:
        HttpServer("127.0.0.1", server.port, worker.metrics.registry, lambda: None, lambda: None)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("address", "port"), [("127.0.0.1", 70_000), ("256.0.0.1", 0), ("203.0.113.7", 0)])
def test_an_address_that_is_none_of_ours_is_one_line(worker: Worker, address: str, port: int) -> None:
    with pytest.raises(AssayError, match=f"http.address {address}, http.port {port}"):
        HttpServer(address, port, worker.metrics.registry, lambda: None, lambda: None)


def test_a_stopped_server_gives_its_port_back(worker: Worker) -> None:
    first = HttpServer("127.0.0.1", 0, worker.metrics.registry, lambda: None, lambda: None)
    port = first.port
    first.stop()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    second = HttpServer("127.0.0.1", port, worker.metrics.registry, lambda: None, lambda: None)
    assert get(second, "/healthz")[0] == 200
    second.stop()
