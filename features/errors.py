"""What can go wrong, in three families.

- `InvalidRecord`: one input record is not what the contract says. It is set aside and the stream goes on.
- `AssayError`: something outside is not as it must be (a file, a broker, a setting). One clear line, exit code 1.
- `AssertionError`: our own mistake. It stops the worker.
"""

from dataclasses import dataclass


class AssayError(Exception):
    """What was expected, what came, where, and what to do, in one line fit for an operator's terminal."""


@dataclass(frozen=True, slots=True)
class InvalidRecord:
    """Why one record was set aside.

    Attributes:
        code: stable machine-readable code, for example ``wrong_type``.
        path: JSON path of the fault, ``$`` for the whole record.
        expected: what the contract asks for.
        got: what came, never a card number, an e-mail or a payload.
        has_card_number: the record holds something that looks like a card number: it may only be stored redacted.
    """

    code: str
    path: str
    expected: str
    got: str
    has_card_number: bool = False
