"""What the engine published as served with each label, as rows to compare with what the log gives.

The engine works an outcome's features out when the label comes, from what the account's history holds then. So there
are two places where the log can be asked for them. The first is the event itself: that is what the model was given. It
is asked where the fold comes past the event, and where nothing has been folded into tiles since. Else the label is
asked, where the same history gives the same numbers.
"""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.feature import FeatureSet
from features.records import Outcome
from streams.claims import NOT_JSON
from streams.find_verdict import Progress
from streams.history import Bounds, History
from streams.log import LogRecord, Output
from streams.log_range import PartitionRange
from streams.skew import CHUNK_ROWS, Found, Given, judged_by, no_room

_decode = msgspec.json.Decoder(Outcome).decode


class ServedOutcomes:
    """`streams.skew.Claims` out of published outcomes. Features of entities are not in them.

    Attributes:
        names: of the features of accounts.
        rows: outcomes to compare, in the order in which they were published.
        at_event: of them, found in the log as what the model was given.
        without_features: of them, published without features, because the event had left the history.
        other_feature_set: published by an engine with another feature set, and left out.
        unreadable: records of the topic that are no outcomes of their partition.

    Args:
        feature_set: in force.
        file: is made; holds the rows.
    """

    def __init__(self, feature_set: FeatureSet, file: Path) -> None:
        self.names = tuple(feature.name for feature in feature_set.of_accounts)
        self.rows = 0
        self.at_event = 0
        self.without_features = 0
        self.other_feature_set = 0
        self.unreadable = 0
        self._feature_set = feature_set.hash[:16]
        self._file = file
        self._asked: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}

    def read(
        self,
        outcomes: History,
        bounds: Mapping[int, Bounds],
        ranges: Sequence[PartitionRange],
        progress: Progress = lambda *_: None,
    ) -> None:
        """Take the outcomes whose labels are in `ranges` of the log; called once.

        Args:
            outcomes: the topic, or an archive of it.
            bounds: which part of each partition of it holds them; one that is not named holds none.
            ranges: of the events log.
            progress: see there.

        Raises:
            AssayError: reading failed, or there is no room for the rows.
        """
        records_read = done = 0
        total = sum(high - low for low, high in bounds.values())
        try:
            with self._file.open("xb") as file:
                for part in ranges:
                    low, high = bounds.get(part.partition, Bounds(0, 0))
                    asked, first_row = array("q"), self.rows
                    for records in outcomes.read(part.partition, low, high) if low < high else ():
                        for record in records:
                            self._take(record, part, asked, file)
                        records_read += len(records)
                        progress(records_read, done + records[-1].offset + 1 - low, total)
                    done += high - low
                    offsets = np.array(asked, dtype=np.int64)
                    order = np.argsort(offsets, kind="stable")
                    self._asked[part.partition] = offsets[order], first_row + order
        except OSError as error:
            raise no_room(self._file, error) from None

    def find(self, partition: int, records: Sequence[LogRecord], output: Output) -> Found:
        """See `Claims`."""
        asked, rows = self._asked[partition]
        first, last = np.searchsorted(asked, (records[0].offset, records[-1].offset + 1))
        events = judged_by(records, output, len(self.names))
        if first == last:
            return Found.of([], events)
        given = events.and_those(self._given_by([_decode(outcome.value) for outcome in output.outcomes]))
        place_of = {offset: place for place, offset in enumerate(given.offsets.tolist())}
        wanted = zip(asked[first:last].tolist(), rows[first:last].tolist(), strict=True)
        pairs = [(row, place_of[offset]) for offset, row in wanted if offset in place_of]
        self.at_event += sum(place < len(events.offsets) for _, place in pairs)
        return Found.of(pairs, given)

    def chunks(self) -> Iterator[NDArray[np.float32]]:
        """See `Claims`."""
        size = 4 * len(self.names) * CHUNK_ROWS
        with self._file.open("rb") as file:
            while data := file.read(size):
                yield np.frombuffer(data, dtype=np.float32).reshape(-1, len(self.names))

    def _take(self, record: LogRecord, part: PartitionRange, asked: "array[int]", file: BinaryIO) -> None:
        try:
            outcome = _decode(record.value or b"")
        except NOT_JSON:
            self.unreadable += 1
            return
        if outcome.at.partition != part.partition:
            self.unreadable += 1
            return
        if not part.start <= outcome.at.offset < part.end:
            return
        if outcome.feature_set != self._feature_set:
            self.other_feature_set += 1
            return
        judged = outcome.judged
        asks_event = (
            judged is not None
            and judged.decision is not None
            and judged.offset >= part.start
            and "approximate" not in outcome.flags
        )
        asked.append(judged.offset if judged is not None and asks_event else outcome.at.offset)
        with np.errstate(over="ignore"):  # what was altered may be too large
            file.write(np.array(self._values(outcome), dtype=np.float32).tobytes())
        self.rows += 1
        self.without_features += judged is None

    def _given_by(self, outcomes: Sequence[Outcome]) -> Given:
        """What labels give, by the outcomes that folding them made."""
        values = [self._values(outcome) for outcome in outcomes]
        is_judged = [outcome.judged is not None and outcome.judged.decision is not None for outcome in outcomes]
        events = [outcome.at.offset if outcome.judged is None else outcome.judged.offset for outcome in outcomes]
        return Given(
            np.array([outcome.at.offset for outcome in outcomes], dtype=np.int64),
            np.array(events, dtype=np.int64),
            np.array(is_judged, dtype=np.bool_),
            np.array(values, dtype=np.float32).reshape(-1, len(self.names)),
        )

    def _values(self, outcome: Outcome) -> list[float | None]:
        return [outcome.features.get(name) for name in self.names]
