"""Who may write labels and markers into the events log: whoever holds the internal key signs their bytes."""

import hashlib
import hmac

from streams.intake import Trust
from streams.log import LogRecord

SIGNATURE_HEADER = "assay-signature"


def sign(key: bytes, value: bytes) -> bytes:
    """HMAC-SHA256 of a record's value, as hex.

    >>> sign(b"key", b"value")[:8]
    b'90fbfcf1'
    """
    return hmac.new(key, value, hashlib.sha256).hexdigest().encode()


def signed_by(key: bytes) -> Trust:
    """Trusts records whose `assay-signature` header was made with `key`."""

    def trusted(record: LogRecord) -> bool:
        signature = dict(record.headers).get(SIGNATURE_HEADER)
        return signature is not None and hmac.compare_digest(signature, sign(key, record.value or b""))

    return trusted


def nobody(_: LogRecord) -> bool:
    """No internal key is configured: labels and markers are refused."""
    return False


def everybody(_: LogRecord) -> bool:
    """Whoever can write the log is trusted: a file, or a topic behind an ACL."""
    return True


def trust(key: str, trust_internal: bool) -> Trust:
    """Whom to trust: holders of `key` if there is one, else everybody or nobody."""
    if key:
        return signed_by(key.encode())
    return everybody if trust_internal else nobody
