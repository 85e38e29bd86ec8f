"""Who may do what: tokens, sessions, protection against forged requests, and the headers of every answer.

Reading needs nothing on this machine's own address. Acting needs a session, which a token opens; its cookie goes to no
other site (SameSite=Strict) and no script can read it. Each form carries a secret of its session. Requests for a name
that the console does not go by are refused, so that no page of another site can read it by way of DNS.
"""

import hmac
import ipaddress
import re
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from features.errors import AssayError

COOKIE: Final = "assay-console"
SESSION_S: Final = 8 * 3_600
MOST_SESSIONS: Final = 256
SHORTEST_TOKEN: Final = 16
TRIES, TRIES_S = 10, 60.0
"""Wrong tokens within so many seconds after which nobody may try for a while."""

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}
"""Of every answer: nothing from elsewhere, nothing inline, in nobody's frame, in no cache."""

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,40}")


class Token(NamedTuple):
    """Who may act, and what proves it."""

    name: str
    secret: str


def tokens_of(text: str) -> list[Token]:
    """Tokens of the setting: ``name:token`` separated by blanks or line ends.

    Raises:
        AssayError: an entry is none, a token is too short, or a name is there twice.

    >>> tokens_of("ana:0123456789abcdef bo:fedcba9876543210")[1].name
    'bo'
    """
    tokens = []
    for place, entry in enumerate(text.split(), start=1):
        name, colon, secret = entry.partition(":")
        if not colon or not _NAME.fullmatch(name):
            raise AssayError(
                f"console.token: expected name:token, entry {place} is not (its content is not shown); names have "
                "letters, digits, '.', '_' and '-'"
            )
        if len(secret) < SHORTEST_TOKEN:
            raise AssayError(
                f"console.token: expected a token of at least {SHORTEST_TOKEN} characters for {name}, got one of "
                f"{len(secret)}; draw one, for example with `openssl rand -hex 24`"
            )
        tokens.append(Token(name, secret))
    if len({token.name for token in tokens}) < len(tokens):
        raise AssayError("console.token: a name is there twice; give each person one token")
    return tokens


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who has shown a token.

    Attributes:
        name: that belongs to the token.
        csrf: what each form of this session has to carry.
        until_s: when it ends.
    """

    name: str
    csrf: str
    until_s: float


@dataclass
class Access:
    """Tokens and sessions.

    Args:
        tokens: who may act.
        clock_s: seconds, rising.
    """

    tokens: Sequence[Token]
    clock_s: Callable[[], float]
    _sessions: "OrderedDict[str, Session]" = field(default_factory=OrderedDict)
    _failures: "deque[float]" = field(default_factory=deque)

    @property
    def is_locked(self) -> bool:
        """Whether too many wrong tokens came lately."""
        while self._failures and self._failures[0] < self.clock_s() - TRIES_S:
            self._failures.popleft()
        return len(self._failures) >= TRIES

    def open(self, secret: str) -> str | None:
        """The cookie of a new session; None if the token is nobody's, or too many were.

        Every token is compared, in a time that does not depend on where they differ.
        """
        if self.is_locked:
            return None
        found = None
        for token in self.tokens:
            if hmac.compare_digest(token.secret.encode(), secret.encode()):
                found = token
        if found is None:
            self._failures.append(self.clock_s())
            return None
        cookie = secrets.token_urlsafe(32)
        self._sessions[cookie] = Session(found.name, secrets.token_urlsafe(32), self.clock_s() + SESSION_S)
        while len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return cookie

    def session(self, cookie: str | None) -> Session | None:
        """The session of a cookie; None if there is none, or it is over."""
        session = self._sessions.get(cookie or "")
        if session is not None and session.until_s <= self.clock_s():
            del self._sessions[cookie or ""]
            return None
        return session

    def close(self, cookie: str | None) -> None:
        """End a session."""
        self._sessions.pop(cookie or "", None)


def is_own_form(session: Session, csrf: str) -> bool:
    """Whether a form carries the secret of its session."""
    return hmac.compare_digest(session.csrf.encode(), csrf.encode())


def is_same_site(headers: Mapping[str, str], host: str) -> bool:
    """Whether a request that changes something comes from a page of the console.

    Browsers say where a form comes from; whoever says nothing is no browser, and has no cookie to steal.

    >>> is_same_site({"Origin": "http://127.0.0.1:9111"}, "127.0.0.1:9111")
    True
    >>> is_same_site({"Origin": "http://evil.example"}, "127.0.0.1:9111")
    False
    """
    if headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == host


def own_names(address: str, further: str) -> frozenset[str]:
    """Names that the console is reached by.

    >>> sorted(own_names("127.0.0.1", "console.example, "))
    ['127.0.0.1', '::1', 'console.example', 'localhost']
    """
    more = {name.strip().lower() for name in further.split(",")}
    return frozenset({"127.0.0.1", "::1", "localhost", address.lower(), *more} - {"", "0.0.0.0", "::"})  # noqa: S104


def is_own_name(host: str, names: frozenset[str]) -> bool:
    """Whether the Host header of a request names the console, with any port.

    >>> is_own_name("localhost:9111", frozenset({"localhost"})), is_own_name("[::1]:9111", frozenset({"::1"}))
    (True, True)
    >>> is_own_name("evil.example", frozenset({"localhost"}))
    False
    """
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return name is not None and name.lower() in names


def is_this_machine(address: str) -> bool:
    """Whether only this machine can reach an address.

    >>> is_this_machine("127.0.0.1"), is_this_machine("localhost"), is_this_machine("0.0.0.0")
    (True, True, False)
    """
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
