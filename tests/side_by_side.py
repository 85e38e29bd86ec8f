"""How `pytest -n 2` divides the tests between its processes."""

from xdist.scheduler import LoadScopeScheduling

LONGEST_FIRST = (
    "tests/faults/",
    "tests/streams/test_transport_security.py",
    "tests/streams/warm/test_labels_on_kafka.py",
    "tests/streams/test_worker.py",
    "tests/streams/warm/test_alerts_on_kafka.py",
    "tests/benchmarks/test_kafka_benchmarks.py",
    "tests/streams/test_broker.py",
    "tests/test_readme.py",
    "tests/test_world.py",
    "tests/streams/test_dlq.py",
    "tests/streams/test_log_contract.py",
)
"""What takes half a minute or more. If it were begun last, the other processes would have nothing to do."""


def place_of(nodeid: str) -> int:
    """Where a test stands in the order of a session; those that are equal stay as they are."""
    return next((place for place, name in enumerate(LONGEST_FIRST) if nodeid.startswith(name)), len(LONGEST_FIRST))


class FileByFile(LoadScopeScheduling):
    """Each process takes a file, and another one when it is nearly through: what a file's fixtures made is used again.

    Campaigns of faults all go to the same process. They mostly wait, so other tests beside them do no harm; two of them
    at once would take the machine from each other just when one measures who comes back in time.
    """

    def _split_scope(self, nodeid: str) -> str:
        return "tests/faults/" if nodeid.startswith("tests/faults/") else nodeid.partition("::")[0]
