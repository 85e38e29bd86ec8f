"""What the graph knows of entities as numbers of their profiles, and whether these are worth telling.

Both go over all profiles of a flush in one compiled call: a quiet log has a flush for nearly every event.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from features import graph_patterns, graph_profiles
from features.compiled import compiled
from features.entities import BENEFICIARY
from features.entity_profile import COUNTS, VALUES
from features.graph_fraud import SEEN_PLACES
from features.graph_nodes import find_node
from features.graph_state import Arrays
from features.windows import MINUTE_MS

_FEW: Final = 16
"""Of a count below this every change is told; above it, one of more than a tenth."""
_CHANGED_SHARE: Final = np.float32(0.1)
_LEAST: Final = np.float32(0.0005)
"""No rate that moved by less is told again."""
_REFRESH_MS: Final = 10 * MINUTE_MS
"""A profile whose numbers stay the same is told again after so long: else its windows would seem to be over."""
_IS_COUNT: Final = np.array([name in COUNTS for name in VALUES])
_FROM_GRAPH: Final = 8
"""The first so many of `VALUES` are written in `_write`, in their order."""
_ACCOUNTS_1H: Final = VALUES.index("accounts_1h")
_PASS_THROUGH: Final = VALUES.index("pass_through_48h")
_DWELL: Final = VALUES.index("dwell_seconds_48h")


@compiled
def _write(found: Any, values: Any) -> None:
    values[0] = found["accounts_1h"]
    values[1] = found["accounts_1d"]
    values[2] = found["accounts_7d"]
    values[3] = found["degree"]
    values[4] = found["frauds"]
    values[5] = found["component_accounts"]
    values[6] = found["component_joined_1d"]
    values[7] = found["two_hop_frauds"]


@compiled
def _is_alone(found: Any) -> bool:
    """Whether an entity ties nobody to anybody."""
    return bool(
        found["degree"] < 2
        and found["frauds"] == 0
        and found["two_hop_frauds"] == 0
        and found["component_accounts"] < 2
    )


@compiled
def _measure_all(
    arrays: Arrays,
    profiles: NDArray[Any],
    rows: NDArray[np.intp],
    as_of_ms: int,
    seen: NDArray[np.int32],
    blank: NDArray[Any],
    found: NDArray[Any],
    no_flow: NDArray[Any],
    flow: NDArray[Any],
) -> None:
    for row in rows:
        profile = profiles[row]
        values = profile["values"]
        node = np.int64(find_node(arrays.table, arrays.nodes, profile["kind"], profile["entity"]))
        found[0] = blank[0]
        if node >= 0:
            graph_profiles.describe(arrays, node, as_of_ms, seen, found[0])  # type: ignore[arg-type]
        if _is_alone(found[0]):
            values[:_FROM_GRAPH] = 0
        else:
            _write(found[0], values)
        if profile["kind"] == BENEFICIARY:
            flow[0] = no_flow[0]
            if node >= 0:
                graph_patterns.describe_flow(arrays, node, as_of_ms, flow[0])  # type: ignore[arg-type]
            values[_PASS_THROUGH] = flow[0]["pass_through"]
            values[_DWELL] = 60 * flow[0]["dwell_minutes"]


def measure_graph(arrays: Arrays, profiles: NDArray[Any], rows: NDArray[np.intp], as_of_ms: int) -> None:
    """Write what the graph knows at a time into some of `PROFILE`[n], the rows intp[m]."""
    blank, no_flow = graph_profiles.blank(1), graph_patterns.no_flow(1)
    seen = np.empty(SEEN_PLACES, dtype=np.int32)
    _measure_all(arrays, profiles, rows, as_of_ms, seen, blank, blank.copy(), no_flow, no_flow.copy())


@compiled
def _material_all(were_told: NDArray[Any], profiles: NDArray[Any], material: NDArray[np.bool_]) -> None:
    for row in range(len(profiles)):
        old, new = were_told[row]["values"], profiles[row]["values"]
        is_material = new[_ACCOUNTS_1H] > 0 and profiles[row]["as_of_ms"] - were_told[row]["as_of_ms"] >= _REFRESH_MS
        for value in range(len(_IS_COUNT)):
            before, after = old[value], new[value]
            if np.isnan(before) != np.isnan(after):
                is_material = True
                break
            distance, larger = np.abs(after - before), max(np.abs(before), np.abs(after))
            if distance > _LEAST and (distance > _CHANGED_SHARE * larger or (_IS_COUNT[value] and larger < _FEW)):
                is_material = True
                break
        material[row] = is_material


def is_material(were_told: NDArray[Any], profiles: NDArray[Any]) -> NDArray[np.bool_]:
    """bool[n], whether profiles differ so much from what was told of their entities that they are worth telling."""
    material = np.empty(len(profiles), dtype=np.bool_)
    _material_all(were_told, profiles, material)
    return material
