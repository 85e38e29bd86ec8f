"""The kinds of alerts as a table for people: ``python -m streams.alert_docs``; it stands in docs/runbooks/README.md."""

import sys
from collections.abc import Iterable
from pathlib import PurePosixPath

from models.wording import duration_text
from streams.alert_kinds import KINDS, AlertKind


def table(kinds: Iterable[AlertKind] = KINDS.values()) -> str:
    """One row for each kind, in the order of the registry.

    >>> table().splitlines()[2]
    '| [breaker-open](breaker-open.md) | page | Customers: something simpler than the model decides about payments. |
    10 minutes |'
    """
    rows = ["| alert | severity | who is hurt | over when not found for |", "|---|---|---|---|"]
    for kind in kinds:
        page = PurePosixPath(kind.runbook).name
        rows.append(
            f"| [{kind.name}]({page}) | {kind.severity} | {kind.hurt} | {duration_text(kind.resolve_ms / 1000)} |"
        )
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(table())
