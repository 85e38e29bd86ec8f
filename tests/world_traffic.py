"""What flows through the simulated world, and what has to come of it: an undisturbed fold of the same log."""

import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from features.catalogue import FEATURES
from features.entity_features import entity_features
from features.errors import AssayError
from features.links import NO_FLUSHES, flushes_of, joined
from features.store import MemoryStore
from models.attribution import Contributions
from models.scorer import Scorer
from streams.log import LogRecord
from streams.model_in_force import ModelInForce
from streams.partition import Partition
from streams.signature import everybody
from tests.streams.logs import START_MS, mixed_log, payment, with_breaker
from tests.streams.small_model import small_model
from tests.world_entities import WorldProfiles, with_entities

POISON_MINOR = 1 << 22
"""An amount at which the scorer of the world breaks: the mistake of ours that no test foresaw."""
MUTE_MINOR = 1 << 23
"""An amount that it scores, and then cannot explain: the state takes it, but there is no verdict, unless by rules."""
_AMOUNT = FEATURES.index["account_amount_minor"]
_OF_ENTITIES = [FEATURES.index[feature.name] for feature in entity_features()]
_WINDOW_ROWS = 6
_UNKNOWN_MODEL = "f" * 64


class Upstream(NamedTuple):
    """A record on its way into the events log."""

    partition: int
    key: bytes | None
    value: bytes
    timestamp_ms: int


class Dead(NamedTuple):
    """What the checker wants to see of a dead letter."""

    offset: int
    code: str
    key: bytes | None
    value: bytes | None


class Expected(NamedTuple):
    """What one partition has to publish, in this order."""

    verdicts: list[bytes]
    outcomes: list[bytes]
    links: list[bytes]
    dead: list[Dead]


class _Around:
    """A scorer around another one."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    @property
    def is_compiled(self) -> bool:
        return self._scorer.is_compiled

    def contributions(self, rows: NDArray[np.float32]) -> Contributions:
        return self._scorer.contributions(rows)


class _EntityScorer(_Around):
    """A scorer to whose probability each number of an entity counts: the small model knows few of them."""

    def score(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        numbers = np.nan_to_num(rows[:, _OF_ENTITIES].astype(np.float64)) @ np.arange(1.0, 1.0 + len(_OF_ENTITIES))
        return np.round(np.clip(self._scorer.score(rows) + numbers % 97 / 500, 0.0, 1.0), 6)


class _FragileScorer(_Around):
    """A scorer that certain amounts break."""

    def score(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        if (rows[:, _AMOUNT] == POISON_MINOR).any():
            raise ZeroDivisionError("poison")
        return self._scorer.score(rows)

    def contributions(self, rows: NDArray[np.float32]) -> Contributions:
        if (rows[:, _AMOUNT] == MUTE_MINOR).any():
            raise ZeroDivisionError("poison")
        return self._scorer.contributions(rows)


@cache
def sound_model(seed: int) -> ModelInForce:
    """The small model of a seed, with a detector that is warm after a few events: the worlds are short."""
    model = small_model(seed)
    manifest = model.artefact.manifest
    detector = msgspec.structs.replace(manifest.detector, window_size=_WINDOW_ROWS)
    artefact = replace(model.artefact, manifest=msgspec.structs.replace(manifest, detector=detector))
    return replace(model, artefact=artefact, scorer=_EntityScorer(model.scorer))  # type: ignore[arg-type]


@cache
def fragile_model(seed: int) -> ModelInForce:
    """The same with a scorer that poison breaks."""
    model = sound_model(seed)
    return replace(model, scorer=_FragileScorer(model.scorer))  # type: ignore[arg-type]


def open_fragile(model_id: str) -> ModelInForce:
    """Opens the models that markers of the traffic name."""
    return _opened(model_id, fragile_model)


def draw_traffic(source: random.Random, length: int, partitions: int) -> list[Upstream]:
    """Mixed traffic, with poison, breakers, producers that send twice and records that overtake each other."""
    values = mixed_log(length, source.randrange(1 << 30), 8, (small_model(2).id, small_model(1).id, _UNKNOWN_MODEL))
    for number in range(source.choice((0, 0, 1, 2))):
        amount_minor = source.choice((POISON_MINOR, MUTE_MINOR))
        place = source.randrange(length)
        time_ms = source.choice((START_MS, _newest_ms(values[:place]) + 2_000))
        values.insert(place, payment(-1 - number, f"a{source.randrange(8)}", time_ms, amount_minor=amount_minor))
    actions = ("step_up", "last_good_model", "rules_only", "closed", "no_such_action")
    values = with_breaker(values, length, share=0.04, choices=actions)
    values = with_entities(values, source, _newest_ms)
    for place in range(len(values) - 1):
        if source.random() < 0.03:
            values[place], values[place + 1] = values[place + 1], values[place]
    traffic = []
    time_ms = START_MS
    for number, value in enumerate(values):
        key, where, time_ms = _address(value, number, partitions, time_ms)
        records = [Upstream(partition, key, value, time_ms) for partition in where]
        traffic += records * (2 if source.random() < 0.03 else 1)
    return traffic


def _newest_ms(values: Iterable[bytes]) -> int:
    time_ms = START_MS
    for value in values:
        _, _, time_ms = _address(value, 0, 1, time_ms)
    return time_ms


def _address(value: bytes, number: int, partitions: int, time_ms: int) -> tuple[bytes | None, list[int], int]:
    """Key and partitions of a record, and the time at which the log takes it."""
    try:
        event = orjson.loads(value)
        time_ms = max(time_ms, event["time_ms"])
        if event["type"] == "marker":
            return None, list(range(partitions)), time_ms
        account = event["account_id"].encode()
        return account, [sum(account) % partitions], time_ms
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return b"?", [number % partitions], time_ms


def expected_of(partition: int, records: list[LogRecord]) -> Expected:
    """What an undisturbed fold makes of one partition's log: in one piece, by a scorer that nothing breaks.

    What cannot be scored leaves no trace in the state, so this fold does not see it; what cannot be explained does.
    Both are dead letters, without a verdict.
    """
    poison = [record for record in records if _has_amount(record, POISON_MINOR)]
    sound = [record for record in records if record not in poison]
    fold = Partition(
        partition,
        MemoryStore(),
        sound_model(1),
        lambda model_id: _opened(model_id, sound_model),
        profiles=WorldProfiles(),
    )
    output = fold.fold(sound, everybody)
    verdicts = []
    for place, _, verdict in output.verdicts:
        needs_no_explaining = b'"decision":"approve"' in verdict or b'"score":null' in verdict
        if _has_amount(sound[place], MUTE_MINOR) and not needs_no_explaining:
            poison.append(sound[place])
        else:
            verdicts.append(verdict)
    refused = [(sound[place], error.code) for place, error in output.set_aside] + [(one, "poison") for one in poison]
    dead = [Dead(record.offset, code, record.key, record.value) for record, code in refused]
    return Expected(verdicts, [item.value for item in output.outcomes], links_of(output.links), sorted(dead))


def links_of(values: Iterable[bytes]) -> list[bytes]:
    """What records of the links topic say, row by row: how many flushes a record holds depends on batches."""
    flushes = joined([NO_FLUSHES, *(flushes_of(value)[1] for value in values)])
    return [name.encode() + repr(row).encode() for name in flushes._fields for row in getattr(flushes, name).tolist()]


def _has_amount(record: LogRecord, amount_minor: int) -> bool:
    return b'"amount_minor":%d,' % amount_minor in (record.value or b"")


def dead_letter(record: LogRecord) -> Dead:
    """A published dead letter as the checker sees it."""
    headers = dict(record.headers)
    offset, code = headers["__connect.errors.offset"], headers["assay-error-code"]
    assert offset is not None
    assert code is not None
    return Dead(int(offset), code.decode(), record.key, record.value)


def _opened(model_id: str, models: Callable[[int], ModelInForce]) -> ModelInForce:
    for seed in (1, 2):
        if small_model(seed).id == model_id:
            return models(seed)
    raise AssayError(f"model {model_id}: there is none")
