"""The engine is a fold: `fold(state, batch) -> (state, output)`. It touches no clock, disk or network.

The state of one partition is its accounts, its online detector, what the log has put in force and the next offset. Live
scoring, recovery, replay and scoring a file are all this fold over a log; how the log is cut into batches never
shows in what comes out. The shell (`streams/partition.py`) brings in the accounts and models that a batch needs and
carries out what is returned.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from features.accounts import Accounts
from features.columns import JUDGED_KINDS, KIND_NAMES
from features.conversion import currency_name, to_base_minor, without_rate
from features.decode import marked
from features.entity_features import entity_plan, fill_entities
from features.entity_fold import EntityFold
from features.entity_table import NOTHING
from features.errors import InvalidRecord
from features.events import Marker, entities_offset_of
from features.faults import describe
from features.kernel import APPLIED, CONFLICT, DUPLICATE
from features.link_collector import LinkCollector
from features.links import Flushes, flushes_json, joined
from features.verdict_bytes import Numbers, stretches, template, verdict_bytes
from models.decision import OUTCOMES
from models.detector import Detector, build
from models.summary import count_batch, is_sampled
from models.watch_limits import CLOSED, IN_FORCE, InForce
from streams.deciding import Deciding, deciding, judge
from streams.flags import COUNTED_FLAGS, engine_bits, sets_of_flags
from streams.intake import Decoded
from streams.log import Counted, JudgedFeatures, Outgoing, Output, SetAside, rows_of
from streams.model_in_force import ModelInForce
from streams.outcomes import outcomes_of
from streams.profiles import NoProfiles, Profiles
from streams.scores import Scores, reasons_of
from streams.segment import Segment
from streams.standing import Standing
from streams.visible import Visible

_IS_JUDGED = np.isin(np.arange(256), JUDGED_KINDS)
_encode = msgspec.json.Encoder().encode


class Memory(NamedTuple):
    """An engine as it was, as far as one batch can change it."""

    accounts: dict[str, tuple[bytes, int]]
    detector: Detector
    detector_state: bytes
    links_state: bytes
    host_state: bytes
    model: ModelInForce
    degraded: bool
    standing: Standing
    stand_in: ModelInForce | None
    entities_offset: int
    next_offset: int


class Engine:
    """The fold of one partition and its state in memory.

    Attributes:
        partition: number of the partition, as it appears in verdicts.
        model: the model that the log asks for, or the one before it.
        accounts: hot accounts; the shell loads and stores them.
        detector: online detector of the partition.
        links: what the partition has to tell about entities.
        entities_offset: offset of the entities topic that is visible from here on; -1: none is.
        profiles: what the entities topic says.
        host: works profiles out by itself, from this log alone, and passes over what the log says is visible; None:
            the log says it.
        next_offset: offset from which the log goes on.
        sample_one_in: features of one in so many events are counted for telemetry; 0: nothing is counted.
        degraded: the log asked for a model that could not be opened: the one before it goes on judging, and every
            verdict says so.
        standing: what the log has put in force; while its breaker is not closed every verdict says degraded.
        stand_in: the last good model, while the breaker wants it to decide and it could be opened; else None.
        heeds_breaker: whether breaker markers take effect; a replay that asks what another model would have decided
            passes over them, because they answered to the model that was there.
    """

    def __init__(
        self,
        partition: int,
        model: ModelInForce,
        *,
        keep_features: bool = False,
        sample_one_in: int = 0,
        profiles: Profiles | None = None,
        host: EntityFold | None = None,
    ) -> None:
        self.partition = partition
        self.model = model
        self.accounts = Accounts(model.feature_set)
        self.detector: Detector = build(model.detector)
        self.links = LinkCollector(model.feature_set)
        self.profiles = NoProfiles() if profiles is None else profiles  # one that holds nothing yet is false
        self.host = host
        self.entities_offset = NOTHING if host is None else host.told
        self._entity_plan = entity_plan(model.feature_set)
        self._visible = Visible(self.entities_offset)
        self.next_offset = 0
        self.degraded = False
        self.standing = Standing.at_start(model.id)
        self.stand_in: ModelInForce | None = None
        self.heeds_breaker = True
        self.keep_features = keep_features
        self.sample_one_in = sample_one_in

    def fold(self, batch: Decoded, models: Mapping[str, ModelInForce | None], *, publishing: bool = True) -> Output:
        """Fold one batch.

        Args:
            batch: decoded records, offsets rising from `next_offset`. The accounts that it names are in memory,
                except those that have no past.
            models: what each model marker in the batch asks for, and each model that has to stand in behind one of its
                markers (`streams.standing`); None if that model could not be opened.
            publishing: whether records to publish are made; without, the state goes the same way and much sooner.
        """
        output = Output(publishing=publishing)
        if not batch.records:
            return output
        assert batch.records[0].offset >= self.next_offset, "a batch starts where the state ends"
        output.not_plain = len(batch.others)
        output.set_aside += [SetAside(row, error) for row, error in batch.refused()]
        start = 0
        closed: list[Flushes | None] = []
        self._visible = Visible(self.entities_offset)
        for row, marker in batch.markers():
            if marker.marker == "entities":  # often there, and nothing but what is visible changes: no segment ends
                self._let_see(marker, row, batch.records[row].offset, output)
                continue
            closed.append(self._fold_segment(batch, start, row, output))
            closed.append(self._hosted(self.links.tick(marker.time_ms, batch.records[row].offset)))
            self._put_in_force(marker, row, models, output)
            start = row + 1
        closed.append(self._fold_segment(batch, start, len(batch.records), output))
        self.entities_offset = self._visible.newest
        output.links = self._links([flushes for flushes in closed if flushes is not None])
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
        links = self.links.state()
        host = b"" if self.host is None else self.host.state()
        in_force = (self.model, self.degraded, self.standing, self.stand_in, self.entities_offset)
        return Memory(accounts, self.detector, state, links, host, *in_force, self.next_offset)

    def bring_back(self, memory: Memory, account_ids: Sequence[str]) -> None:
        """Undo everything since `remember` was called for these accounts."""
        self.accounts.bring_back(account_ids, memory.accounts)
        self.detector = memory.detector
        self.detector.restore(memory.detector_state)
        self.links.restore(memory.links_state)
        if self.host is not None:
            self.host.restore(memory.host_state)
        self.model, self.degraded = memory.model, memory.degraded
        self.standing, self.stand_in = memory.standing, memory.stand_in
        self.entities_offset, self.next_offset = memory.entities_offset, memory.next_offset

    @property
    def breaker(self) -> InForce:
        """What the log put in place of the model's decisions."""
        return self.standing.breaker

    @property
    def deciding(self) -> Deciding:
        """Who decides about the next event."""
        return deciding(self.breaker, self.model, self.stand_in)

    @property
    def lacks_model(self) -> bool:
        """Whether the log asks for a model that could not be opened: to judge, or to stand in."""
        return self.degraded or (self.standing.stand_in is not None and self.stand_in is None)

    @property
    def _says_degraded(self) -> bool:
        """Whether verdicts say that something else decides than the model that the log asks for."""
        return self.degraded or self.breaker != CLOSED

    def _let_see(self, marker: Marker, place: int, offset: int, output: Output) -> None:
        """From the record behind the marker on, profiles up to another offset are visible; never fewer than before."""
        visible = entities_offset_of(marker)
        if visible is None:
            expected = "an offset of the entities topic as decimal digits"
            output.set_aside.append(SetAside(place, InvalidRecord("marker", "$.value", expected, "something else")))
            return
        output.kinds["marker"] = output.kinds.get("marker", 0) + 1
        if self.host is None:
            self._visible.add(offset, visible)

    def _hosted(self, closed: Flushes | None) -> Flushes | None:
        """Let the host take in flushes; what it tells is visible behind the records that closed them."""
        if self.host is not None and closed is not None:
            told = self.host.step(self.partition, closed)
            for turn, count in zip(*np.unique(told.turns, return_counts=True), strict=True):
                self._visible.add(int(closed.flushes["end"][turn]), self._visible.newest + int(count))
        return closed

    def _put_in_force(
        self, marker: Marker, place: int, models: Mapping[str, ModelInForce | None], output: Output
    ) -> None:
        if marker.marker == "breaker":
            self._set_breaker(marker, place, models, output)
            return
        if marker.marker != "model":
            expected = "marker of type model, breaker or entities; this version knows no other"
            output.set_aside.append(SetAside(place, InvalidRecord("marker", "$.marker", expected, marker.marker)))
            return
        output.kinds["marker"] = output.kinds.get("marker", 0) + 1
        self._move_on(marker, models)
        model = models[marker.value]
        if model is None:
            self.degraded = True
            output.refused_models.append(marker.value)
            return
        if model.detector != self.model.detector:
            self.detector = build(model.detector)
        self.model = model
        self.degraded = False

    def _move_on(self, marker: Marker, models: Mapping[str, ModelInForce | None]) -> None:
        self.standing = self.standing.after(marker)
        wanted = self.standing.stand_in
        self.stand_in = None if wanted is None else models[wanted]

    def _set_breaker(
        self, marker: Marker, place: int, models: Mapping[str, ModelInForce | None], output: Output
    ) -> None:
        if marker.value not in IN_FORCE:
            expected = f"one of {', '.join(IN_FORCE)}"
            got = describe(marker.value, expected)
            output.set_aside.append(SetAside(place, InvalidRecord("marker", "$.value", expected, got)))
            return
        output.kinds["marker"] = output.kinds.get("marker", 0) + 1
        if self.heeds_breaker:
            self._move_on(marker, models)

    def _fold_segment(self, batch: Decoded, start: int, end: int, output: Output) -> Flushes | None:
        """Fold the rows from `start` until `end`, among which there is no marker; the flushes that they close."""
        rows = np.flatnonzero(batch.has_row[start:end]) + start
        unknown = rows[without_rate(batch.currency[rows], self.model.rates)]
        if len(unknown):
            output.set_aside += [SetAside(row, _rate_missing(batch, row)) for row in unknown.tolist()]
            rows = rows[~np.isin(rows, unknown)]
        if not len(rows):
            return None
        columns = batch.columns.take(rows)  # an index would copy records field by field
        columns["amount_minor"] = to_base_minor(columns["amount_minor"], batch.currency[rows], self.model.rates)
        keys, judged = batch.keys(rows), batch.judged[rows]
        applied = self.accounts.apply(keys, columns, judged)
        closed = self._hosted(self.links.add(keys.hash, columns, judged, applied))
        visible = self._visible.at(columns["offset"])
        versions = self.profiles.versions if self.host is None else self.host.table.versions
        fill_entities(self._entity_plan, versions, columns, visible, applied.features)
        segment = Segment(batch, rows, columns, applied, visible)
        scores = self._score(segment)
        self.accounts.record(
            applied.slots[scores.rows],
            columns["offset"][scores.rows],
            scores.outcome,
            scores.score_micro.astype(np.int32),
            scores.anomaly_micro.astype(np.int32),
        )
        if output.publishing:
            self._publish_verdicts(segment, scores, output)
            output.outcomes += outcomes_of(self.partition, self.model.feature_set, segment, scores)
        self._set_aside(segment, output)
        return closed

    def _score(self, segment: Segment) -> Scores:
        kinds, applied = segment.columns["kind"], segment.applied
        rows = np.flatnonzero((applied.status == APPLIED) & _IS_JUDGED[kinds])
        features = applied.features if len(rows) == len(kinds) else applied.features.take(rows, axis=0)
        anomalies = self.detector.anomalies(features, self.model.detector_columns, np.ones(len(rows), dtype=np.bool_))
        return judge(self.deciding, rows, features, anomalies, segment.columns["amount_minor"][rows], kinds[rows])

    def _publish_verdicts(self, segment: Segment, scores: Scores, output: Output) -> None:
        batch, columns = segment.batch, segment.columns
        rows = segment.rows[scores.rows]
        who = self.deciding
        reasons, codes = reasons_of(who.model, who.asked.detector_columns, scores)
        common = template(
            self.partition,
            who.model.id[:16],
            who.model.artefact.policy_id[:16],
            OUTCOMES,
            sets_of_flags(degraded=self._says_degraded, rules_only=who.by_rules),
        )
        values = verdict_bytes(
            common,
            len(OUTCOMES),
            stretches(batch.event_texts, rows),
            stretches(batch.account_texts, rows),
            reasons,
            Numbers(
                time_ms=columns["time_ms"][scores.rows],
                offset=columns["offset"][scores.rows],
                entities_offset=segment.visible[scores.rows],
                decision=scores.outcome,
                score_micro=scores.score_micro,
                anomaly_micro=scores.anomaly_micro,
                expected_loss_minor=scores.expected_loss_minor,
                flags=segment.applied.flags[scores.rows],
            ),
        )
        output.verdicts += rows_of(Outgoing, rows.tolist(), batch.account_keys(rows), values)
        for outcome, count in enumerate(np.bincount(scores.outcome, minlength=len(OUTCOMES)).tolist()):
            output.decisions[OUTCOMES[outcome]] = output.decisions.get(OUTCOMES[outcome], 0) + count
        if self.sample_one_in and len(rows):
            output.counted.append(self._counted(segment, scores, codes))
        if self.keep_features:
            places = rows.tolist()
            output.judged.append(
                JudgedFeatures(
                    [batch.event_id(row) for row in places],
                    [batch.account_id(row) for row in places],
                    columns["time_ms"][scores.rows],
                    columns["kind"][scores.rows],
                    columns["amount_minor"][scores.rows],
                    scores.features,
                )
            )

    def _counted(self, segment: Segment, scores: Scores, codes: Sequence[str]) -> Counted:
        offsets = segment.columns["offset"][scores.rows]
        flags = segment.applied.flags[scores.rows].astype(np.int64)
        flags |= engine_bits(degraded=self._says_degraded, rules_only=self.deciding.by_rules)
        counts = count_batch(
            scores.asked_score,
            scores.by_asked,
            scores.outcome,
            codes,
            flags,
            COUNTED_FLAGS,
            scores.features[is_sampled(offsets, self.sample_one_in)],
            self.model.edges,
            without_model=self.degraded,
        )
        return Counted(self.model.id[:16], int(offsets[-1]) + 1, counts)

    def _links(self, closed: Sequence[Flushes]) -> list[bytes]:
        return [flushes_json(self.partition, joined(closed))] if closed else []

    def _set_aside(self, segment: Segment, output: Output) -> None:
        applied = segment.applied
        output.duplicates += int(np.count_nonzero(applied.status == DUPLICATE))
        for row in np.flatnonzero(applied.status == CONFLICT).tolist():
            expected = "the content that this event_id had when it was first seen, or another event_id"
            error = InvalidRecord("conflict", "$.event_id", expected, "other content")
            output.set_aside.append(SetAside(int(segment.rows[row]), error))
        accepted = segment.columns["kind"][applied.status != CONFLICT]
        for kind, count in enumerate(np.bincount(accepted).tolist()):
            if count:
                output.kinds[KIND_NAMES[kind]] = output.kinds.get(KIND_NAMES[kind], 0) + count


def _rate_missing(batch: Decoded, row: int) -> InvalidRecord:
    currency = currency_name(int(batch.currency[row]))
    return InvalidRecord("rate_missing", "$.currency", "a currency in the model's rates", currency)
