"""A batch that cannot be folded is halved until the record that is to blame is alone; that one is set aside.

A record can be well formed and still break the fold: our own mistake, but one record must not stop a partition for
ever. It goes to the dead letters with the code ``poison``. What it leaves in the state never depends on whether records
were to be published: nothing if the state could not take it, else the same as ever, only without a verdict. So recovery
and replay by the same version come to the same bytes. Folding this way costs a copy of every account that the batch
touches; a worker does it only where the quick way failed.
"""

import logging
import traceback
from collections.abc import Callable, Sequence

from features.errors import AssayError, InvalidRecord
from streams.engine import Engine, Memory
from streams.intake import Decoded
from streams.log import LogRecord, Output, SetAside

_log = logging.getLogger("assay.careful")

TROUBLE_OUTSIDE = (AssayError, MemoryError, OSError)
"""No record is to blame for these."""


class UnprocessableError(Exception):
    """Folding a batch raised what it must not: what is in memory may be half done and has to be dropped.

    Attributes:
        partition: number of the partition.
        end: offset after the last record of the batch; up to there the fold has to be careful.
    """

    def __init__(self, partition: int, end: int) -> None:
        super().__init__(f"partition {partition}: a batch that ends before offset {end} cannot be folded")
        self.partition = partition
        self.end = end


def fold_carefully(
    engine: Engine,
    records: Sequence[LogRecord],
    decode: Callable[[Sequence[LogRecord]], Decoded],
    fold: Callable[[Decoded, bool], Output],
    publishing: bool,
) -> Output:
    """Fold all records but those that cannot be folded, which are set aside.

    Args:
        engine: as it was before the first of them.
        records: one or more.
        decode: decodes records and brings in their accounts.
        fold: folds what was decoded with `engine`; the flag says whether records to publish are made.
        publishing: whether they are wanted.
    """
    memory: Memory | None = None
    keys: list[str] = []
    try:
        batch = decode(records)
        keys = batch.account_ids()
        memory = engine.remember(keys)
        return fold(batch, publishing)
    except TROUBLE_OUTSIDE:
        raise
    except Exception as error:
        if memory is not None:
            engine.bring_back(memory, keys)
        if len(records) == 1:
            output = _set_aside(engine.partition, records[0], error)
            if publishing:  # the state may well take it, and what that closes is published
                output.links = fold_carefully(engine, records, decode, fold, publishing=False).links
            engine.next_offset = records[0].offset + 1
            return output
    half = len(records) // 2
    output = fold_carefully(engine, records[:half], decode, fold, publishing)
    output.extend(fold_carefully(engine, records[half:], decode, fold, publishing), half)
    return output


def _set_aside(partition: int, record: LogRecord, error: Exception) -> Output:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}"
    _log.error(  # not the message: it may quote the record
        "partition %d, offset %d: this record breaks the fold and is set aside: %s in %s; that is a fault of ours, "
        "report it with the record (`assay dlq show`)",
        partition,
        record.offset,
        type(error).__name__,
        where,
    )
    got = f"{type(error).__name__} in {where}"
    refusal = InvalidRecord("poison", "$", "a record that this version can fold", got)
    return Output(set_aside=[SetAside(0, refusal)])
