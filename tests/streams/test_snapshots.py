"""Snapshots: what comes back is what was stored, or nothing; whatever is damaged, cut off or written at once."""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from msgspec.structs import replace

from features.errors import AssayError
from features.rocks_store import RocksStore
from streams import file_hashes
from streams.remote_files import RemoteFiles
from streams.snapshot_manifest import UnreadableManifestError, decoded, encoded
from streams.snapshots import SnapshotStore
from streams.topic_identity import topic_id_value
from tests.streams.small_model import small_model
from tests.streams.states import LOG, NUMBER, checkpoints, content_of, fold, open_partition, published

TOPIC = "fraud.events"
ENDS = (300, 600, 900)
NEWEST = 2**63 - 1


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Checkpoints by offset."""
    return dict(zip(ENDS, checkpoints(tmp_path_factory.mktemp("states"), ENDS), strict=True))


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory, taken: dict[int, Path]) -> Path:
    """A store with three snapshots; copy it before changing it."""
    directory = tmp_path_factory.mktemp("three")
    save_all(directory, taken)
    return directory


@pytest.fixture
def damageable(three: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(three, tmp_path / "store"))


def save_all(directory: Path, taken: dict[int, Path]) -> None:
    store = SnapshotStore(str(directory), TOPIC)
    for path in taken.values():
        store.save(NUMBER, path)


def files_path(directory: Path) -> Path:
    """Where the files of snapshots lie; these states were made from no topic of Kafka."""
    return directory / f"{TOPIC}-{NUMBER}" / "no-topic" / "files"


def files_in(directory: Path) -> dict[str, tuple[int, int]]:
    """Files of a store with inode and time: what was written again shows."""
    found = (path for path in files_path(directory).iterdir())
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def manifest_path(directory: Path, offset: int) -> Path:
    return files_path(directory).with_name("manifests") / f"{offset:020d}.json"


class ObjectStore(MemoryFileSystem):
    """Takes whole objects only, as S3 does: nothing is moved."""

    protocol = "oss"

    def mv(self, *_: object, **__: object) -> None:
        raise AssertionError("an object store would copy every byte")


@pytest.fixture(params=["directory", "file", "memory", "object store"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    MemoryFileSystem.store.clear()
    if request.param == "object store":
        fsspec.register_implementation("oss", ObjectStore, clobber=True)
    return {
        "directory": str(tmp_path / "there"),
        "file": f"file://{tmp_path / 'there'}",
        "memory": "memory://snapshots",
        "object store": "oss://snapshots",
    }[request.param]


def test_what_comes_back_is_what_was_stored(url: str, taken: dict[int, Path], tmp_path: Path) -> None:
    store = SnapshotStore(url, TOPIC)
    assert store.restore(NUMBER, NEWEST, tmp_path / "nothing") is None
    for end, path in taken.items():
        assert store.save(NUMBER, path, taken_ms=end).next_offset == end
    again = SnapshotStore(url, TOPIC)
    assert [manifest.next_offset for manifest in again.manifests(NUMBER)] == sorted(ENDS, reverse=True)
    assert again.partitions() == [NUMBER]
    for at_most, expected in ((NEWEST, 900), (900, 900), (899, 600), (300, 300), (299, None)):
        directory = tmp_path / f"restored-{at_most}"
        assert again.restore(NUMBER, at_most, directory) == expected
        if expected is None:
            assert not directory.exists()
        else:
            assert content_of(directory) == content_of(taken[expected])
    assert list(again.check(NUMBER)) == [(end, []) for end in sorted(ENDS, reverse=True)]


def test_the_fold_goes_on_from_a_restored_state_with_the_same_bytes(three: Path, tmp_path: Path) -> None:
    undisturbed = open_partition(RocksStore(tmp_path / "undisturbed"))
    fold(undisturbed, 0, 600)
    expected = published(fold(undisturbed, 600, len(LOG)))
    assert SnapshotStore(str(three), TOPIC).restore(NUMBER, 899, tmp_path / "restored") == 600
    restored = open_partition(RocksStore(tmp_path / "restored"))
    assert published(fold(restored, 600, len(LOG), batch=77)) == expected
    for partition in (undisturbed, restored):
        partition.checkpoint()
        partition.close()
    assert content_of(tmp_path / "restored") == content_of(tmp_path / "undisturbed")


def test_only_new_files_are_sent(taken: dict[int, Path], tmp_path: Path) -> None:
    store = SnapshotStore(str(tmp_path), TOPIC)
    first = {file.sha256 for file in store.save(NUMBER, taken[300]).files}
    before = files_in(tmp_path)
    second = {file.sha256 for file in store.save(NUMBER, taken[600]).files}
    after = files_in(tmp_path)
    assert before.keys() == first
    assert after.keys() == first | second
    assert first & second, "a table is shared, or this test shows nothing"
    assert {name: after[name] for name in before} == before


def test_a_table_is_hashed_once(taken: dict[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: Counter[str] = Counter()

    def counting(path: Path) -> str:
        hashed[path.name] += 1
        return file_hashes_sha256_of(path)

    file_hashes_sha256_of = file_hashes.sha256_of
    monkeypatch.setattr(file_hashes, "sha256_of", counting)
    store = SnapshotStore(str(tmp_path), TOPIC)
    for path in taken.values():
        store.save(NUMBER, path)
    shared = set.intersection(*({path.name for path in taken[end].glob("*.sst")} for end in ENDS))
    assert shared
    assert {hashed[name] for name in shared} == {1}
    assert hashed["CURRENT"] == len(ENDS)


def test_states_of_another_model_or_feature_set_are_passed_over(three: Path, tmp_path: Path) -> None:
    mine = small_model()
    for other in (
        SnapshotStore(str(three), TOPIC, first_model="f" * 64),
        SnapshotStore(str(three), TOPIC, feature_set="f" * 64),
        SnapshotStore(str(three), "other.events"),
    ):
        assert other.restore(NUMBER, NEWEST, tmp_path / "none") is None
    store = SnapshotStore(str(three), TOPIC, first_model=mine.id, feature_set=mine.feature_set.hash)
    assert store.restore(NUMBER, NEWEST, tmp_path / "mine") == 900


def test_nothing_is_restored_over_a_state(three: Path, tmp_path: Path) -> None:
    store = SnapshotStore(str(three), TOPIC)
    (tmp_path / "empty").mkdir()
    (tmp_path / ".empty.restoring").mkdir()  # left by a crash
    (tmp_path / ".empty.restoring" / "rest").touch()
    assert store.restore(NUMBER, NEWEST, tmp_path / "empty") == 900
    assert not (tmp_path / "empty" / "rest").exists()
    assert not (tmp_path / ".empty.restoring").exists()
    with pytest.raises(AssayError, match="empty directory"):
        store.restore(NUMBER, NEWEST, tmp_path / "empty")


def test_a_directory_without_a_state_is_not_stored(tmp_path: Path) -> None:
    RocksStore(tmp_path / "fresh").close()
    store = SnapshotStore(str(tmp_path / "store"), TOPIC)
    for name in ("fresh", "nowhere"):
        with pytest.raises(AssayError, match=name):
            store.save(NUMBER, tmp_path / name)
    assert store.manifests(NUMBER) == []


# Damage


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes() or b"\0")
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def add(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


@pytest.mark.parametrize("damage", [flip, cut, empty, add, Path.unlink])
def test_whatever_is_damaged_gives_an_older_state_or_none_but_never_a_wrong_one(
    damage: Callable[[Path], None], three: Path, taken: dict[int, Path], tmp_path: Path
) -> None:
    names_of = {
        manifest.next_offset: {file.sha256: file for file in manifest.files}
        for manifest in SnapshotStore(str(three), TOPIC).manifests(NUMBER)
    }
    kinds = set()
    for number, file in enumerate(names_of[900].values()):
        directory = Path(shutil.copytree(three, tmp_path / f"store-{number}"))
        path = files_path(directory) / file.sha256
        if damage in (cut, empty) and not path.stat().st_size:
            continue
        damage(path)
        kinds.add(file.name.split("-")[0])
        store = SnapshotStore(str(directory), TOPIC)
        whole = [offset for offset, files in names_of.items() if file.sha256 not in files]
        target = tmp_path / f"restored-{number}"
        if whole:
            assert store.restore(NUMBER, NEWEST, target) == max(whole)
            assert content_of(target) == content_of(taken[max(whole)])
        else:
            with pytest.raises(AssayError, match="none of them is whole"):
                store.restore(NUMBER, NEWEST, target)
            assert not target.exists()
        damaged = {offset for offset, lines in store.check(NUMBER) if lines}
        assert damaged == names_of.keys() - set(whole)
    assert kinds >= {"CURRENT", "MANIFEST", "OPTIONS"}
    assert any(kind.endswith(".sst") for kind in kinds)


@pytest.mark.parametrize("damage", [flip, cut, empty, add])
def test_a_damaged_manifest_gives_the_one_before(
    damage: Callable[[Path], None], damageable: Path, taken: dict[int, Path], tmp_path: Path
) -> None:
    damage(manifest_path(damageable, 900))
    store = SnapshotStore(str(damageable), TOPIC)
    assert [manifest.next_offset for manifest in store.manifests(NUMBER)] == [600, 300]
    assert store.restore(NUMBER, NEWEST, tmp_path / "restored") == 600
    assert content_of(tmp_path / "restored") == content_of(taken[600])
    damage(manifest_path(damageable, 300))
    with pytest.raises(AssayError, match="none of them is whole"):
        store.restore(NUMBER, 599, tmp_path / "nothing")


def test_no_byte_of_a_manifest_can_change_unnoticed(three: Path) -> None:
    content = manifest_path(three, 900).read_bytes()
    assert encoded(decoded(content, "here")) == content
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1
        with pytest.raises(UnreadableManifestError, match="here"):
            decoded(bytes(changed), "here")


def test_a_manifest_in_the_wrong_place_is_not_believed(damageable: Path, tmp_path: Path) -> None:
    manifest_path(damageable, 300).rename(manifest_path(damageable, 500))
    store = SnapshotStore(str(damageable), TOPIC)
    with pytest.raises(AssayError, match="none of them is whole"):
        store.restore(NUMBER, 599, tmp_path / "nothing")


def test_a_manifest_of_a_later_version_says_so(three: Path) -> None:
    content = manifest_path(three, 900).read_bytes().replace(b'"schema": 2', b'"schema": 3')
    with pytest.raises(UnreadableManifestError, match="schema 2, got 3"):
        decoded(content, "here")


def test_a_damaged_file_heals_when_it_is_deleted(damageable: Path, taken: dict[int, Path], tmp_path: Path) -> None:
    store = SnapshotStore(str(damageable), TOPIC)
    largest = max(store.manifests(NUMBER)[0].files, key=lambda file: file.bytes)
    (files_path(damageable) / largest.sha256).unlink()
    store.save(NUMBER, taken[900])
    assert store.restore(NUMBER, NEWEST, tmp_path / "restored") == 900


# A crash anywhere


class Crash(BaseException):
    """The process ends here."""


def crashing(monkeypatch: pytest.MonkeyPatch, effects: int, *, after: bool) -> Counter[str]:
    """Let so many writes to a file system happen; the next one crashes, before or after its effect."""
    done: Counter[str] = Counter()

    def wrapped(name: str, original: Callable[..., object], *arguments: object, **options: object) -> object:
        done[name] += 1
        if done.total() <= effects:
            return original(*arguments, **options)
        if after and done.total() == effects + 1:
            original(*arguments, **options)
        raise Crash

    for name in ("put_file", "pipe_file", "mv", "rm_file"):
        original = getattr(LocalFileSystem, name)
        monkeypatch.setattr(
            LocalFileSystem,
            name,
            lambda *arguments, _name=name, _original=original, **options: wrapped(
                _name, _original, *arguments, **options
            ),
        )
    return done


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_anywhere_while_storing_leaves_no_broken_snapshot(
    after: bool, taken: dict[int, Path], tmp_path: Path
) -> None:
    effects = 0
    is_done = False
    while not is_done:
        directory = tmp_path / f"store-{effects}"
        SnapshotStore(str(directory), TOPIC).save(NUMBER, taken[300])
        with pytest.MonkeyPatch.context() as patch:
            crashing(patch, effects, after=after)
            try:
                SnapshotStore(str(directory), TOPIC).save(NUMBER, taken[600])
                is_done = True
            except Crash:
                pass
        store = SnapshotStore(str(directory), TOPIC)
        for offset, damages in store.check(NUMBER):
            assert (offset, damages) in [(300, []), (600, [])]
        found = store.restore(NUMBER, NEWEST, tmp_path / f"restored-{effects}")
        assert found in (300, 600)
        assert content_of(tmp_path / f"restored-{effects}") == content_of(taken[found])
        store.save(NUMBER, taken[900])  # the next one works, whatever was left
        assert store.restore(NUMBER, NEWEST, tmp_path / f"next-{effects}") == 900
        effects += 1
    assert effects > 6


def test_a_crash_anywhere_while_deleting_leaves_no_broken_snapshot(three: Path, tmp_path: Path) -> None:
    effects = 0
    is_done = False
    while not is_done:
        directory = Path(shutil.copytree(three, tmp_path / f"store-{effects}"))
        age(directory, hours=2, but=manifest_path(directory, 900))
        with pytest.MonkeyPatch.context() as patch:
            crashing(patch, effects, after=False)
            try:
                SnapshotStore(str(directory), TOPIC).retain(NUMBER, 1)
                is_done = True
            except Crash:
                pass
        assert all(not damages for _, damages in SnapshotStore(str(directory), TOPIC).check(NUMBER))
        effects += 1
    assert effects > 4


def test_a_crash_anywhere_while_restoring_leaves_nothing_or_all(
    three: Path, taken: dict[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = os.fsync
    store = SnapshotStore(str(three), TOPIC)
    syncs = len(store.manifests(NUMBER)[0].files) + 2  # each file, the directory, its new name
    outcomes = set()
    for survived in range(syncs):
        left = iter(range(survived))

        def crash(descriptor: int, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise Crash
            original(descriptor)

        directory = tmp_path / f"restored-{survived}"
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", crash)
            with pytest.raises(Crash):
                store.restore(NUMBER, NEWEST, directory)
        outcomes.add(directory.exists())
        if directory.exists():
            assert content_of(directory) == content_of(taken[900])
        else:
            assert store.restore(NUMBER, NEWEST, directory) == 900
    assert outcomes == {False, True}


# Retention


def age(directory: Path, hours: int, but: Path | None = None) -> None:
    for path in directory.rglob("*"):
        if path.is_file() and path != but:
            seconds = path.stat().st_mtime - 3_600 * hours
            os.utime(path, (seconds, seconds))


def test_the_newest_stay_and_what_only_the_others_named_goes(damageable: Path, tmp_path: Path) -> None:
    store = SnapshotStore(str(damageable), TOPIC)
    kept = {file.sha256 for manifest in store.manifests(NUMBER)[:2] for file in manifest.files}
    there = files_in(damageable).keys()
    assert store.retain(NUMBER, 3) == 0
    assert store.retain(NUMBER, 2) == 1
    assert files_in(damageable).keys() == there, "younger than an hour: they may belong to one on its way"
    age(damageable, hours=2, but=manifest_path(damageable, 900))
    files = files_path(damageable)
    young, old, foreign = "0" * 32 + ".part", "1" * 32 + ".part", "read me"
    for name in (young, old, foreign):
        (files / name).touch()
    for name in (old, foreign):
        os.utime(files / name, (0, 0))
    assert store.retain(NUMBER, 2) == 0
    assert files_in(damageable).keys() == kept | {young, foreign}
    assert list(store.check(NUMBER)) == [(900, []), (600, [])]
    assert SnapshotStore(str(damageable), TOPIC).retain(7, 1) == 0


def test_no_file_is_deleted_while_it_is_not_known_what_a_manifest_names(damageable: Path) -> None:
    store = SnapshotStore(str(damageable), TOPIC)
    age(damageable, hours=2, but=manifest_path(damageable, 900))
    there = files_in(damageable).keys()
    flip(manifest_path(damageable, 600))
    assert store.retain(NUMBER, 2) == 0  # 900 and 300; 600 lies between
    assert files_in(damageable).keys() == there
    assert store.retain(NUMBER, 1) == 2
    assert files_in(damageable).keys() < there
    assert list(store.check(NUMBER)) == [(900, [])]


def test_a_damaged_newest_manifest_keeps_its_files(damageable: Path) -> None:
    store = SnapshotStore(str(damageable), TOPIC)
    age(damageable, hours=2, but=manifest_path(damageable, 600))
    there = files_in(damageable).keys()
    flip(manifest_path(damageable, 900))
    assert store.retain(NUMBER, 1) == 1
    assert files_in(damageable).keys() == there


def test_what_only_older_snapshots_name_is_sent_again(damageable: Path, taken: dict[int, Path]) -> None:
    """Another worker may be deleting it right now."""
    store = SnapshotStore(str(damageable), TOPIC)
    newest, *_, oldest = store.manifests(NUMBER)
    only_oldest = {file.sha256 for file in oldest.files} - {file.sha256 for file in newest.files}
    before = files_in(damageable)
    store.save(NUMBER, taken[300])
    after = files_in(damageable)
    assert only_oldest
    assert {name for name in before if before[name] != after[name]} == only_oldest


# The store itself


def test_a_url_that_cannot_be_opened_is_one_line_without_a_password(tmp_path: Path) -> None:
    for url in ("lakefs://user:secret@somewhere/x", "nonsense://user:secret@somewhere/x"):
        with pytest.raises(AssayError, match="somewhere") as refused:
            SnapshotStore(url, TOPIC)
        assert "secret" not in str(refused.value)
        assert "\n" not in str(refused.value)


def test_trouble_that_passes_is_met_with_a_few_tries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    failing = [OSError("reset"), TimeoutError("slow")]
    original = LocalFileSystem.put_file

    def flaky(*arguments: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        if failing:
            raise failing.pop()
        return original(*arguments, **options)

    monkeypatch.setattr(LocalFileSystem, "put_file", flaky)
    (tmp_path / "source").write_bytes(b"content")
    files = RemoteFiles(str(tmp_path / "there"), waits_s=(0, 0))
    files.upload(tmp_path / "source", "folder/name")
    assert files.read("folder/name") == b"content"
    failing += [OSError("reset")] * 9
    calls = 0
    with pytest.raises(AssayError, match="folder/other: reset"):
        files.upload(tmp_path / "source", "folder/other")
    assert calls == 3
    assert files.names("folder") == {"name": 7}


@pytest.mark.parametrize("error", [PermissionError(13, "denied"), OSError(28, "full"), ValueError("no credentials")])
def test_trouble_that_will_not_pass_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    calls = 0

    def failing(*_: object, **__: object) -> None:
        nonlocal calls
        calls += 1
        raise error

    monkeypatch.setattr(LocalFileSystem, "ls", failing)
    with pytest.raises(AssayError, match=str(tmp_path)):
        RemoteFiles(str(tmp_path), waits_s=(0, 0)).names("folder")
    assert calls == 1


def test_trouble_outside_is_not_taken_for_damage(three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older state is no answer to a store that does not answer."""
    monkeypatch.setattr(LocalFileSystem, "get_file", partial(_denied))
    with pytest.raises(AssayError, match="denied"):
        SnapshotStore(str(three), TOPIC).restore(NUMBER, NEWEST, tmp_path / "nothing")
    assert list(tmp_path.iterdir()) == []


def _denied(*_: object, **__: object) -> None:
    raise PermissionError(13, "denied")


# A topic that was deleted and made anew

IDS = ("8k-athHsTQuB79KXk46wbw", "KfhwaOnVuB5rpcfDbsvs6A")


@pytest.fixture
def of_two_topics(taken: dict[int, Path], tmp_path: Path) -> dict[str, SnapshotStore]:
    """Snapshots at 300, 600 and 900 of a former topic, at 300 and 600 of the one that is there now; by topic id."""
    now, former = IDS
    for topic_id, ends in ((former, ENDS), (now, ENDS[:2])):
        for end in ends:
            path = Path(shutil.copytree(taken[end], tmp_path / f"{topic_id}-{end}"))
            state = RocksStore(path)
            state.write([("of", topic_id.encode())], topic_id_value(topic_id))
            state.close()
            SnapshotStore(str(tmp_path / "store"), TOPIC).save(NUMBER, path)
    return {topic_id: SnapshotStore(str(tmp_path / "store"), TOPIC, topic_id) for topic_id in IDS}


def test_snapshots_of_a_former_topic_are_not_those_of_the_new_one(
    of_two_topics: dict[str, SnapshotStore], tmp_path: Path
) -> None:
    for topic_id, expected in zip(IDS, (600, 900), strict=True):
        store = of_two_topics[topic_id]
        assert store.restore(NUMBER, NEWEST, tmp_path / f"newest-{topic_id}") == expected
        assert store.restore(NUMBER, 599, tmp_path / f"older-{topic_id}") == 300
        for name in ("newest", "older"):
            assert content_of(tmp_path / f"{name}-{topic_id}").accounts["of"] == topic_id.encode()
        assert {manifest.topic_id for manifest in store.manifests(NUMBER)} == {topic_id}
        assert sorted(store.topic_ids(NUMBER)) == sorted(IDS)
        assert store.partitions() == [NUMBER]
        assert [manifest.next_offset for manifest in store.manifests_of_all(NUMBER)] == [600, 300, 900, 600, 300]
    unknown = SnapshotStore(str(tmp_path / "store"), TOPIC)  # as whoever reads an archive
    assert unknown.restore(NUMBER, NEWEST, tmp_path / "none") is None
    assert unknown.manifests(NUMBER) == []


def test_neither_is_counted_or_deleted_for_the_other(of_two_topics: dict[str, SnapshotStore], tmp_path: Path) -> None:
    now, former = (of_two_topics[topic_id] for topic_id in IDS)
    age(tmp_path / "store", hours=2)
    assert now.retain(NUMBER, 2) == 0
    assert list(now.check(NUMBER)) == [(600, []), (300, [])]
    assert now.retain(NUMBER, 1) == 1
    assert list(now.check(NUMBER)) == [(600, [])]
    assert list(former.check(NUMBER)) == [(900, []), (600, []), (300, [])]


def test_a_manifest_of_another_topic_is_not_believed(of_two_topics: dict[str, SnapshotStore], tmp_path: Path) -> None:
    folders = [tmp_path / "store" / f"{TOPIC}-{NUMBER}" / topic_id for topic_id in IDS]
    shutil.copytree(folders[1], folders[0], dirs_exist_ok=True)
    with pytest.raises(AssayError, match="none of them is whole"):
        of_two_topics[IDS[0]].restore(NUMBER, NEWEST, tmp_path / "nothing")


@pytest.mark.parametrize("topic_id", ["short", "x" * 23, "../../../../../secret..", "a/b" + "x" * 19])
def test_what_is_no_id_is_not_taken_for_one(three: Path, topic_id: str) -> None:
    """It names a folder."""
    manifest = SnapshotStore(str(three), TOPIC).manifests(NUMBER)[0]
    with pytest.raises(UnreadableManifestError):
        decoded(encoded(replace(manifest, topic_id=topic_id)), "here")
