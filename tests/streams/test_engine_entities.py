"""Profiles of entities in the fold: worked out beside it, or read as the log says, they are the same."""

import itertools
from collections.abc import Iterable

import numpy as np
import orjson
import pytest

from features.catalogue import FEATURES
from features.columns import LABEL
from features.entity_fold import EntityFold
from features.errors import AssayError
from features.links import flushes_of
from features.store import MemoryStore
from streams.log import LogRecord, Output
from streams.partition import Partition
from streams.profiles import Profiles
from streams.signature import everybody
from tests.streams.logs import START_MS, entities_marker, label, mixed_log, payment, records
from tests.streams.profiles import MemoryProfiles
from tests.streams.small_model import small_model
from tests.streams.test_engine import open_small

DEVICES = FEATURES.index["device_accounts_distinct_1h"]


def hosted(host: EntityFold | None = None, store: MemoryStore | None = None) -> Partition:
    """A partition that works profiles out by itself."""
    return Partition(
        3, store or MemoryStore(), small_model(), open_small, keep_features=True, host=host or EntityFold()
    )


def recorded(profiles: Profiles | None, store: MemoryStore | None = None) -> Partition:
    """A partition that reads them."""
    return Partition(3, store or MemoryStore(), small_model(), open_small, keep_features=True, profiles=profiles)


def fold(partition: Partition, log: list[LogRecord], cuts: Iterable[int] = ()) -> list[Output]:
    ends = [0, *sorted(cuts), len(log)]
    return [partition.fold(log[start:end], everybody) for start, end in itertools.pairwise(ends) if start < end]


def verdicts(outputs: list[Output]) -> list[bytes]:
    return [verdict.value for output in outputs for verdict in output.verdicts]


def features(outputs: list[Output]) -> np.ndarray:
    return np.concatenate([judged.features for output in outputs for judged in output.judged])


def shared_log(length: int = 400, seed: int = 8) -> list[bytes]:
    """Mixed traffic in which accounts meet at few devices, addresses and beneficiaries."""
    random = np.random.default_rng(seed)
    log = []
    for value in mixed_log(length, seed=seed, accounts=30):
        try:
            event = orjson.loads(value)
        except orjson.JSONDecodeError:
            log.append(value)
            continue
        if isinstance(event, dict) and event.get("type") in ("payment", "login"):
            event |= {"device_id": f"d{random.integers(5)}", "ip": f"10.0.0.{random.integers(1, 9)}"}
        log.append(orjson.dumps(event))
    return log


def test_an_account_sees_the_others_of_its_device() -> None:
    log = records([payment(n, f"a{n}", START_MS + n * 2_000, device_id="d1") for n in range(6)])
    seen = features(fold(hosted(), log))[:, DEVICES].tolist()
    assert seen == [0, 0, 0, 2, 3, 4]  # a link is told when the second is over, by the record behind


def test_without_host_and_markers_nothing_is_known() -> None:
    log = records([payment(n, f"a{n}", START_MS + n * 2_000, device_id="d1") for n in range(4)])
    outputs = fold(recorded(None), log)
    assert np.isnan(features(outputs)[:, len(FEATURES.of_accounts) :]).all()
    assert all(b'"entities_offset":-1' in verdict for verdict in verdicts(outputs))


@pytest.mark.parametrize("cuts", [[1, 2, 3], [77, 200], [399], range(1, 400, 7)])
def test_how_the_log_is_cut_never_shows(cuts: Iterable[int]) -> None:
    log = records(shared_log())
    whole = fold(hosted(), log)
    assert (features(whole)[:, DEVICES] > 1).any()
    again = fold(hosted(), log, cuts)
    assert verdicts(again) == verdicts(whole)
    assert features(again).tobytes() == features(whole).tobytes()


def test_a_stored_state_goes_on_with_its_own_profiles() -> None:
    log, store = records(shared_log(seed=9)), MemoryStore()
    whole = verdicts(fold(hosted(), log))
    first = hosted(store=store)
    before = verdicts(fold(first, log[:250]))
    first.checkpoint()
    assert before + verdicts(fold(hosted(store=store), log[250:])) == whole


def test_a_state_without_own_profiles_is_no_beginning_for_them() -> None:
    store = MemoryStore()
    partition = recorded(None, store)
    fold(partition, records(shared_log(20)))
    partition.checkpoint()
    with pytest.raises(AssayError, match="kept without profiles"):
        hosted(store=store)


def test_a_record_of_trouble_leaves_the_profiles_as_they_were() -> None:
    log = records(shared_log(150, seed=10))
    careful = Partition(
        3, MemoryStore(), small_model(), open_small, keep_features=True, careful_until=10**9, host=EntityFold()
    )
    assert verdicts(fold(careful, log)) == verdicts(fold(hosted(), log))


def marked_log(seed: int, every: int = 13) -> tuple[list[LogRecord], EntityFold]:
    """A log with markers as the warm path leaves them, and the profiles that it told: of this log's own links."""
    plain = shared_log(300, seed)
    host = EntityFold()
    partition, log, time_ms = recorded(None), list[bytes](), START_MS
    for number, value in enumerate(plain):
        log.append(value)
        (output,) = fold(partition, [LogRecord(len(log) - 1, value)])
        for links in output.links:
            host.step(*flushes_of(links))
        if number % every == 0 and host.told:
            log.append(entities_marker(number, host.told, time_ms))
            partition = _passed_over(partition)
    return records(log), host


def _passed_over(partition: Partition) -> Partition:
    """The marker's place in the log is taken; without profiles it cannot be folded here."""
    partition.engine.next_offset += 1
    return partition


@pytest.mark.parametrize("seed", range(4))
def test_what_markers_show_is_what_was_told_before_them(seed: int) -> None:
    log, host = marked_log(seed)
    whole = fold(recorded(MemoryProfiles(host)), log)
    values, places = features(whole), [orjson.loads(verdict)["at"] for verdict in verdicts(whole)]
    offsets = [place["entities_offset"] for place in places]
    said_at = {
        record.offset: int(orjson.loads(record.value)["value"])
        for record in log
        if record.value and b'"entities"' in record.value
    }
    for place, offset in zip(places, offsets, strict=True):
        said = [visible for at, visible in said_at.items() if at < place["offset"]]
        assert offset == (said[-1] if said else -1)
    assert (values[:, DEVICES] > 1).any()
    assert np.isnan(values[[offset < 0 for offset in offsets], len(FEATURES.of_accounts) :]).all()


@pytest.mark.parametrize("cuts", [[1, 2, 3], [77, 200], range(1, 320, 9)])
def test_recovery_sees_what_was_seen_although_more_is_known(cuts: Iterable[int]) -> None:
    log, host = marked_log(5)
    whole = fold(recorded(MemoryProfiles(host)), log)
    ahead = MemoryProfiles(host)
    ahead.read_until(host.told, -1)  # somebody else has read the topic to its end
    store = MemoryStore()
    partition = recorded(ahead, store)
    outputs = []
    for start, end in itertools.pairwise([0, *cuts, len(log)]):
        outputs += fold(partition, log[start:end])
        partition.checkpoint()
        partition = recorded(ahead, store)
    assert verdicts(outputs) == verdicts(whole)


def test_a_marker_never_takes_back_what_is_visible() -> None:
    host = EntityFold()
    pairs = records([payment(n, f"a{n}", START_MS + n * 2_000, device_id="d1") for n in range(6)])
    fold(hosted(host), pairs)
    log = records(
        [
            entities_marker(1, 3, START_MS),
            entities_marker(2, 1, START_MS),
            payment(9, "b", START_MS + 20_000, device_id="d1"),
        ]
    )
    (verdict,) = verdicts(fold(recorded(MemoryProfiles(host)), log))
    assert orjson.loads(verdict)["at"]["entities_offset"] == 3


def test_a_marker_without_an_offset_is_set_aside() -> None:
    log = records([orjson.dumps(orjson.loads(entities_marker(1, 3, START_MS)) | {"value": "-7"})])
    (output,) = fold(recorded(None), log)
    assert output.refusals_text() == "1 marker"


def test_a_log_that_asks_for_profiles_is_not_folded_without_them() -> None:
    log = records([entities_marker(1, 3, START_MS), payment(1, "a", START_MS)])
    with pytest.raises(AssayError, match="up to offset 3"):
        fold(recorded(None), log)


def test_an_outcome_names_only_what_an_account_knows() -> None:
    log = records([payment(1, "a", START_MS, device_id="d"), label(2, "p1", "a", START_MS + 5)])
    (output,) = fold(hosted(), log)
    (outcome,) = [orjson.loads(outcome.value) for outcome in output.outcomes]
    assert set(outcome["features"]) == {feature.name for feature in FEATURES.of_accounts}
    assert LABEL not in {int(kind) for judged in output.judged for kind in judged.kind}
