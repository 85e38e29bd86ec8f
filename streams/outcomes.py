"""Labels of a segment joined with the verdicts and features that they judge, as records to publish. Pure."""

from typing import cast

import msgspec
import numpy as np

from features.columns import LABEL
from features.events import Label
from features.feature import FeatureSet
from features.kernel import APPROXIMATE, NOT_IN_HISTORY
from features.records import Coordinates, Judged, Outcome
from streams.flags import flag_names
from streams.log import Outgoing
from streams.scores import Scores, judged_of
from streams.segment import Segment

_encode = msgspec.json.Encoder().encode


def outcomes_of(partition: int, feature_set: FeatureSet, segment: Segment, scores: Scores) -> list[Outgoing]:
    """One outcome for each label of a segment, in order.

    Args:
        partition: of the log.
        feature_set: of the features that the accounts gave.
        segment: the rows.
        scores: of those that were judged.
    """
    applied = segment.applied
    labels = np.flatnonzero(segment.columns["kind"] == LABEL).tolist()
    if not labels:
        return []
    judged_here = {int(offset): place for place, offset in enumerate(segment.columns["offset"][scores.rows])}
    outcomes: list[Outgoing] = []
    for row in labels:
        place_in_batch = int(segment.rows[row])
        label = cast(Label, segment.batch.others[place_in_batch])
        judged: Judged | None = None
        features: dict[str, float | None] = {}
        flags: tuple[str, ...] = ("not_in_history",)
        if applied.status[row] != NOT_IN_HISTORY:
            found = applied.found[row]
            place = judged_here.get(int(found["offset"]))
            judged = judged_of(found, scores, place)
            of_accounts = feature_set.of_accounts  # what was known of entities then is known no more
            values = applied.features[row, : len(of_accounts)].tolist()
            features = {
                feature.name: None if value != value else value
                for feature, value in zip(of_accounts, values, strict=True)
            }
            flags = flag_names(int(applied.flags[row]) & APPROXIMATE)
        outcome = Outcome(
            event_id=label.event_id,
            judged_event_id=label.judged_event_id,
            account_id=label.account_id,
            label=label.label,
            fraud_type=label.fraud_type,
            known_at_ms=label.known_at_ms,
            source=label.source,
            judged=judged,
            feature_set=feature_set.hash[:16],
            features=features,
            flags=flags,
            at=Coordinates(partition, int(segment.columns["offset"][row]), int(segment.visible[row])),
        )
        outcomes.append(Outgoing(place_in_batch, label.account_id.encode(), _encode(outcome)))
    return outcomes
