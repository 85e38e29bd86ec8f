"""`assay replay`: any range of the log again, with the same or another model, and what would have been different."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.commands.config import ConfigOption
from streams.commands.looking_back import (
    ArchiveOption,
    BootstrapOption,
    LookingBack,
    SnapshotsOption,
    looking_back,
    place_option,
)

if TYPE_CHECKING:
    from streams.diff_baselines import Published
    from streams.log_range import PartitionRange, Place
    from streams.replay import Comparison, Out, ReplaySummary
    from streams.replay_changes import Override
    from streams.replay_report import FirstChanges

_STANDARD = Path("-")


def replay(
    partition: Annotated[
        list[int] | None, typer.Option("--partition", min=0, help="A partition; may be repeated.  [default: all]")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="First record: an offset (of one --partition), ISO 8601 with zone, epoch milliseconds, now, or so "
            "long ago (-90s, -30m, -1h, -2d). Times are those of the records in Kafka.  [default: the beginning]",
        ),
    ] = None,
    end: Annotated[
        str | None,
        typer.Option(
            "--to",
            help="First record that is left out, as for --from.  [default: the end of the log as it is; with --diff "
            "the last published verdict]",
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Model id or directory for the whole range, whatever markers say.")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option("--policy", help="A policy.json in place of that of whatever model is in force.")
    ] = None,
    feature_set: Annotated[
        str | None,
        typer.Option("--feature-set", help="MODULE:NAME of another feature set, for a --model trained on it."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Verdicts as JSON lines; - writes standard output.")] = None,
    topic: Annotated[
        bool, typer.Option("--topic", help="Verdicts into a topic of their own, <prefix>verdicts.replay.<run>.")
    ] = False,
    run: Annotated[
        str | None, typer.Option("--run", help="Name of the run in that topic.  [default: from range and model]")
    ] = None,
    diff: Annotated[bool, typer.Option("--diff", help="Compare with the published verdicts.")] = False,
    diff_model: Annotated[
        str | None, typer.Option("--diff-model", help="Compare with the same range as this model judges it.")
    ] = None,
    diff_out: Annotated[
        Path | None, typer.Option("--diff-out", help="Changed verdicts as JSON lines, instead of a table.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Show every changed verdict, also those with the same decision.")
    ] = False,
    labels: Annotated[
        Path | None, typer.Option("--labels", help="Labels from this file.  [default: those in the log]")
    ] = None,
    config_path: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    snapshots: SnapshotsOption = None,
    archive: ArchiveOption = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print the summary as JSON, on standard error if lines go to standard output."),
    ] = False,
) -> None:
    """Fold a range of the log again, with what was in force then or with something else.

    Live topics, consumer groups and the state of workers are neither used nor changed. With --diff or --diff-model the
    exit code is 0 if every verdict has the same bytes and 1 if one changed.
    """
    from streams.commands.progress import records_progress
    from streams.replay import replay as fold_again
    from streams.replay_report import FirstChanges

    first, last = place_option(start, "--from"), place_option(end, "--to")
    compares = diff or diff_model is not None
    streams = [path for path in (out, diff_out) if path == _STANDARD]
    _check(
        (not (out or topic or compares), "say what it is for: --out, --topic, --diff or --diff-model"),
        (diff and diff_model is not None, "--diff and --diff-model: choose one to compare with"),
        (not compares and bool(diff_out or everything or labels), "--diff-out, --all, --labels need a --diff"),
        (run is not None and not topic, "--run names the run of a --topic"),
        (feature_set is not None and model is None, "--feature-set needs a --model that was trained on it"),
        (len(streams) > 1, "standard output can take one kind of lines: name a file for the other"),
    )
    with ExitStack() as stack:
        back = stack.enter_context(looking_back(config_path, bootstrap, snapshots, archive))
        override = _override(back, model, policy, feature_set)
        published = stack.enter_context(_published(back)) if diff else None
        ranges = _ranges(back, partition or [], first, last, published)
        changes = FirstChanges(everything)
        comparison = None
        if compares:
            comparison = stack.enter_context(
                _comparison(back, override, published, diff_model, labels, diff_out, changes)
            )
        with _outs(back, ranges, override, out, topic, run) as outs, records_progress("replaying") as progress:
            summary = fold_again(back.machine, ranges, override, outs, comparison, progress)
    _tell(summary, back, changes if diff_out is None else None, as_json=as_json, stdout_is_taken=bool(streams))
    if summary.diff is not None and summary.diff.changed:
        raise typer.Exit(1)


def _check(*faults: tuple[bool, str]) -> None:
    for is_wrong, advice in faults:
        if is_wrong:
            raise typer.BadParameter(advice)


def _override(back: LookingBack, model: str | None, policy: Path | None, feature_set: str | None) -> "Override":
    from features.catalogue import FEATURES
    from models.model_store import ModelStore
    from streams.model_in_force import open_model
    from streams.replay_changes import Override, import_feature_set, read_policy

    opened = None
    if model is not None:
        features = FEATURES if feature_set is None else import_feature_set(feature_set)
        opened = open_model(ModelStore(Path(back.config.text("models.directory"))).find(model), features)
    return Override(opened, None if policy is None else read_policy(policy))


@contextmanager
def _published(back: LookingBack) -> Iterator["Published"]:
    from streams.diff_baselines import Published
    from streams.kafka_clients import connection
    from streams.topic_reader import TopicReader

    with TopicReader(connection(back.config)) as reader:
        yield Published(reader, f"{back.config.text('topics.prefix')}verdicts")


def _ranges(
    back: LookingBack,
    partitions: list[int],
    first: "Place | None",
    last: "Place | None",
    published: "Published | None",
) -> "list[PartitionRange]":
    """Without an end, a comparison with published verdicts ends with them: a worker may be some records behind."""
    from features.errors import AssayError
    from streams.log_range import resolve

    ranges = resolve(back.history, partitions, first, last)
    if published is None or last is not None:
        return ranges
    ranges = [part._replace(end=max(part.start, min(part.end, published.end(part.partition)))) for part in ranges]
    if all(part.start == part.end for part in ranges):
        raise AssayError("no verdict of this range is published: check --from, or compare with --diff-model")
    return ranges


@contextmanager
def _comparison(
    back: LookingBack,
    override: "Override",
    published: "Published | None",
    diff_model: str | None,
    labels: Path | None,
    diff_out: Path | None,
    changes: "FirstChanges",
) -> Iterator["Comparison"]:
    from streams.diff_baselines import Refolded
    from streams.diff_causes import Causes, KnownModels
    from streams.diff_labels import attacks_in_file, attacks_in_log
    from streams.replay import Comparison
    from streams.replay_file import ChangesFile

    machine = back.machine
    other = _override(back, diff_model, None, None)
    known = KnownModels(
        machine.open_model,
        [model for model in (override.model, other.model, machine.first_model) if model is not None],
        [policy for policy in (override.policy,) if policy is not None],
    )
    attacks_of = attacks_in_log(machine.history, machine.trusted) if labels is None else attacks_in_file(labels)
    baseline = Refolded(machine, other) if published is None else published
    if diff_out is None:
        yield Comparison(baseline, attacks_of, Causes(known), changes.take)
        return
    with ChangesFile(diff_out) as file:
        yield Comparison(baseline, attacks_of, Causes(known), file.take)


@contextmanager
def _outs(
    back: LookingBack,
    ranges: "list[PartitionRange]",
    override: "Override",
    out: Path | None,
    topic: bool,
    run: str | None,
) -> Iterator["list[Out]"]:
    from streams.replay_file import VerdictFile
    from streams.replay_topic import ReplayTopic, replay_topic, run_identity

    with ExitStack() as stack:
        outs: list[Out] = []
        if out is not None:
            outs.append(stack.enter_context(VerdictFile(out)))
        if topic:
            prefix = back.config.text("topics.prefix")
            identity = run_identity(f"{prefix}events", ranges, back.machine.first_model.id, override)
            name = replay_topic(prefix, run or identity)
            partitions = len(back.history.partitions())
            outs.append(stack.enter_context(ReplayTopic(back.config, back.reader, name, identity, partitions)))
            typer.echo(f"verdicts go to {name}", err=True)
        yield outs


def _tell(
    summary: "ReplaySummary",
    back: LookingBack,
    changes: "FirstChanges | None",
    *,
    as_json: bool,
    stdout_is_taken: bool,
) -> None:
    import msgspec
    from rich.console import Console

    from streams import replay_report as report

    if as_json:
        typer.echo(msgspec.json.encode(report.as_json(summary)).decode(), err=stdout_is_taken)
        return
    typer.echo(report.counts_line(summary), err=True)
    if summary.diff is not None:
        money = back.machine.first_model.money
        console = Console(stderr=stdout_is_taken)
        if changes is not None:
            report.show_changes(console, changes, money)
        report.show_groups(console, summary.diff, money)
        typer.echo(report.diff_line(summary.diff, money), err=True)
