"""Tokens, sessions, and what keeps other sites out."""

import pytest

from features.errors import AssayError
from streams.console.access import (
    MOST_SESSIONS,
    SESSION_S,
    TRIES,
    TRIES_S,
    Access,
    is_own_form,
    is_same_site,
    tokens_of,
)

ANA, BO = "0123456789abcdef", "fedcba9876543210"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def access(clock: Clock) -> Access:
    return Access(tokens_of(f"ana:{ANA}\nbo:{BO}"), clock)


def test_a_token_opens_a_session_of_its_name_and_no_other(access: Access) -> None:
    session = access.session(access.open(BO))
    assert session is not None
    assert session.name == "bo"
    assert access.open(BO[:-1]) is None
    assert access.open("") is None
    assert access.open(f"bo:{BO}") is None
    assert access.session("made up") is None
    assert access.session(None) is None


def test_a_session_ends_by_time_or_by_hand(access: Access, clock: Clock) -> None:
    first, second = access.open(ANA), access.open(ANA)
    access.close(first)
    assert access.session(first) is None
    clock.now += SESSION_S - 1
    assert access.session(second) is not None
    clock.now += 1
    assert access.session(second) is None


def test_forms_of_one_session_are_not_those_of_another(access: Access) -> None:
    one, other = access.session(access.open(ANA)), access.session(access.open(ANA))
    assert one is not None
    assert other is not None
    assert is_own_form(one, one.csrf)
    assert not is_own_form(one, other.csrf)
    assert not is_own_form(one, "")


def test_who_guesses_is_kept_waiting_and_so_is_everybody_else(access: Access, clock: Clock) -> None:
    for _ in range(TRIES):
        assert access.open("wrong") is None
    assert access.is_locked
    assert access.open(ANA) is None
    clock.now += TRIES_S + 1
    assert access.open(ANA) is not None


def test_sessions_are_bounded(access: Access) -> None:
    first = access.open(ANA)
    for _ in range(MOST_SESSIONS):
        newest = access.open(ANA)
    assert access.session(first) is None
    assert access.session(newest) is not None


@pytest.mark.parametrize("text", [ANA, f":{ANA}", f"an a:{ANA}", "ana:short", f"ana:{ANA} ana:{BO}", f"<b>:{ANA}"])
def test_tokens_that_are_none_are_refused_without_being_shown(text: str) -> None:
    with pytest.raises(AssayError, match=r"console\.token") as refused:
        tokens_of(text)
    assert ANA not in str(refused.value)
    assert "short" not in str(refused.value)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9112"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:9111"},
    ],
)
def test_forms_of_other_sites_are_refused(headers: dict[str, str]) -> None:
    assert not is_same_site(headers, "127.0.0.1:9111")
    assert is_same_site({"Origin": "https://127.0.0.1:9111", "Sec-Fetch-Site": "same-origin"}, "127.0.0.1:9111")
