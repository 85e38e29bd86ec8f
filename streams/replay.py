"""Replay: a range of the log folded again, with what was in force then or with something else.

A partition is brought to the start of the range, what is to be in force is put in force, and the range is folded with
publishing on. Nothing here writes to a live topic, joins a group or touches a worker's state.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Protocol

from streams.diff_baselines import Baseline, judgements
from streams.diff_causes import Causes
from streams.diff_labels import Attacks, AttacksOf
from streams.log import LogRecord, Output
from streams.log_range import PartitionRange
from streams.replay_changes import Override
from streams.time_machine import TimeMachine, batches
from streams.verdict_diff import ChangedVerdict, Diff, Judgement, pairs

Progress = Callable[[int, int, int | None], None]
"""Called per batch with records folded so far (also on the way to the start), and how much of the range is done."""


class Out(Protocol):
    """Where the verdicts of a replay go, or whatever else a batch gives."""

    def write(self, partition: int, records: Sequence[LogRecord], output: Output) -> None:
        """Take what one batch gave."""
        ...


@dataclass(frozen=True, slots=True)
class Comparison:
    """What to compare a replay with.

    Attributes:
        baseline: the earlier side.
        attacks_of: what the events turned out to be.
        causes: explains changes.
        on_change: called with every changed verdict, in the order of the log.
    """

    baseline: Baseline
    attacks_of: AttacksOf
    causes: Causes
    on_change: Callable[[ChangedVerdict], None]


@dataclass(slots=True)
class ReplaySummary:
    """What a replay did.

    Attributes:
        ranges: offsets of each partition.
        records: of these ranges.
        verdicts: given.
        decisions: verdicts by decision.
        dead_letters: records that the fold refuses, by code.
        duplicates: repeated events, not judged again.
        markers_passed_over: markers of the log that had no effect, because a model was given.
        fresh_detectors: partitions whose online detector began anew, because the model given asks for another one.
        diff: the comparison, if one was asked for.
    """

    ranges: list[PartitionRange]
    records: int = 0
    verdicts: int = 0
    decisions: dict[str, int] = field(default_factory=dict)
    dead_letters: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    markers_passed_over: int = 0
    fresh_detectors: list[int] = field(default_factory=list)
    diff: Diff | None = None

    def add(self, output: Output, records: int) -> None:
        """Count what folding some records gave."""
        self.records += records
        self.verdicts += len(output.verdicts)
        self.duplicates += output.duplicates
        for mine, theirs in ((self.decisions, output.decisions), (self.dead_letters, output.refusals())):
            for name, count in theirs.items():
                mine[name] = mine.get(name, 0) + count


def replay(
    machine: TimeMachine,
    ranges: Sequence[PartitionRange],
    override: Override,
    outs: Sequence[Out] = (),
    comparison: Comparison | None = None,
    progress: Progress = lambda *_: None,
    *,
    keep_features: bool = False,
) -> ReplaySummary:
    """Fold ranges of the log again, one partition after the other.

    Args:
        machine: brings partitions to the start of their ranges.
        ranges: one per partition.
        override: what is in force instead of what the log says.
        outs: take the verdicts, in the order of the log.
        comparison: with what to compare them.
        progress: see `Progress`.
        keep_features: `outs` see the features of judged events too; a comparison always does.

    Raises:
        AssayError: the log or a snapshot does not reach back far enough, or something outside fails.
    """
    summary = ReplaySummary(list(ranges), diff=None if comparison is None else Diff())
    walked = _Walked(sum(part.end - part.start for part in ranges), progress)
    for part in ranges:
        if part.start < part.end:
            _replay(machine, part, override, outs, comparison, summary, walked, keep_features or comparison is not None)
    return summary


class _Walked:
    """How far the replay has come."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._progress = progress
        self._total = total
        self._records = 0
        self._done = 0

    def to_the_start(self, records: int) -> None:
        """Records were folded before the range: how many are to come nobody knows."""
        self._records += records
        self._progress(self._records, self._done, None)

    def in_range(self, records: int, offsets: int) -> None:
        """Records of the range were folded, offsets of it are done."""
        self._records += records
        self._done += offsets
        self._progress(self._records, self._done, self._total)


def _replay(
    machine: TimeMachine,
    part: PartitionRange,
    override: Override,
    outs: Sequence[Out],
    comparison: Comparison | None,
    summary: ReplaySummary,
    walked: _Walked,
    keep_features: bool,
) -> None:
    with ExitStack() as stack:
        attacks = comparison.attacks_of(part) if comparison else {}
        beside = stack.enter_context(comparison.baseline.over(part, walked.to_the_start)) if comparison else None
        partition = stack.enter_context(
            machine.at(part.partition, part.start, walked.to_the_start, keep_features=keep_features)
        )
        if not override.apply(partition, machine.open_model):
            summary.fresh_detectors.append(part.partition)
        done = part.start
        for records in machine.history.read(part.partition, part.start, part.end):
            for batch in batches(records):
                output = partition.fold(batch, machine.trusted)
                if partition.is_full:
                    partition.checkpoint()
                for out in outs:
                    out.write(part.partition, batch, output)
                summary.add(output, len(batch))
                if override.model is not None:
                    summary.markers_passed_over += output.kinds.get("marker", 0)
                if comparison is not None and beside is not None and summary.diff is not None:
                    after = judgements(batch, output, partition.engine.model.feature_set.hash)
                    _compare(part.partition, batch, beside(batch), after, attacks, comparison, summary.diff)
                walked.in_range(len(batch), partition.next_offset - done)
                done = partition.next_offset


def _compare(
    partition: int,
    records: Sequence[LogRecord],
    before: Sequence[Judgement],
    after: Sequence[Judgement],
    attacks: Attacks,
    comparison: Comparison,
    diff: Diff,
) -> None:
    """Both sides of one batch."""
    events = {record.offset: record for record in records}
    for pair in pairs(before, after):
        diff.see(pair)
        if not pair.is_equal:
            offset = next(side.offset for side in pair if side is not None)
            changed = comparison.causes.changed(pair, events.get(offset), partition, attacks)
            diff.count(changed)
            comparison.on_change(changed)
