"""`/metrics`, `/healthz` and `/readyz` on one port, served by a thread of the worker."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from features.errors import AssayError

Check = Callable[[], str | None]
"""None while all is well, else what is wrong in a few words."""
_POLL_S = 0.05
"""How often the serving thread looks whether it is to stop."""


class HttpServer:
    """Serves until `stop`.

    Args:
        address: to bind to.
        port: 0 chooses a free one, see `port`.
        registry: metrics.
        healthy: says whether the worker makes progress; a supervisor restarts it otherwise.
        ready: says whether the worker owns partitions and has caught up.

    Raises:
        AssayError: the port is taken, or address and port are none.
    """

    def __init__(self, address: str, port: int, registry: CollectorRegistry, healthy: Check, ready: Check) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/metrics":
                    self._answer(200, generate_latest(registry), CONTENT_TYPE_LATEST)
                elif self.path in ("/healthz", "/readyz"):
                    wrong = healthy() if self.path == "/healthz" else ready()
                    self._answer(503 if wrong else 200, f"{wrong or 'ok'}\n".encode(), "text/plain; charset=utf-8")
                else:
                    self._answer(404, b"/metrics, /healthz or /readyz\n", "text/plain; charset=utf-8")

            def _answer(self, status: int, body: bytes, content_type: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
                """Scrapes are not worth a line each."""

        try:
            self._server = ThreadingHTTPServer((address, port), Handler)
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise AssayError(
                f"http.address {address}, http.port {port}: expected a free port ({reason}); "
                "set ASSAY_HTTP_PORT to another one, 0 for any, -1 for none"
            ) from None
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_POLL_S,), name="http", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that is served."""
        return int(self._server.server_address[1])

    def stop(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
