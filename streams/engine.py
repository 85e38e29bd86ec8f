"""The engine is a fold: `fold(state, batch) -> (state, output)`. It touches no clock, disk or network.

The state of one partition is its accounts, its online detector, the model in force and the next offset. Live scoring,
recovery, replay and scoring a file are all this fold over a log; how the log is cut into batches never shows in what
comes out. The shell (`streams/partition.py`) brings in the accounts and models that a batch needs and carries out what
is returned.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.accounts import Accounts, Applied
from features.columns import JUDGED_KINDS, KIND_NAMES, LABEL, NO_SCORE, NOT_JUDGED, Events
from features.decode import marked
from features.errors import InvalidRecord
from features.events import Application, Event, Label, Login, Marker, Payment
from features.kernel import APPLIED, APPROXIMATE, CONFLICT, DUPLICATE, NOT_IN_HISTORY
from features.records import Coordinates, Judged, Outcome, Verdict
from models.decision import OUTCOMES, decide
from models.detector import Detector, build
from models.reasons import leading_tails, reasons_for
from streams.flags import flag_names
from streams.intake import Decoded, columns_of, rate_missing
from streams.log import JudgedFeatures, LogRecord, Outgoing, Output, SetAside
from streams.model_in_force import ModelInForce

_MICRO = 1_000_000
_encode = msgspec.json.Encoder().encode


class _Segment(NamedTuple):
    """Records between two markers that have columns, by their place in the batch."""

    places: list[int]
    events: list[Event]
    columns: Events
    judged: NDArray[np.uint64]


class _Scores(NamedTuple):
    """Numbers of the judged rows of a segment."""

    rows: NDArray[np.intp]
    score: NDArray[np.float64]
    anomaly: NDArray[np.float64]
    tails: NDArray[np.float64] | None
    outcome: NDArray[np.uint8]
    expected_loss_minor: NDArray[np.int64]


class Memory(NamedTuple):
    """An engine as it was, as far as one batch can change it."""

    accounts: dict[str, tuple[bytes, bool]]
    detector: Detector
    detector_state: bytes
    model: ModelInForce
    degraded: bool
    next_offset: int


class Engine:
    """The fold of one partition and its state in memory.

    Attributes:
        partition: number of the partition, as it appears in verdicts.
        model: the model in force.
        accounts: hot accounts; the shell loads and stores them.
        detector: online detector of the partition.
        next_offset: offset from which the log goes on.
        degraded: the log asked for a model that could not be opened: the one before it goes on judging, and every
            verdict says so.
    """

    def __init__(self, partition: int, model: ModelInForce, *, keep_features: bool = False) -> None:
        self.partition = partition
        self.model = model
        self.accounts = Accounts(model.feature_set)
        self.detector: Detector = build(model.detector)
        self.next_offset = 0
        self.degraded = False
        self.keep_features = keep_features

    def fold(self, batch: Decoded, models: Mapping[str, ModelInForce | None], *, publishing: bool = True) -> Output:
        """Fold one batch.

        Args:
            batch: decoded records, offsets rising from `next_offset`. The accounts that it names are in memory,
                except those that have no past.
            models: what each model marker in the batch asks for; None if that model could not be opened.
            publishing: whether records to publish are made; without, the state goes the same way and much sooner.
        """
        output = Output(publishing=publishing)
        if not batch.records:
            return output
        assert batch.records[0].offset >= self.next_offset, "a batch starts where the state ends"
        places: list[int] = []
        events: list[Event] = []
        for place, event in enumerate(batch.events):
            if isinstance(event, InvalidRecord):
                output.set_aside.append(SetAside(place, event))
            elif isinstance(event, Marker):
                self._fold_segment(places, events, batch.records, output)
                places, events = [], []
                self._put_in_force(event, place, models, output)
            else:
                error = rate_missing(event, self.model.rates)
                if error is not None:
                    output.set_aside.append(SetAside(place, error))
                else:
                    places.append(place)
                    events.append(event)
        self._fold_segment(places, events, batch.records, output)
        output.set_aside = [
            SetAside(place, marked(batch.records[place].value or b"", error))
            for place, error in sorted(output.set_aside, key=lambda item: item.place)
        ]
        self.next_offset = batch.records[-1].offset + 1
        return output

    def remember(self, account_ids: Sequence[str]) -> Memory:
        """What folding a batch of these accounts may change, for `bring_back`."""
        state = self.detector.state()
        accounts = self.accounts.remember(account_ids)
        return Memory(accounts, self.detector, state, self.model, self.degraded, self.next_offset)

    def bring_back(self, memory: Memory, account_ids: Sequence[str]) -> None:
        """Undo everything since `remember` was called for these accounts."""
        self.accounts.bring_back(account_ids, memory.accounts)
        self.detector = memory.detector
        self.detector.restore(memory.detector_state)
        self.model, self.degraded, self.next_offset = memory.model, memory.degraded, memory.next_offset

    def _put_in_force(
        self, marker: Marker, place: int, models: Mapping[str, ModelInForce | None], output: Output
    ) -> None:
        if marker.marker != "model":
            expected = "marker of type model; this version knows no other"
            output.set_aside.append(SetAside(place, InvalidRecord("marker", "$.marker", expected, marker.marker)))
            return
        output.kinds["marker"] = output.kinds.get("marker", 0) + 1
        model = models[marker.value]
        if model is None:
            self.degraded = True
            output.refused_models.append(marker.value)
            return
        if model.detector != self.model.detector:
            self.detector = build(model.detector)
        self.model = model
        self.degraded = False

    def _fold_segment(
        self, places: list[int], events: list[Event], records: Sequence[LogRecord], output: Output
    ) -> None:
        if not places:
            return
        columns, judged = columns_of(events, [records[place] for place in places], self.model.rates)
        segment = _Segment(places, events, columns, judged)
        keys = [event.account_id for event in cast(list[Payment], events)]
        applied = self.accounts.apply(keys, columns, judged)
        scores = self._score(segment, applied)
        self.accounts.record(
            applied.slots[scores.rows],
            columns["offset"][scores.rows],
            scores.outcome,
            np.rint(scores.score * _MICRO).astype(np.int32),
            np.where(np.isnan(scores.anomaly), NO_SCORE, np.rint(scores.anomaly * _MICRO)).astype(np.int32),
        )
        if output.publishing:
            self._publish_verdicts(segment, applied, scores, output)
            self._publish_outcomes(segment, applied, scores, output)
        self._set_aside(segment, applied, output)

    def _score(self, segment: _Segment, applied: Applied) -> _Scores:
        kinds = segment.columns["kind"]
        rows = np.flatnonzero((applied.status == APPLIED) & np.isin(kinds, JUDGED_KINDS))
        features = applied.features[rows]
        anomalies = self.detector.anomalies(features, self.model.detector_columns, np.ones(len(rows), dtype=np.bool_))
        anomaly = np.round(anomalies.score, 6)
        score = self.model.scorer.score(features)
        decisions = decide(self.model.policy, score, anomaly, segment.columns["amount_minor"][rows], kinds[rows])
        return _Scores(rows, score, anomaly, anomalies.tails, decisions.outcome, decisions.expected_loss_minor)

    def _publish_verdicts(self, segment: _Segment, applied: Applied, scores: _Scores, output: Output) -> None:
        model, model_id, policy_id = self.model, self.model.id[:16], self.model.artefact.policy_id[:16]
        offsets = segment.columns["offset"].tolist()
        features = applied.features[scores.rows]
        explained = np.flatnonzero(scores.outcome)  # everything but approve
        reasons = {}
        if len(explained):
            contributions = model.scorer.contributions(features[explained]).values
            for place, values in zip(explained.tolist(), contributions, strict=True):
                reasons[place] = reasons_for(
                    model.feature_set,
                    model.baselines,
                    features[place],
                    values,
                    outcome=int(scores.outcome[place]),
                    score=float(scores.score[place]),
                    anomaly=float(scores.anomaly[place]),
                    policy=model.policy,
                    money=model.money,
                    tails=leading_tails(scores.tails, place, model.detector_columns),
                )
        numbers = zip(
            scores.rows.tolist(),
            scores.score.tolist(),
            scores.anomaly.tolist(),
            scores.outcome.tolist(),
            scores.expected_loss_minor.tolist(),
            applied.flags[scores.rows].tolist(),
            strict=True,
        )
        for place, (row, score, anomaly, outcome, expected_loss_minor, flags) in enumerate(numbers):
            event = cast(Payment | Login | Application, segment.events[row])
            verdict = Verdict(
                event_id=event.event_id,
                account_id=event.account_id,
                time_ms=event.time_ms,
                decision=OUTCOMES[outcome],
                score=score,
                anomaly=None if anomaly != anomaly else anomaly,  # NaN is "not yet warm"
                expected_loss_minor=expected_loss_minor,
                reasons=reasons.get(place, []),
                model=model_id,
                policy=policy_id,
                at=Coordinates(self.partition, offsets[row]),
                flags=flag_names(flags, self.degraded),
            )
            output.verdicts.append(Outgoing(segment.places[row], event.account_id.encode(), _encode(verdict)))
        for outcome, count in enumerate(np.bincount(scores.outcome, minlength=len(OUTCOMES)).tolist()):
            output.decisions[OUTCOMES[outcome]] = output.decisions.get(OUTCOMES[outcome], 0) + count
        if self.keep_features:
            judged = [cast(Payment, segment.events[row]) for row in scores.rows.tolist()]
            output.judged.append(
                JudgedFeatures(
                    [event.event_id for event in judged],
                    [event.account_id for event in judged],
                    segment.columns["time_ms"][scores.rows],
                    segment.columns["kind"][scores.rows],
                    segment.columns["amount_minor"][scores.rows],
                    features,
                )
            )

    def _publish_outcomes(self, segment: _Segment, applied: Applied, scores: _Scores, output: Output) -> None:
        labels = np.flatnonzero(segment.columns["kind"] == LABEL).tolist()
        if not labels:
            return
        judged_here = {int(offset): place for place, offset in enumerate(segment.columns["offset"][scores.rows])}
        for row in labels:
            label = cast(Label, segment.events[row])
            judged: Judged | None = None
            features: dict[str, float | None] = {}
            flags: tuple[str, ...] = ("not_in_history",)
            if applied.status[row] != NOT_IN_HISTORY:
                found = applied.found[row]
                place = judged_here.get(int(found["offset"]))
                judged = _judged(found, scores, place)
                values = applied.features[row].tolist()
                features = {
                    name: None if value != value else value
                    for name, value in zip(self.model.feature_set.names, values, strict=True)
                }
                flags = flag_names(int(applied.flags[row]) & APPROXIMATE, degraded=False)
            outcome = Outcome(
                event_id=label.event_id,
                judged_event_id=label.judged_event_id,
                account_id=label.account_id,
                label=label.label,
                fraud_type=label.fraud_type,
                known_at_ms=label.known_at_ms,
                source=label.source,
                judged=judged,
                feature_set=self.model.feature_set.hash[:16],
                features=features,
                flags=flags,
                at=Coordinates(self.partition, int(segment.columns["offset"][row])),
            )
            output.outcomes.append(Outgoing(segment.places[row], label.account_id.encode(), _encode(outcome)))

    def _set_aside(self, segment: _Segment, applied: Applied, output: Output) -> None:
        output.duplicates += int(np.count_nonzero(applied.status == DUPLICATE))
        for row in np.flatnonzero(applied.status == CONFLICT).tolist():
            expected = "the content that this event_id had when it was first seen, or another event_id"
            error = InvalidRecord("conflict", "$.event_id", expected, "other content")
            output.set_aside.append(SetAside(segment.places[row], error))
        accepted = segment.columns["kind"][applied.status != CONFLICT]
        for kind, count in enumerate(np.bincount(accepted).tolist()):
            if count:
                output.kinds[KIND_NAMES[kind]] = output.kinds.get(KIND_NAMES[kind], 0) + count


def _judged(found: Events, scores: _Scores, place: int | None) -> Judged:
    """What an outcome says of the judged event; `place` is its row in `scores` if it was judged in this segment."""
    if place is None:
        decision, score, anomaly = int(found["decision"]), int(found["score_micro"]), int(found["anomaly_micro"])
    else:
        decision = int(scores.outcome[place])
        score = round(float(scores.score[place]) * _MICRO)
        value = float(scores.anomaly[place])
        anomaly = NO_SCORE if value != value else round(value * _MICRO)
    return Judged(
        time_ms=int(found["time_ms"]),
        offset=int(found["offset"]),
        decision=None if decision == NOT_JUDGED else OUTCOMES[decision],
        score=None if score == NO_SCORE else score / _MICRO,
        anomaly=None if anomaly == NO_SCORE else anomaly / _MICRO,
        amount_base_minor=int(found["amount_minor"]),
    )
