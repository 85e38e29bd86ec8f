"""Posts alerts to a webhook: the record's bytes, a few tries, and never an error for the caller.

The address is a setting that everybody may see; what is secret travels in a header, to that address and nowhere else.
A post takes as long as the tries and waits do, so it belongs into a thread beside an event loop.
"""

import http.client
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from prometheus_client import Counter

from features.errors import AssayError
from features.records import Alert, encode
from streams.addresses import check_url
from streams.config import Config

_log = logging.getLogger("assay.webhook")
TIMEOUT_S: Final = 10.0
"""How long one try waits for each answer of the network."""
_TOO_MANY_REQUESTS: Final = 429


def backoff_s(retries: int = 3, first_s: float = 1.0) -> tuple[float, ...]:
    """Seconds to wait before each retry: twice as long each time.

    >>> backoff_s()
    (1.0, 2.0, 4.0)
    """
    return tuple(first_s * 2**retry for retry in range(retries))


class _Fault(NamedTuple):
    """Why a try failed, and whether another one may do better."""

    text: str
    may_pass: bool


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Leaves an answer that points elsewhere as what it is: not the one that was hoped for."""

    def redirect_request(self, *_: Any) -> None:
        """Nowhere."""


class Webhook:
    """Posts alerts to one address.

    Args:
        url: where to; ``https``, or ``http`` on this machine.
        token: sent as ``Authorization: Bearer``; empty for none.
        failures: counts alerts that could not be posted.
        waits_s: before each retry.
        timeout_s: of each wait for the network within a try.
        sleep: waits.

    Raises:
        AssayError: the address is not allowed, or the token cannot stand in a header.
    """

    def __init__(
        self,
        url: str,
        token: str,
        failures: Counter,
        *,
        waits_s: Sequence[float] = backoff_s(),
        timeout_s: float = TIMEOUT_S,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        check_url(url, "alerts.webhook", "alerts.webhook_token")
        if not (token.isascii() and token.isprintable()):
            raise AssayError("alerts.webhook_token: expected printable ASCII, got other characters")
        self._url = url
        self._headers = {"Content-Type": "application/json", "User-Agent": "assay"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._failures = failures
        self._waits_s = tuple(waits_s)
        self._timeout_s = timeout_s
        self._sleep = sleep
        # What is sent unencrypted stays on this machine, so it goes through no proxy.
        direct = [urllib.request.ProxyHandler({})] if urlsplit(url).scheme == "http" else []
        self._opener = urllib.request.build_opener(_NoRedirects, *direct)

    def post(self, alert: Alert) -> bool:
        """Post `alert`; whether it was taken. What was not is counted and said in the log."""
        body = encode(alert)
        fault = self._try(body)
        for wait_s in self._waits_s:
            if fault is None or not fault.may_pass:
                break
            self._sleep(wait_s)
            fault = self._try(body)
        if fault is None:
            return True
        self._failures.inc()
        _log.warning("%s (%s) could not be posted to %s: %s", alert.alert, alert.status, self._url, fault.text)
        return False

    def _try(self, body: bytes) -> _Fault | None:
        """Post once; None when it was taken. Another answer than 2xx is an `HTTPError`."""
        request = urllib.request.Request(self._url, body, self._headers, method="POST")  # noqa: S310 - see check_url
        try:
            with self._opener.open(request, timeout=self._timeout_s):
                return None
        except urllib.error.HTTPError as error:
            error.close()
            return _Fault(f"it answered {error.code}", error.code >= 500 or error.code == _TOO_MANY_REQUESTS)
        except urllib.error.URLError as error:
            return _Fault(str(error.reason), may_pass=True)
        except (OSError, http.client.HTTPException) as error:
            return _Fault(f"{type(error).__name__}: {error}", may_pass=True)


def webhook_of(config: Config, failures: Counter) -> Webhook | None:
    """The webhook of the settings; None when none is set.

    Raises:
        AssayError: see `Webhook`, or the file of the token cannot be read.
    """
    url = config.text("alerts.webhook")
    return Webhook(url, config.secret("alerts.webhook_token"), failures) if url else None
