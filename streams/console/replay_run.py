"""A replay that the console starts: a bounded range, compared with what was published."""

from pathlib import Path
from typing import NamedTuple

import msgspec

from features.errors import AssayError
from models.model_store import ModelStore
from models.wording import Money
from streams.commands.looking_back import LookingBack
from streams.console.desk import Desk
from streams.console.jobs import Report
from streams.diff_baselines import Published
from streams.diff_causes import Causes, KnownModels
from streams.diff_labels import attacks_in_log
from streams.log_range import PartitionRange, parse_place, resolve
from streams.model_in_force import ModelInForce, open_model
from streams.replay import Comparison, ReplaySummary, replay
from streams.replay_changes import Override
from streams.replay_report import FirstChanges
from streams.verdict_diff import ChangedVerdict


class ReplayOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants to be replayed.

    Attributes:
        partition: one partition; None: all.
        start: first record, as `streams.log_range.parse_place` takes it; empty: the beginning of the log.
        end: first record that is left out; empty: the last published verdict.
        model: first digits of an id, in force for the whole range; empty: what the log says.
    """

    partition: int | None
    start: str
    end: str
    model: str


class Replayed(NamedTuple):
    """What came of it.

    Attributes:
        summary: counts, and the difference.
        changes: verdicts with another decision, the first of them.
        money: the base currency.
        model: id of the model that held for the range; empty: what the log says.
    """

    summary: ReplaySummary
    changes: list[ChangedVerdict]
    money: Money
    model: str


def run_replay(desk: Desk, asked: ReplayOrder, most_records: int, now_ms: int, report: Report) -> Replayed:
    """Fold the range again and compare it with the published verdicts.

    Raises:
        AssayError: no such range or model, the range is larger than `most_records`, or the log cannot be read.
        CancelledError: nobody wants it any more.
    """
    tools = desk.tools
    model = _model(tools, asked.model)
    with desk.own_reader() as reader:
        published = Published(reader, desk.topic("verdicts"))
        ranges = _ranges(tools, asked, published, now_ms)
        size = sum(part.end - part.start for part in ranges)
        if size > most_records:
            raise AssayError(
                f"the range holds {size:,} offsets, the console replays {most_records:,} at most "
                "(console.replay_records): choose a shorter one, or run `assay replay`"
            )
        known = KnownModels(
            tools.machine.open_model, [each for each in (model, tools.machine.first_model) if each is not None]
        )
        changes = FirstChanges(everything=False)
        comparison = Comparison(
            published, attacks_in_log(tools.history, tools.machine.trusted), Causes(known), changes.take
        )
        summary = replay(tools.machine, ranges, Override(model), (), comparison, report)
    first = model or tools.machine.first_model
    return Replayed(summary, changes.kept, first.money, "" if model is None else model.id)


def _model(tools: LookingBack, reference: str) -> ModelInForce | None:
    """A model of the store by the first digits of its id: a page names no directory of this machine."""
    if not reference:
        return None
    first = tools.machine.first_model
    if first.id.startswith(reference):
        return first
    store = ModelStore(Path(tools.config.text("models.directory")))
    matching = [each for each in store.ids() if each.startswith(reference)]
    if len(matching) != 1:
        raise AssayError(f"expected the first digits of one model's id, {len(matching)} begin like that")
    return open_model(store.root / matching[0])


def _ranges(tools: LookingBack, asked: ReplayOrder, published: Published, now_ms: int) -> list[PartitionRange]:
    start = parse_place(asked.start, now_ms) if asked.start else None
    end = parse_place(asked.end, now_ms) if asked.end else None
    ranges = resolve(tools.history, [] if asked.partition is None else [asked.partition], start, end)
    ranges = [part._replace(end=max(part.start, min(part.end, published.end(part.partition)))) for part in ranges]
    if all(part.start == part.end for part in ranges):
        raise AssayError("no verdict of this range is published: choose another range")
    return ranges
