"""A file to train on against the log: what the engine wrote of it is equal, and no altered bit goes unseen."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from features.catalogue import FEATURES
from features.errors import AssayError
from streams import skew_training_set
from streams.log import LogRecord
from streams.log_range import PartitionRange
from streams.profiles import NoProfiles
from streams.skew import SkewFound, compare
from streams.skew_training_set import TrainingSet
from tests.streams.histories import machine_over
from tests.streams.logs import START_MS, mixed_log, payment, records
from tests.streams.scoring import run, write_lines
from tests.streams.served import next_float

AMOUNT, AGE = "account_amount_minor_sum_1h", "account_seconds_since_last_payment"
# The same event ids in both partitions: only with the account they name one event.
LOGS = {
    0: mixed_log(900, seed=21),
    3: [value.replace(b'"account_id":"a', b'"account_id":"b') for value in mixed_log(500, seed=22, accounts=2)],
}


def scored_features(log: list[bytes], directory: Path, **changes: Any) -> Path:
    """What `assay score --features` writes of a log that has no profiles of entities, unless `changes` says so."""
    path = directory / "features.parquet"
    directory.mkdir()
    run(
        write_lines(directory / "events.jsonl", log),
        directory,
        features=path,
        **{"profiles": NoProfiles(), **changes},
    )
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> pyarrow.Table:
    """Rows of both partitions, as someone puts them together to train."""
    directory = tmp_path_factory.mktemp("features")
    paths = [scored_features(log, directory / str(n), partition=n) for n, log in LOGS.items()]
    return pyarrow.concat_tables(map(parquet.read_table, paths))


def compared_file(table: pyarrow.Table, directory: Path, logs: dict[int, list[LogRecord]] | None = None) -> SkewFound:
    path = directory / "train.parquet"
    parquet.write_table(table, path)
    there = logs or {number: records(log) for number, log in LOGS.items()}
    ranges = [PartitionRange(number, 0, len(log)) for number, log in there.items()]
    return compare(machine_over(there), ranges, TrainingSet(path), directory)


def with_value(table: pyarrow.Table, name: str, row: int, value: float | None) -> pyarrow.Table:
    """Another value at a row."""
    column = table[name].to_pylist()
    column[row] = value
    place = table.schema.get_field_index(name)
    return table.set_column(place, table.schema.field(place), pyarrow.array(column, pyarrow.float32()))


def test_what_the_engine_wrote_is_equal_in_any_order_and_in_chunks(
    table: pyarrow.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = table.num_rows
    assert rows > 800
    found = compared_file(table, tmp_path)
    assert (found.tally.rows, found.tally.differing_rows, found.not_given, found.given_again) == (rows, 0, 0, 0)
    order = np.random.default_rng(1).permutation(rows)
    monkeypatch.setattr(skew_training_set, "CHUNK_ROWS", 11)
    again = tmp_path / "again"
    again.mkdir()
    found = compared_file(table.take(order), again)
    assert (found.tally.rows, found.tally.differing_rows) == (rows, 0)


@pytest.mark.parametrize("place", [0.1, 0.9])
def test_one_unit_in_the_last_place_is_found_and_said_where(table: pyarrow.Table, tmp_path: Path, place: float) -> None:
    row = int(table.num_rows * place)
    value = table[AMOUNT][row].as_py()
    found = compared_file(with_value(table, AMOUNT, row, next_float(value)), tmp_path)
    (skew,) = found.tally.found()
    assert (skew.name, skew.differing, skew.share, skew.one_sided) == (AMOUNT, 1, 1 / table.num_rows, 0)
    assert skew.largest == next_float(value) - value
    partition, offset, is_judged = found.first[AMOUNT]
    assert f'"event_id":"{table["event_id"][row].as_py()}"'.encode() in LOGS[partition][offset]
    assert f'"account_id":"{table["account_id"][row].as_py()}"'.encode() in LOGS[partition][offset]
    assert is_judged


@pytest.mark.parametrize("value", [None, 3.0])
def test_a_value_on_one_side_only_is_found_whichever_side_it_is(
    table: pyarrow.Table, tmp_path: Path, value: float | None
) -> None:
    ages = np.isnan(table[AGE].to_numpy())
    row = int(np.flatnonzero(ages if value else ~ages)[-1])
    (skew,) = compared_file(with_value(table, AGE, row, value), tmp_path).tally.found()
    assert (skew.name, skew.differing, skew.one_sided, skew.largest) == (AGE, 1, 1, 0.0)


def test_features_of_entities_count_too(tmp_path: Path) -> None:
    """A file whose profiles were worked out from it alone is not what a log without profiles serves."""
    path = scored_features(LOGS[0], tmp_path / "own", profiles=None)
    found = compared_file(parquet.read_table(path), tmp_path)
    names = {skew.name for skew in found.tally.found()}
    assert names
    assert names <= set(FEATURES.names) - {feature.name for feature in FEATURES.of_accounts}


def test_rows_that_the_range_does_not_hold_are_counted_and_rows_that_are_there_twice_compared_twice(
    table: pyarrow.Table, tmp_path: Path
) -> None:
    first = {0: records(LOGS[0])}
    judged = parquet.read_table(scored_features(LOGS[0], tmp_path / "one")).num_rows
    found = compared_file(pyarrow.concat_tables([table, table.slice(0, 5)]), tmp_path, first)
    assert found.tally.rows == judged + 5
    assert found.not_given == table.num_rows - judged > 0
    assert found.tally.differing_rows == 0


def test_an_event_that_was_judged_twice_is_left_out(tmp_path: Path) -> None:
    """It came again when the history had forgotten it."""
    log = [payment(n, "a1", START_MS + n) for n in range(400)]
    log.append(log[0])
    table = parquet.read_table(scored_features(log, tmp_path / "scored"))
    assert table.num_rows == 401
    found = compared_file(table, tmp_path, {0: records(log)})
    assert (found.given_again, found.tally.rows, found.tally.differing_rows) == (2, 399, 0)


def test_no_rows_are_nothing_to_compare(table: pyarrow.Table, tmp_path: Path) -> None:
    found = compared_file(table.slice(0, 0), tmp_path)
    assert (found.tally.rows, found.not_given) == (0, 0)


def column_gone(table: pyarrow.Table) -> pyarrow.Table:
    return table.drop_columns([AGE])


def another_feature_set(table: pyarrow.Table) -> pyarrow.Table:
    return table.replace_schema_metadata({"assay-feature-set": "f" * 64})


@pytest.mark.parametrize(
    ("damage", "told"),
    [(column_gone, f"expected a column {AGE}"), (another_feature_set, "expected rows of the feature set in force")],
)
def test_another_file_is_refused_with_what_to_do(
    table: pyarrow.Table, tmp_path: Path, damage: Callable[[pyarrow.Table], pyarrow.Table], told: str
) -> None:
    with pytest.raises(AssayError, match=told):
        compared_file(damage(table), tmp_path)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssayError, match="expected feature rows in Parquet"):
        TrainingSet(write_lines(tmp_path / "train.parquet", LOGS[0]))
