"""The SQL of docs/archive.md answers what it says, and the Athena tables have the columns of the files."""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pyarrow as pa
import pytest

from streams.archive_columns import TYPED, schema_of
from streams.log import LogRecord
from tests.streams.archives import GrowingHistory, archived
from tests.streams.logs import mixed_log
from tests.streams.scoring import scored

DOCS = Path(__file__).resolve().parents[2] / "docs"
HOUR_MS = 3_600_000
LOG = mixed_log(900, seed=77)


def statements() -> list[str]:
    blocks = re.findall(r"```sql\n(.*?)```", (DOCS / "archive.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    return [statement.strip() for block in blocks for statement in block.split(";") if statement.strip()]


def clock_of(value: bytes) -> int:
    """Kafka takes a record when it happens; what has no readable time is taken at the beginning."""
    try:
        return max(1_749_999_600_000, int(orjson.loads(value)["time_ms"]))
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return 1_749_999_600_000


class Archive:
    """What the documents ask, and what is known without SQL."""

    def __init__(self, directory: Path) -> None:
        written = scored(LOG, directory / "scored")
        self.events = [LogRecord(n, value, None, clock_of(value)) for n, value in enumerate(LOG)]
        self.verdicts = [orjson.loads(line) for line in written.verdicts.splitlines()]
        for verdict in self.verdicts[::3]:
            verdict["decision"] = "decline"  # the small model never declines
        self.outcomes = [orjson.loads(line) for line in written.outcomes.splitlines()]
        for topic, objects in (("verdicts", self.verdicts), ("outcomes", self.outcomes)):
            values = [orjson.dumps(each) for each in objects]
            records = [LogRecord(n, value, None, clock_of(value)) for n, value in enumerate(values)]
            archived(str(directory / "archive"), GrowingHistory(records), topic=f"fraud.{topic}", rows_per_file=200)
        archived(str(directory / "archive"), GrowingHistory(self.events), rows_per_file=200)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Archive]:
    directory = tmp_path_factory.mktemp("documented")
    return directory, Archive(directory)


@pytest.fixture
def ask(archive: tuple[Path, Archive], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[tuple[Any, ...]]]:
    """The answer of the one documented query that holds some words."""
    monkeypatch.chdir(archive[0])
    connection = duckdb.connect()
    for statement in statements():
        if statement.startswith("CREATE VIEW"):
            connection.execute(statement)

    def answer(words: str) -> list[tuple[Any, ...]]:
        (query,) = [statement for statement in statements() if words in statement]
        return connection.execute(query).fetchall()

    return answer


def test_every_documented_query_runs_and_every_topic_has_a_view(ask: Callable[[str], list[tuple[Any, ...]]]) -> None:
    views = [statement for statement in statements() if statement.startswith("CREATE VIEW")]
    queries = [statement for statement in statements() if not statement.startswith("CREATE VIEW")]
    assert (len(views), len(queries)) == (3, 5)
    for query in queries:
        assert ask(query), query


def test_decline_rate_per_hour(ask: Callable[[str], list[tuple[Any, ...]]], archive: tuple[Path, Archive]) -> None:
    verdicts = archive[1].verdicts
    judged = Counter(verdict["time_ms"] // HOUR_MS for verdict in verdicts)
    declined = Counter(verdict["time_ms"] // HOUR_MS for verdict in verdicts if verdict["decision"] == "decline")
    found = ask("AS decline_rate")
    assert [count for _, count, _ in found] == [judged[hour] for hour in sorted(judged)]
    assert [rate for *_, rate in found] == pytest.approx([declined[hour] / judged[hour] for hour in sorted(judged)])
    assert any(rate > 0 for *_, rate in found)


def test_approved_and_yet_fraud(ask: Callable[[str], list[tuple[Any, ...]]], archive: tuple[Path, Archive]) -> None:
    newest = {outcome["judged_event_id"]: outcome for outcome in archive[1].outcomes}  # later ones replace earlier
    expected = {
        (verdict["event_id"], verdict["score"], newest[verdict["event_id"]]["fraud_type"])
        for verdict in archive[1].verdicts
        if verdict["decision"] == "approve" and newest.get(verdict["event_id"], {}).get("label") == "fraud"
    }
    found = ask("JOIN verdicts")
    assert {row[:3] for row in found} == expected
    assert len(found) == len(expected) > 0


def test_reasons_of_declines(ask: Callable[[str], list[tuple[Any, ...]]], archive: tuple[Path, Archive]) -> None:
    expected = Counter(
        reason["code"]
        for verdict in archive[1].verdicts
        if verdict["decision"] == "decline"
        for reason in verdict["reasons"]
    )
    found = ask("unnest(reasons)")
    assert {code: times for code, times, _ in found} == dict(expected)
    assert expected


def test_a_stretch_of_time_is_exact_and_reads_no_file_of_earlier_days(
    ask: Callable[[str], list[tuple[Any, ...]]], archive: tuple[Path, Archive]
) -> None:
    start = 1_750_000_000_000 // HOUR_MS * HOUR_MS  # 2025-06-15, 15:00
    inside = [r.value or b"" for r in archive[1].events if start <= (r.timestamp_ms or 0) < start + 90 * 60_000]
    kinds: Counter[str | None] = Counter()
    for value in inside:
        try:
            kinds[orjson.loads(value)["type"]] += 1
        except (orjson.JSONDecodeError, KeyError, TypeError):
            kinds[None] += 1
    assert dict(ask("GROUP BY type")) == dict(kinds)
    days = duckdb.sql("SELECT DISTINCT dt FROM read_parquet('archive/events/*/*/*.parquet', hive_partitioning = true)")
    assert len(days.fetchall()) > 1


def test_the_record_is_there_as_it_was(ask: Callable[[str], list[tuple[Any, ...]]]) -> None:
    assert ask("decode(value)") == [(LOG[0].decode(),)]


def hive(kind: Any) -> str:
    """Name of an Arrow type in Hive's language."""
    if pa.types.is_struct(kind):
        return f"struct<{','.join(f'{field.name}:{hive(field.type)}' for field in kind)}>"
    if pa.types.is_map(kind):
        return f"map<{hive(kind.key_type)},{hive(kind.item_type)}>"
    if pa.types.is_list(kind):
        return f"array<{hive(kind.value_type)}>"
    return {"int32": "int", "int64": "bigint", "bool": "boolean"}.get(str(kind), str(kind))


def test_athena_tables_have_the_columns_of_the_files() -> None:
    text = (DOCS / "sql" / "athena.sql").read_text(encoding="utf-8")
    tables = re.findall(r"CREATE EXTERNAL TABLE (\w+) \(\n(.*?)\n\)\n(.*?);", text, flags=re.DOTALL)
    assert [name for name, _, _ in tables] == list(TYPED)
    for name, body, rest in tables:
        columns = re.findall(r"^  `(\w+)` (\S+?),?$", body, flags=re.MULTILINE)
        assert columns == [(field.name, hive(field.type)) for field in schema_of(name)]
        assert "PARTITIONED BY (`dt` string, `hour` int)" in rest
        assert f"/{name}/dt=${{dt}}/hour=${{hour}}/'" in rest
