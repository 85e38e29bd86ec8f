"""Addresses that settings name: protected, or on this machine, and without a secret that would be printed."""

from urllib.parse import urlsplit

from features.errors import AssayError
from streams.connection import is_loopback


def check_url(url: str, setting: str, secrets: str, *, insecure: bool = False) -> None:
    """Let an address pass that is protected, or stays on this machine, and that holds no secret.

    Args:
        url: the address.
        setting: which setting names it, for the message.
        secrets: where what is secret belongs, for the message.
        insecure: an unprotected one on another machine is allowed.

    Raises:
        AssayError: it is not so; the address is not repeated, it may hold what it should not.

    >>> check_url("https://alerts.example/assay", "alerts.webhook", "alerts.webhook_token")
    >>> check_url("http://127.0.0.1:8080/", "alerts.webhook", "alerts.webhook_token")
    """
    expected = f"{setting}: expected https://HOST/PATH, or http:// on this machine"
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        host.encode("idna")
        whole = bool(host) and parts.port != 0
    except ValueError:  # among them UnicodeError: no name that could be looked up
        whole = False
    if not whole or not url.isascii() or not url.isprintable() or " " in url:
        raise AssayError(f"{expected}, got something else")
    if parts.scheme != "https" and not (parts.scheme == "http" and (insecure or is_loopback(host))):
        raise AssayError(f"{expected}, got {parts.scheme}:// to {host}")
    if "@" in parts.netloc or "?" in url or "#" in url:
        raise AssayError(
            f"{expected}, got one with a user, a query or a fragment: `assay config` prints this setting, so put what "
            f"is secret into {secrets}"
        )
