"""Coverage-guided fuzzing of the door for records.

    python -m tests.fuzz_decode --seconds 20

Looks for bytes that make decoding or storing a dead letter raise, hang, or say something personal. Starts from the
corpus in `tests/features/torture.py`. A find is printed, written to the directory given by --finds, and ends the run
with an exit code other than 0.
"""

import argparse
import os
import re
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import NoReturn

import atheris

# Only where this is what runs: a test session that imports the module stays as fast as it is.
with atheris.instrument_imports(include=["features"]) if __name__ == "__main__" else nullcontext():
    from features.decode import decode, decode_label
    from features.errors import InvalidRecord
    from features.faults import ERROR_CODES
    from features.records import dead_letter_headers, dead_letter_json, encode

from tests.features.examples import EVENTS, encoded
from tests.features.torture import CASES

LONGEST_SEED = 4096
LONG_NUMBER = re.compile(r"[0-9](?:[ \t-]*[0-9]){6,}")
CARD = b"4111111111111111"


def check(value: bytes) -> None:
    """Raise AssertionError if what is said about `value` breaks a promise."""
    for answer in (decode(value), decode_label(value)):
        if isinstance(answer, InvalidRecord):
            assert answer.code in ERROR_CODES, answer.code
            assert answer.path.startswith("$"), answer.path
            assert not LONG_NUMBER.search(answer.got), answer.got
            assert "@" not in answer.got, answer.got
            store(answer, value)
    event = decode(value)
    if not isinstance(event, InvalidRecord):
        assert decode(encode(event)) == event, "what was decoded, written and read again is the same"
        # A card number added to a good event spoils it, and none of it is kept.
        spoiled = (
            value.rstrip()[:-1] + b',"card_id":"' + CARD + b'","name":"' + CARD + b'","device_id":"' + CARD + b'"}'
        )
        refused = decode(spoiled)
        if isinstance(refused, InvalidRecord):
            assert CARD not in store(refused, spoiled), "a card number is kept"


def store(error: InvalidRecord, value: bytes) -> bytes:
    """The dead letter, in both of its forms."""
    line = dead_letter_json(error, topic="t", partition=0, offset=0, value=value, redaction_key=b"k")
    return line + b"".join(text for _, text in dead_letter_headers(error, "t", 0, 0))


def main() -> None:
    """Fuzz for a while."""
    arguments = argparse.ArgumentParser(prog="python -m tests.fuzz_decode", description=__doc__.splitlines()[0])
    arguments.add_argument("--seconds", type=int, default=20, help="how long to look")
    arguments.add_argument("--finds", type=Path, help="directory for what breaks a promise")
    arguments.add_argument("--seed", type=int, default=1, help="of the fuzzer's random numbers")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as corpus:
        process = os.fork()  # libFuzzer ends its process without a word; this one stays to clean up
        if process == 0:
            fuzz(Path(corpus), options.finds or Path(corpus), options.seconds, options.seed)
        _, status = os.waitpid(process, 0)
    sys.exit(os.waitstatus_to_exitcode(status))


def fuzz(corpus: Path, finds: Path, seconds: int, seed: int) -> NoReturn:
    """Fill `corpus` with seeds, fuzz, and end the process."""
    values = [case.value for case in CASES if case.value is not None] + [encoded(event) for event in EVENTS]
    for number, value in enumerate(values):
        if len(value) <= LONGEST_SEED:
            (corpus / f"{number:03}").write_bytes(value)
    finds.mkdir(parents=True, exist_ok=True)
    flags = [
        f"-max_total_time={seconds}",
        f"-seed={seed}",
        f"-max_len={LONGEST_SEED}",
        "-timeout=10",
        f"-artifact_prefix={finds}/",
        str(corpus),
    ]
    atheris.Setup([sys.argv[0], *flags], check)
    atheris.Fuzz()
    os._exit(0)


if __name__ == "__main__":
    main()
