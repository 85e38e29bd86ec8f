"""Files of the state that are cut, flipped or gone: a clear refusal or the right bytes, never a wrong verdict."""

import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from features.errors import AssayError
from features.rocks_store import RocksStore
from streams.broker import RunningBroker
from streams.score import TOPIC
from tests.faults.campaign import SHORT, STEP, campaign, under_load
from tests.faults.fork_server import ForkServer
from tests.faults.truth import Differences
from tests.streams.logs import mixed_log
from tests.streams.scoring import Written, run, scored, write_lines, written
from tests.streams.small_model import small_model

FLIPS = 12
"""In each kind of file."""
KINDS = ("*.sst", "*.log", "MANIFEST-*", "CURRENT")
Damage = Callable[[Path, random.Random], None]


def flipped(path: Path, source: random.Random) -> None:
    """One bit is another."""
    data = bytearray(path.read_bytes())
    data[source.randrange(len(data))] ^= 1 << source.randrange(8)
    path.write_bytes(data)


def truncated(path: Path, source: random.Random) -> None:
    """Its end is gone."""
    path.write_bytes(path.read_bytes()[: source.randrange(path.stat().st_size)])


def gone(path: Path, _source: random.Random) -> None:
    """All of it is gone."""
    path.unlink()


@pytest.fixture(scope="module")
def log() -> list[bytes]:
    return mixed_log(900, seed=17, accounts=40, model_ids=(small_model(2).id,))


@pytest.fixture(scope="module")
def undisturbed(log: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Written:
    return scored(log, tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture(scope="module")
def halfway(log: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run that died after two thirds left: some of its state in a table file, the rest in the write-ahead log.

    It is the directory ``kept``; the run was in ``run`` beside it, and goes on there alone, where its outputs were.
    """
    directory = tmp_path_factory.mktemp("halfway")
    here, kept = directory / "run", directory / "kept"
    here.mkdir()
    events = write_lines(here / "events.jsonl", log)
    run(events, here, state=here / "state", stop_after=300)
    run(events, here, state=here / "state", stop_after=200)
    with pytest.MonkeyPatch.context() as patch:
        close = RocksStore.close

        def die(store: RocksStore) -> None:
            if not kept.exists():
                shutil.copytree(here, kept)
            close(store)

        patch.setattr(RocksStore, "close", die)
        run(events, here, state=here / "state", stop_after=100)
    return kept


def files_of(directory: Path, kind: str) -> list[Path]:
    return [path for path in sorted((directory / "state" / f"{TOPIC}-0").glob(kind)) if path.stat().st_size]


@pytest.mark.parametrize("damage", [flipped, truncated, gone], ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_of_the_state_never_gives_a_wrong_verdict(
    undisturbed: Written, halfway: Path, seed: int, kind: str, damage: Damage
) -> None:
    assert files_of(halfway, kind), "there is a file to damage"
    source = random.Random(f"{seed} {kind} {damage.__name__}")
    ends: Counter[str] = Counter()
    for attempt in range(1 if damage is gone else FLIPS):
        directory = halfway.with_name("run")
        shutil.rmtree(directory)
        shutil.copytree(halfway, directory)
        events = directory / "events.jsonl"
        hurt = source.choice(files_of(directory, kind))
        damage(hurt, source)
        try:
            run(events, directory, state=directory / "state")
            ends["went on"] += 1
        except AssayError as error:
            assert str(directory / "state") in str(error), error
            ends["refused"] += 1
            shutil.rmtree(directory / "state")  # what the message says: away with it, and once more
            for output in directory.glob("*.jsonl"):
                if output != events:
                    output.unlink()
            run(events, directory, state=directory / "state")
        assert written(directory) == undisturbed, f"{damage.__name__} {hurt.name}, attempt {attempt}: {ends}"


def test_a_worker_moves_a_damaged_state_away_and_rebuilds_it(
    broker: RunningBroker, fork_server: ForkServer, tmp_path: Path, seed: int
) -> None:
    with campaign(
        broker.bootstrap_servers, "damage.", tmp_path, fork_server=fork_server, seed=seed, events=4 * STEP,
        slots=("0",), **SHORT,
    ) as it:  # fmt: skip
        it.supervisor.start("0")
        under_load(it)
        it.supervisor.stop()
        state = tmp_path / "state" / "damage.events-1"
        (manifest,) = state.glob("MANIFEST-*")
        truncated(manifest, random.Random(seed))

        it.feed.send(STEP)
        again = it.supervisor.start("0")
        it.wait(lambda: len(again.take_overs()) == 2, "it owns both partitions")
        found = {each.partition: each for each in again.take_overs()}
        assert found[0].stored > 0
        assert (found[1].stored, found[1].folds_again) == (0, True)
        assert "is damaged" in again.said()
        assert [path.name for path in state.parent.glob("damage.events-1.*")] == ["damage.events-1.damaged.1"]
        judgement = it.finish()
    assert judgement.differences == Differences()
    assert len(judgement.got) == len(judgement.wanted)
