"""Who may write labels and markers: whoever signed exactly these bytes with the key."""

import hashlib
import hmac

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.log import LogRecord
from streams.partition import Partition
from streams.signature import SIGNATURE_HEADER, everybody, nobody, sign, signed_by
from tests.streams.logs import START_MS, label, payment
from tests.streams.test_engine import new_partition

KEY = b"a key"


def record(value: bytes | None, *signatures: bytes | None) -> LogRecord:
    headers = (("traceparent", b"00-ab"), *((SIGNATURE_HEADER, signature) for signature in signatures))
    return LogRecord(0, value, headers=headers)


@settings(deadline=None)
@given(value=st.binary(), key=st.binary(min_size=1))
def test_a_signature_is_hmac_sha256_in_hex(value: bytes, key: bytes) -> None:
    assert sign(key, value) == hmac.new(key, value, hashlib.sha256).hexdigest().encode()


@settings(deadline=None)
@given(value=st.binary(), key=st.binary(min_size=1))
def test_what_was_signed_is_trusted(value: bytes, key: bytes) -> None:
    assert signed_by(key)(record(value, sign(key, value)))


@settings(deadline=None)
@given(value=st.binary(), other=st.binary())
def test_the_signature_of_something_else_is_not(value: bytes, other: bytes) -> None:
    assert signed_by(KEY)(record(value, sign(KEY, other))) == (value == other)


def test_nothing_else_is_trusted() -> None:
    trusted = signed_by(KEY)
    value = b"value"
    assert not trusted(record(value))
    assert not trusted(record(value, None))
    assert not trusted(record(value, b""))
    assert not trusted(record(value, sign(b"another key", value)))
    assert not trusted(record(value, sign(KEY, value).upper()))
    assert not trusted(record(value, sign(KEY, value)[:-1]))
    assert not trusted(record(value, sign(KEY, value) + b"0"))
    assert not trusted(record(value, "ä".encode()))
    assert trusted(record(None, sign(KEY, b"")))  # a tombstone is refused by the decoder


def test_the_last_signature_counts() -> None:
    """As in Kafka's own tools: a later header of a name replaces an earlier one."""
    assert signed_by(KEY)(record(b"value", b"wrong", sign(KEY, b"value")))
    assert not signed_by(KEY)(record(b"value", sign(KEY, b"value"), b"wrong"))


def test_everybody_and_nobody() -> None:
    assert everybody(record(b"value"))
    assert not nobody(record(b"value", sign(KEY, b"value")))


def test_the_fold_takes_a_signed_label_and_sets_an_unsigned_one_aside() -> None:
    paid = LogRecord(0, payment(1, "a1", START_MS))
    value = label(2, "p1", "a1", START_MS + 1)
    forged = label(3, "p1", "a1", START_MS + 1, "legit")
    signed = LogRecord(1, value, headers=((SIGNATURE_HEADER, sign(KEY, value)),))
    stolen = LogRecord(2, forged, headers=((SIGNATURE_HEADER, sign(KEY, value)),))
    partition: Partition = new_partition()
    output = partition.fold([paid, signed, stolen], signed_by(KEY))
    assert len(output.outcomes) == 1
    assert [(item.place, item.error.code) for item in output.set_aside] == [(2, "not_authorized")]
