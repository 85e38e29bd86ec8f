"""The entity graph: which accounts share devices, addresses, merchants, beneficiaries, and what that says of each.

A fold without clock, disk or network: `apply` takes links and labels; `profiles`, `card_testing` and `mules` say what
is known at a time that is given. The same batches give the same numbers, in any order and however often each comes;
`docs/graph.md` says what is exact, what is bounded, and where order shows.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from features import graph_patterns, graph_profiles, graph_rebuild
from features.compiled import compiled
from features.entities import BENEFICIARY, ENTITY_KINDS
from features.graph_bytes import pack_graph, unpack_graph
from features.graph_components import make_anew, unite
from features.graph_deliveries import Deliveries
from features.graph_edges import BECAME_HUB, TIES, connect, node_of
from features.graph_fraud import MOST_PROBES, add_labels
from features.graph_links import ENTITY, LABEL, check_labels, check_links
from features.graph_nodes import find_node
from features.graph_state import ACCOUNT, NODES, PAYER, Arrays, empty_arrays, reserve
from features.graph_tiles import add_to_tiles

_ROWS = 8_192
"""Links or labels that are applied in one call: room is made for the most that they could need."""


@compiled
def _add_links(arrays: Arrays, links: NDArray[Any], new: NDArray[np.bool_], touched: NDArray[np.int32]) -> int:
    """Apply links, the payments of those that are `new`; returns how many entities were written to `touched`."""
    written = 0
    for row in range(len(links)):
        link = links[row]
        time_ms = link["time_ms"]
        entity = node_of(arrays, link["kind"], link["entity"])
        account = node_of(arrays, ACCOUNT, link["account"])
        follows = connect(arrays, entity, account, time_ms)
        if follows == TIES:
            unite(arrays, entity, account, time_ms)
        elif follows == BECAME_HUB:
            make_anew(arrays, np.int64(arrays.nodes[entity]["component"]))  # type: ignore[arg-type]
        is_paid = new[row] and link["payments"] > 0
        if is_paid:
            add_to_tiles(arrays, entity, link)
        touched[written] = entity
        written += 1
        if link["kind"] == BENEFICIARY:
            payer = node_of(arrays, PAYER, link["account"])
            connect(arrays, payer, entity, time_ms)
            if is_paid:
                add_to_tiles(arrays, payer, link)
            paid_before = find_node(arrays.table, arrays.nodes, BENEFICIARY, link["account"])
            if paid_before >= 0:
                touched[written] = paid_before
                written += 1
    return written


@compiled
def _find_all(arrays: Arrays, entities: NDArray[Any], found: NDArray[np.int64]) -> None:
    for row in range(len(entities)):
        found[row] = find_node(arrays.table, arrays.nodes, entities[row]["kind"], entities[row]["entity"])


class Graph:
    """Accounts, entities, and what ties them together.

    >>> from features.graph_links import LINK
    >>> links = np.zeros(2, LINK)
    >>> links["account"], links["entity"], links["time_ms"] = [1, 2], 7, 1_000  # two accounts on one device
    >>> graph = Graph()
    >>> entities = graph.apply(links)
    >>> graph.profiles(entities, as_of_ms=2_000)[["degree", "accounts_1h", "component_accounts"]].tolist()
    [(2, 2, 2)]
    """

    def __init__(self) -> None:
        self._arrays = empty_arrays()
        self._deliveries = Deliveries()

    def apply(self, links: NDArray[Any], labels: NDArray[Any] | None = None) -> NDArray[Any]:
        """Take in links and labels; returns `ENTITY`[n], the entities whose numbers may have changed, by kind and hash.

        Args:
            links: `LINK`[n]; all rows of one flush of one source come in one batch.
            labels: `LABEL`[n].

        These are the entities of the links, beneficiaries that are the account of a payment to another, and those that
        tie a labelled account to others (of each at most 256, and no hubs). They are named again when a batch comes
        again: perhaps nobody heard of them the first time. The state does not change then.

        Raises:
            AssertionError: rows out of range (`graph_links`).
        """
        labels = np.zeros(0, dtype=LABEL) if labels is None else labels
        check_links(links)
        check_labels(labels)
        touched = []
        for start in range(0, len(labels), _ROWS):
            some = labels[start : start + _ROWS]
            self._arrays = reserve(self._arrays, len(some), 0, 0)
            room = np.empty(len(some) * MOST_PROBES, dtype=np.int32)
            touched.append(np.unique(room[: add_labels(self._arrays, some, room)]))
        new = self._deliveries.take(links)
        for start in range(0, len(links), _ROWS):
            rows = links[start : start + _ROWS]
            self._arrays = reserve(self._arrays, 3 * len(rows), 2 * len(rows), 2 * len(rows))
            room = np.empty(2 * len(rows), dtype=np.int32)
            written = _add_links(self._arrays, rows, new[start : start + _ROWS], room)
            touched.append(np.unique(room[:written]))
        changed = np.unique(np.concatenate(touched)) if touched else np.zeros(0, dtype=np.int32)
        nodes = self._arrays.nodes
        entities = np.empty(len(changed), dtype=ENTITY)
        entities["kind"] = nodes["kind"][changed]
        entities["entity"] = nodes["hash"][changed]
        return entities[np.lexsort((entities["entity"], entities["kind"]))]

    @property
    def arrays(self) -> Arrays:
        """For kernels; those of one moment."""
        return self._arrays

    def profiles(self, entities: NDArray[Any], as_of_ms: int) -> NDArray[Any]:
        """`graph_profiles.PROFILE`[n] of `ENTITY`[n] at `as_of_ms`."""
        return graph_profiles.profiles(self._arrays, self._find(entities), as_of_ms)

    def card_testing(self, entities: NDArray[Any], as_of_ms: int) -> NDArray[Any]:
        """`graph_patterns.CARD_TESTING`[n] of `ENTITY`[n] at `as_of_ms`."""
        return graph_patterns.card_testing(self._arrays, self._find(entities), as_of_ms)

    def mules(self, entities: NDArray[Any], as_of_ms: int) -> NDArray[Any]:
        """`graph_patterns.MULE`[n] of `ENTITY`[n] at `as_of_ms`."""
        return graph_patterns.mules(self._arrays, self._find(entities), as_of_ms)

    def rebuild(self, as_of_ms: int) -> None:
        """Forget pairs that were not seen for 90 days, and make every component anew; see `graph_rebuild`."""
        self._arrays = graph_rebuild.rebuild(self._arrays, as_of_ms)

    def release_tiles(self, as_of_ms: int) -> None:
        """Give back tiles that no window reaches any more; a rebuild does so too."""
        self._arrays = graph_rebuild.release_tiles(self._arrays, as_of_ms)

    def to_bytes(self) -> bytes:
        """The graph as bytes, see `graph_bytes`."""
        return pack_graph(self._arrays, self._deliveries)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The graph of `to_bytes`, which goes on as that one would.

        Raises:
            AssayError: it is another format, or damaged.
        """
        graph = cls()
        graph._arrays, graph._deliveries = unpack_graph(data)
        return graph

    def __len__(self) -> int:
        """Nodes: accounts, entities and payers."""
        return int(self._arrays.counts[NODES])

    @property
    def nbytes(self) -> int:
        """Bytes held, with room for what comes next."""
        return sum(array.nbytes for array in self._arrays) + self._deliveries.nbytes

    def _find(self, entities: NDArray[Any]) -> NDArray[np.int64]:
        assert entities.dtype == ENTITY, f"expected rows of ENTITY, got {entities.dtype}"
        assert not len(entities) or entities["kind"].max() < len(ENTITY_KINDS), "accounts and payers have no profile"
        found = np.empty(len(entities), dtype=np.int64)
        _find_all(self._arrays, entities, found)
        return found
