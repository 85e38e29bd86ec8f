"""The file end of the engine: events in, verdicts out, no broker; the same fold as the Kafka end.

Order at a checkpoint: outputs reach the disk, then one write stores accounts, detector, offset and the lengths of the
outputs. After a crash the outputs are cut back to those lengths and the fold goes on from that offset, so every verdict
is in the file once.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from features.entity_fold import EntityFold
from features.errors import AssayError
from features.records import dead_letter_json
from features.rocks_store import RocksStore
from streams.bad_share import BadShare
from streams.careful import UnprocessableError
from streams.event_files import STANDARD
from streams.intake import Trust
from streams.log import LogRecord, Output
from streams.model_in_force import ModelInForce
from streams.partition import ALWAYS, OpenModel, Partition
from streams.profiles import Profiles
from streams.score_source import source_of
from streams.signature import everybody
from streams.sinks import UNFINISHED, FeatureSink, LineSink, ParquetSink, Sink
from streams.topic_identity import NOT_A_TOPIC, claim

TOPIC = "fraud.events"
"""Name under which a file's records appear in dead letters, and of its state directory."""
CHECKPOINT_RECORDS = 250_000
_OUTPUTS = "outputs"


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """What to score and where to write.

    Attributes:
        events: JSON lines or Parquet, ``-`` is standard input; or the directory of an archived topic.
        out: verdicts; ``-`` is standard output, ``.parquet`` is Parquet.
        labels: merged into the log at `known_at_ms`; None if there are none.
        outcomes: labels joined with what they judge; None to write none.
        dead_letters: refused records with reasons; the file appears with the first.
        features: one row per judged event; None to write none.
        state: directory of the state; None keeps it only for this run.
        partition: number that verdicts carry; of an archive, the one to score.
        trusted: who may write labels and markers; an archive has the headers to tell, a file has none.
        continues: the file goes on where the state ends, instead of starting at offset 0.
        stop_after: fold no more than so many records in this run.
        batch_events: most records in one batch.
        hot_bytes: memory for hot accounts.
        bad_share: share of refused records at which to stop.
        redaction_key: key of the hash that stands for a refused card number.
        profiles: of entities, for a log that says which are visible; None works them out from this log alone.
        careful: set a record that breaks the fold aside, instead of stopping; costs some speed.
    """

    events: Path
    out: Path
    labels: Path | None = None
    outcomes: Path | None = None
    dead_letters: Path = Path("dead-letters.jsonl")
    features: Path | None = None
    state: Path | None = None
    partition: int = 0
    trusted: Trust = everybody
    continues: bool = False
    stop_after: int | None = None
    batch_events: int = 2_000
    hot_bytes: int = 256 << 20
    bad_share: float = 0.5
    redaction_key: bytes = b""
    profiles: Profiles | None = None
    careful: bool = False


@dataclass(slots=True)
class Summary:
    """What a run did.

    Attributes:
        records: folded in this run.
        skipped: folded by earlier runs.
        verdicts: written in this run.
        outcomes: written in this run.
        dead_letters: refused in this run, by code.
        duplicates: repeated events, neither judged nor applied again.
        decisions: verdicts by decision.
        kinds: accepted records by kind.
        next_offset: where the log goes on.
    """

    records: int = 0
    skipped: int = 0
    verdicts: int = 0
    outcomes: int = 0
    dead_letters: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    decisions: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)
    next_offset: int = 0

    def add(self, output: Output) -> None:
        """Count what one batch gave."""
        self.verdicts += len(output.verdicts)
        self.outcomes += len(output.outcomes)
        self.duplicates += output.duplicates
        for mine, theirs in (
            (self.dead_letters, output.refusals()),
            (self.decisions, output.decisions),
            (self.kinds, output.kinds),
        ):
            for name, count in theirs.items():
                mine[name] = mine.get(name, 0) + count


Progress = Callable[[int, int, int | None], None]
"""Called per batch with records folded so far, how far reading has come, and of how much (None: not known)."""


def score(
    request: ScoreRequest, first_model: ModelInForce, open_model: OpenModel, progress: Progress = lambda *_: None
) -> Summary:
    """Score a file.

    Raises:
        AssayError: a file, the state or a setting is not as it must be; everything up to the last checkpoint stands.
    """
    try:
        if request.state is None:
            with TemporaryDirectory(prefix="assay-state-") as directory:
                return _score(request, Path(directory), first_model, open_model, progress)
        return _score(request, request.state, first_model, open_model, progress)
    except UnprocessableError as error:
        raise AssayError(
            f"{request.events}: {error} ({type(error.__cause__).__name__}); that is a fault of ours. Run it again with "
            "--careful: the record to blame goes to the dead letters and the rest is scored"
        ) from error


def _score(
    request: ScoreRequest, state: Path, first_model: ModelInForce, open_model: OpenModel, progress: Progress
) -> Summary:
    _check_paths(request)
    source = source_of(request.events, request.labels, request.partition, continues=request.continues)
    directory = state / f"{TOPIC}-{request.partition}"
    store = RocksStore(directory)
    sinks: _Sinks | None = None
    try:
        claim(store, request.partition, NOT_A_TOPIC, state=f"the state in {directory}", do="name another --state")
        partition = Partition(
            request.partition,
            store,
            first_model,
            open_model,
            hot_bytes=request.hot_bytes,
            keep_features=request.features is not None,
            careful_until=ALWAYS if request.careful else 0,
            profiles=request.profiles,
            host=EntityFold() if request.profiles is None else None,
        )
        sinks = _Sinks(request, partition)
        summary = Summary()
        records = source.records(partition.next_offset)
        summary.skipped = source.skipped
        if request.stop_after is not None:
            records = islice(records, request.stop_after)
        watch = BadShare(request.bad_share)
        unstored = 0
        while batch := tuple(islice(records, request.batch_events)):
            output = partition.fold(batch, request.trusted)
            sinks.set_aside(batch, output)  # first, so that whoever is told to look at them finds them
            bad = len(output.set_aside)
            watch.add(good=len(batch) - bad, bad=bad, codes=output.refusals_text())
            sinks.write(output)
            summary.add(output)
            summary.records += len(batch)
            unstored += len(batch)
            progress(summary.records, source.passed, source.total)
            if partition.is_full or unstored >= CHECKPOINT_RECORDS:
                partition.checkpoint(sinks.sync())
                unstored = 0
        sinks.finish()
        partition.checkpoint(sinks.sync())
        summary.next_offset = partition.next_offset
        return summary
    finally:
        store.close()
        if sinks is not None:
            sinks.close()


def _check_paths(request: ScoreRequest) -> None:
    """No file is read and written, read twice or written twice; a device such as /dev/null may be."""
    standard_input = [path for path in (request.events, request.labels) if path == STANDARD]
    outputs = (request.out, request.outcomes, request.dead_letters, request.features)
    standard_output = [path for path in outputs if path == STANDARD]
    if len(standard_input) > 1 or len(standard_output) > 1:
        raise AssayError("expected standard input and standard output to be named once each; name a file for the other")
    seen: set[Path] = set()
    for path in (request.events, request.labels, *outputs):
        if path is None or path == STANDARD or (path.exists() and not path.is_file()):
            continue
        if path.resolve() in seen:
            raise AssayError(f"{path} is named twice: every input and every output is a file of its own")
        seen.add(path.resolve())


class _Sinks:
    """All outputs of one run; continues those that an earlier run with the same state left."""

    def __init__(self, request: ScoreRequest, partition: Partition) -> None:
        self._request = request
        stored = partition.stored_value(_OUTPUTS)
        self._lengths: dict[str, int] = msgspec.json.decode(stored) if stored else {}
        unfinished = [path for path, length in self._lengths.items() if length == UNFINISHED]
        if unfinished:
            raise AssayError(
                f"{unfinished[0]}: the last run ended before this Parquet file was complete, and it cannot be "
                "continued; begin again with a fresh --state, or write JSON lines"
            )
        whole = [request.out] if _is_parquet(request.out) else []
        whole += [request.features] if request.features else []
        for path in whole:
            if partition.next_offset > 0 and str(path.resolve()) in self._lengths:
                raise AssayError(f"{path}: a Parquet file cannot be continued; name another file for this part")
        self._verdicts: Sink = ParquetSink(request.out) if _is_parquet(request.out) else self._lines(request.out)
        self._dead_letters = self._lines(request.dead_letters, eager=False)
        self._outcomes = self._lines(request.outcomes) if request.outcomes else None
        self._features = FeatureSink(request.features, partition.engine.model.feature_set) if request.features else None

    def set_aside(self, batch: tuple[LogRecord, ...], output: Output) -> None:
        """Write the records of `batch` that were refused."""
        request = self._request
        self._dead_letters.write(
            [
                dead_letter_json(
                    error,
                    topic=TOPIC,
                    partition=request.partition,
                    offset=batch[place].offset,
                    value=batch[place].value,
                    redaction_key=request.redaction_key or None,
                )
                for place, error in output.set_aside
            ]
        )

    def write(self, output: Output) -> None:
        """Write what folding a batch gave, beside what it refused."""
        self._verdicts.write([record.value for record in output.verdicts])
        if self._outcomes is not None:
            self._outcomes.write([record.value for record in output.outcomes])
        if self._features is not None:
            self._features.write(output.judged)

    def sync(self) -> dict[str, bytes]:
        """Make everything safe; the lengths that a checkpoint has to store."""
        sinks = (
            (self._request.out, self._verdicts),
            (self._request.dead_letters, self._dead_letters),
            (self._request.outcomes, self._outcomes),
            (self._request.features, self._features),
        )
        for path, sink in sinks:
            if path is not None and sink is not None and path != STANDARD:
                self._lengths[str(path.resolve())] = sink.sync()
        return {_OUTPUTS: msgspec.json.encode(self._lengths)}

    def finish(self) -> None:
        """Complete the Parquet files: before the last checkpoint, because nothing could be added to them after it."""
        for sink in (self._verdicts, self._features):
            if isinstance(sink, ParquetSink | FeatureSink):
                sink.close()

    def close(self) -> None:
        """Close the files of lines; everything written so far is in them, also after a failure."""
        for sink in (self._verdicts, self._dead_letters, self._outcomes):
            if isinstance(sink, LineSink):
                sink.close()

    def _lines(self, path: Path, *, eager: bool = True) -> LineSink:
        return LineSink(path, self._lengths.get(str(path.resolve()), 0), eager=eager)


def _is_parquet(path: Path) -> bool:
    return path.suffix == ".parquet"
