"""One partition with its state on disk: brings in what a batch needs, folds it, and checkpoints.

Used alike by the file end and by the Kafka end. The order that makes a crash harmless is theirs: what `fold` returns is
published and committed first, `checkpoint` comes after, so that the stored offset never runs ahead.
"""

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial

import msgspec
import numpy as np

from features.entity_fold import EntityFold
from features.entity_table import NOTHING
from features.errors import AssayError
from features.keys import key_at
from features.store import StateStore
from streams.beside import AtOnce, Helper
from streams.careful import TROUBLE_OUTSIDE, UnprocessableError, fold_carefully
from streams.engine import Engine
from streams.fold_state import FOLD, SCHEMA, FoldState, stored_state
from streams.intake import Decoded, Trust, decode_batch
from streams.log import LogRecord, Output
from streams.model_in_force import ModelInForce
from streams.profiles import Profiles
from streams.standing import stand_ins

OpenModel = Callable[[str], ModelInForce]
"""Opens a model by its id; raises AssayError."""

DEFAULT_HOT_BYTES = 256 << 20
_DETECTOR = "detector"
_LINKS = "links"
_HOST = "entities"
ALWAYS = sys.maxsize
"""As `careful_until`: whoever looks back is never in a hurry."""
_log = logging.getLogger("assay.partition")


class Partition:
    """An engine, its store, and the way to models named by markers.

    Args:
        number: of the partition.
        store: its state; kept open until `close`.
        first_model: model in force at the beginning of the log.
        open_model: opens the models that markers name.
        hot_bytes: memory for accounts; more are stored and dropped at checkpoints.
        keep_features: keep the features of judged events in the output.
        sample_one_in: see `Engine`.
        careful_until: offset up to which a record that cannot be folded is set aside, at some cost; beyond it raises.
        writer: carries out what `begin_checkpoint` begins.
        profiles: where profiles of entities are read that the log asks for.
        host: see `Engine.host`; new.

    Raises:
        AssayError: the stored state is of another version, feature set or first model.
    """

    def __init__(
        self,
        number: int,
        store: StateStore,
        first_model: ModelInForce,
        open_model: OpenModel,
        *,
        hot_bytes: int = DEFAULT_HOT_BYTES,
        keep_features: bool = False,
        sample_one_in: int = 0,
        careful_until: int = 0,
        writer: Helper | None = None,
        profiles: Profiles | None = None,
        host: EntityFold | None = None,
    ) -> None:
        self._store = store
        self._writer = writer or AtOnce()
        self._writing: Future[None] | None = None
        self.careful_until = careful_until
        self._open_model = open_model
        self._first_model = first_model
        self.hot_bytes = hot_bytes
        self.engine = Engine(
            number,
            first_model,
            keep_features=keep_features,
            sample_one_in=sample_one_in,
            profiles=profiles,
            host=host,
        )
        self.restored = False
        stored = stored_state(store, number)
        if stored is not None:
            self._restore(stored)

    @property
    def next_offset(self) -> int:
        """Offset from which the log goes on."""
        return self.engine.next_offset

    @property
    def is_full(self) -> bool:
        """Whether hot accounts take more memory than allowed: time for a checkpoint."""
        return self.engine.accounts.used_bytes > self.hot_bytes

    @property
    def has_to_wait(self) -> bool:
        """Whether they take so much more that a checkpoint under way has to end before anything else comes in."""
        return self._writing is not None and self.engine.accounts.used_bytes > self.hot_bytes * 5 // 4

    def fold(self, records: Sequence[LogRecord], trusted: Trust, *, publishing: bool = True) -> Output:
        """Decode and fold records; those below `next_offset` were folded before and are passed over.

        Without `publishing` no verdicts and outcomes are made; the state goes the same way. Up to `careful_until` a
        record that cannot be folded is set aside (`streams/careful.py`).

        Raises:
            AssayError: the store or a model cannot be read.
            UnprocessableError: a record cannot be folded: open the partition anew and be careful.
        """
        if records and records[0].offset < self.next_offset:
            records = [record for record in records if record.offset >= self.next_offset]
        if not records:
            return Output(publishing=publishing)
        careful = records[0].offset < self.careful_until
        decode = partial(self._decode, trusted=trusted)
        try:
            if careful:
                output = fold_carefully(self.engine, records, decode, self._fold, publishing)
            else:
                output = self._fold(decode(records), publishing)
        except TROUBLE_OUTSIDE:
            raise
        except Exception as error:
            raise UnprocessableError(self.engine.partition, records[-1].offset + 1) from error
        if self._writing is None:
            self.engine.accounts.evict(self.hot_bytes)  # what is stored already makes room without a checkpoint
        return output

    def checkpoint(self, values: Mapping[str, bytes] | None = None) -> None:
        """Store everything that changed, with the offset, in one write; then let go of cold accounts.

        A checkpoint that was begun is ended first; this one has ended when the call returns.

        Args:
            values: further values of the caller that must become true together with the offset.

        Raises:
            AssayError: it cannot be written.
        """
        self.end_checkpoint(wait=True)
        self.begin_checkpoint(values)
        self.end_checkpoint(wait=True)

    @property
    def is_writing(self) -> bool:
        """Whether a checkpoint was begun and has not been ended."""
        return self._writing is not None

    def begin_checkpoint(self, values: Mapping[str, bytes] | None = None) -> None:
        """Begin to store what changed up to now; the fold may go on while the writer is at it.

        What is stored is the state at this moment, whatever is folded before the write ends. `values` as for
        `checkpoint`.
        """
        assert self._writing is None, "one checkpoint at a time"
        engine = self.engine
        state = FoldState(
            schema=SCHEMA,
            next_offset=engine.next_offset,
            model=engine.model.id,
            first_model=self._first_model.id,
            feature_set=engine.model.feature_set.hash,
            degraded=engine.degraded,
            standing=engine.standing,
            stand_in=None if engine.stand_in is None else engine.stand_in.id,
            entities_offset=engine.entities_offset,
        )
        own = {FOLD: msgspec.json.encode(state), _DETECTOR: engine.detector.state(), _LINKS: engine.links.state()}
        if engine.host is not None:
            own[_HOST] = engine.host.state()
        packed = engine.accounts.cut()
        self._writing = self._writer.begin(partial(self._store.write, packed, {**own, **(values or {})}))

    def end_checkpoint(self, *, wait: bool) -> bool:
        """If a checkpoint was begun and has been written, let go of cold accounts.

        Args:
            wait: until it has been written.

        Returns:
            Whether one has ended.

        Raises:
            AssayError: it could not be written; what it held is still to be stored.
        """
        writing, accounts = self._writing, self.engine.accounts
        if writing is None or not (wait or writing.done()):
            return False
        self._writing = None
        try:
            writing.result()
        except Exception:
            accounts.mark_not_stored()
            raise
        accounts.mark_stored()
        accounts.evict(self.hot_bytes)
        return True

    def account(self, account_id: str) -> bytes | None:
        """An account as it stands now, packed (`features/packing.py`); None if it has no past."""
        remembered = self.engine.accounts.remember([account_id])
        return remembered[account_id][0] if remembered else self._store.get_accounts([account_id])[0]

    def switch(self, model: ModelInForce, open_model: OpenModel) -> bool:
        """Put `model` in force here, though no marker of the log does: for replays that ask what would have been.

        Accounts keep histories and not counters, so they go on under any feature set.

        Args:
            model: in force from the next record on.
            open_model: opens what markers name from here on.

        Returns:
            Whether the detector goes on; it begins anew where the model asks for another one.

        Raises:
            AssayError: the model's amounts are in another currency than those of the accounts.
        """
        self._check_currency(model)
        self.checkpoint()  # so that the accounts are read back under the new feature set
        before, self.engine = self.engine, self._engine_with(model)
        self.engine.next_offset = before.next_offset
        self.engine.standing, self.engine.heeds_breaker = before.standing, before.heeds_breaker
        self.engine.stand_in = None if before.stand_in is None else open_model(before.stand_in.id)
        self.engine.entities_offset = before.entities_offset
        self.engine.links.restore(before.links.state())
        self._open_model = open_model
        goes_on = model.detector == before.model.detector
        if goes_on:
            self.engine.detector = before.detector
        return goes_on

    def stored_value(self, name: str) -> bytes | None:
        """A value that a checkpoint stored for the caller."""
        return self._store.get_value(name)

    def close(self) -> None:
        """Close the store; what was not checkpointed is folded again from the log.

        A write under way goes on to its end first: it holds what was committed, so it is never wrong.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            error = writing.exception()
            if error is not None:
                _log.warning("partition %d: the last checkpoint was not stored: %s", self.engine.partition, error)
        self._store.close()

    def _fold(self, batch: Decoded, publishing: bool) -> Output:
        models = {name: self._opened(name) for name in batch.model_references()}
        if self.engine.heeds_breaker:
            wanted = stand_ins(self.engine.standing, (marker for _, marker in batch.markers()))
            models |= {name: self._stand_in(name) for name in wanted - models.keys()}
        if self.engine.host is None:
            visible = max((*batch.entities_offsets(), self.engine.entities_offset))
            if visible > NOTHING:
                self.engine.profiles.read_until(visible, self.engine.entities_offset)
        before = self.engine.standing
        output = self.engine.fold(batch, models, publishing=publishing)
        if self.engine.standing is not before and self.engine.standing.wants_in_vain:
            _log.warning(
                "partition %d: the breaker asks for the last good model and the log knows of none, so a step-up takes "
                "the place of reviews and declines",
                self.engine.partition,
            )
        return output

    def _decode(self, records: Sequence[LogRecord], trusted: Trust) -> Decoded:
        """Decode, and bring in the accounts."""
        batch = decode_batch(records, trusted)
        accounts = self.engine.accounts
        keys = batch.keys(np.flatnonzero(batch.has_row))
        missing = accounts.missing(keys)
        if len(missing):
            cold = [key_at(keys, row).decode() for row in missing.tolist()]
            accounts.load(keys, missing, self._store.get_accounts(cold))
        return batch

    def _opened(self, model_id: str) -> ModelInForce | None:
        in_force = self.engine.model
        if model_id == in_force.id:
            return in_force
        try:
            model = self._open_model(model_id)
            self._check_currency(model)
            return model
        except AssayError as error:
            _log.error(
                "partition %d: the log puts model %s in force, which cannot be opened, so model %s goes on judging and "
                "every verdict is flagged degraded: %s",
                self.engine.partition,
                model_id[:16],
                in_force.id[:16],
                error,
            )
            return None

    def _stand_in(self, model_id: str) -> ModelInForce | None:
        """The last good model; None, and said so, if it cannot be opened."""
        here = self.engine.stand_in
        if here is not None and here.id == model_id:
            return here
        try:
            model = self.engine.model if model_id == self.engine.model.id else self._open_model(model_id)
            self._check_currency(model)
            return model
        except AssayError as error:
            _log.error(
                "partition %d: the breaker asks for the last good model %s, which cannot be opened, so a step-up takes "
                "the place of reviews and declines: %s",
                self.engine.partition,
                model_id[:16],
                error,
            )
            return None

    def _check_currency(self, model: ModelInForce) -> None:
        base = self.engine.model.rates.base
        if model.rates.base != base:
            raise AssayError(
                f"model {model.id[:16]}: its amounts are in {model.rates.base}, those of the accounts in {base}: "
                f"train it with rates to {base}"
            )

    def _restore(self, state: FoldState) -> None:
        feature_set = self._first_model.feature_set
        if state.first_model != self._first_model.id:
            raise AssayError(
                f"state of partition {self.engine.partition} was started with model {state.first_model[:16]}, "
                f"you ask for {self._first_model.id[:16]}: name the first one, put the other in force with a model "
                "marker in the log, or start with a fresh state directory"
            )
        if state.feature_set != feature_set.hash:
            raise AssayError(
                f"state of partition {self.engine.partition} was kept for feature set {state.feature_set[:16]}, this "
                f"version has {feature_set.hash[:16]}: rebuild the state from the log in a fresh directory"
            )
        if state.model != self._first_model.id:
            self.engine = self._engine_with(self._open_model(state.model))
        self.engine.next_offset = state.next_offset
        self.engine.degraded, self.engine.standing = state.degraded, state.standing
        if state.stand_in is not None:
            self.engine.stand_in = self._stand_in(state.stand_in)
        self.engine.entities_offset = state.entities_offset
        if self.engine.host is not None:
            self._restore_host(self.engine.host)
        self.engine.detector.restore(self._store.get_value(_DETECTOR) or b"")
        self.engine.links.restore(self._store.get_value(_LINKS) or b"")
        self.restored = True

    def _restore_host(self, host: EntityFold) -> None:
        stored = self._store.get_value(_HOST)
        if stored is None:
            raise AssayError(
                f"state of partition {self.engine.partition} was kept without profiles of entities of its own: go on "
                "as before, or start with a fresh state directory"
            )
        host.restore(stored)

    def _engine_with(self, model: ModelInForce) -> Engine:
        engine = self.engine
        return Engine(
            engine.partition,
            model,
            keep_features=engine.keep_features,
            sample_one_in=engine.sample_one_in,
            profiles=engine.profiles,
            host=engine.host,
        )
