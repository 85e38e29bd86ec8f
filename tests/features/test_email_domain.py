"""Domains of e-mail addresses: what counts as the same."""

from hypothesis import given
from hypothesis import strategies as st

from features.email_domain import NO_DOMAIN, domain_of

TEXTS = st.text(max_size=40)


def small(text: str) -> str:
    """The text with letters of ASCII made small, and no other."""
    return "".join(chr(ord(sign) + 32) if "A" <= sign <= "Z" else sign for sign in text)


@given(TEXTS)
def test_a_domain_stands_behind_the_last_at_sign(text: str) -> None:
    _, at, domain = text.rpartition("@")
    assert (domain_of(text) != NO_DOMAIN) == (at == "@" and domain != "")


@given(TEXTS, TEXTS, TEXTS.filter(lambda domain: "@" not in domain), TEXTS.filter(lambda domain: "@" not in domain))
def test_addresses_share_a_number_if_they_share_a_domain(one: str, other: str, here: str, there: str) -> None:
    assert (domain_of(f"{one}@{here}") == domain_of(f"{other}@{there}")) == (small(here) == small(there))


def test_the_number_is_the_published_hash() -> None:
    # FNV-1a of 64 bits of "foobar" is 85944171f73967e8 (Noll's test vectors)
    assert domain_of("@foobar") == 0x85944171 ^ 0xF73967E8
