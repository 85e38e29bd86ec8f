"""Copies of the entity state: the one that stands furthest, whole, and no trouble of the store stops the work."""

import logging
from pathlib import Path

import pytest

from streams.beside import AtOnce
from streams.remote_files import RemoteFiles
from streams.warm.entity_copies import EntityCopies


def copies(url: Path, topic_id: str = "one", every_s: float = 10.0) -> EntityCopies:
    return EntityCopies(RemoteFiles(str(url), waits_s=()), "fraud.links", topic_id, every_s, AtOnce())


def filled(url: Path, *offsets: int) -> EntityCopies:
    made = copies(url, every_s=0.0)
    for offset in offsets:
        made.offer(offset, b"state %d" % offset, 0.0)
    return made


def test_the_furthest_is_taken_if_it_stands_beyond(tmp_path: Path) -> None:
    made = filled(tmp_path, 5, 90, 1_000)
    assert made.newest(beyond=0) == made.newest(beyond=999) == b"state 1000"
    assert made.newest(beyond=1_000) is None
    assert copies(tmp_path / "nowhere").newest(0) is None


def test_two_stay_and_a_worker_that_is_behind_hides_nothing(tmp_path: Path) -> None:
    filled(tmp_path, 5, 90, 1_000)
    zombie = filled(tmp_path, 7)
    assert zombie.newest(beyond=0) == b"state 1000"
    assert sorted(path.name[:20] for path in tmp_path.rglob("*.state")) == [f"{90:020d}", f"{1_000:020d}"]


def test_a_former_topic_of_that_name_says_nothing(tmp_path: Path) -> None:
    filled(tmp_path, 5)
    assert copies(tmp_path, "another").newest(0) is None


def test_one_that_is_damaged_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = filled(tmp_path, 5, 90)
    (newest,) = tmp_path.rglob(f"{90:020d}-*")
    newest.write_bytes(b"state 91")
    assert made.newest(beyond=0) == b"state 5"
    assert newest.name in caplog.text


def test_they_are_made_as_often_as_was_asked_for(tmp_path: Path) -> None:
    made = copies(tmp_path, every_s=10.0)
    for now_s in range(35):
        made.offer(now_s, b"state", float(now_s))
    assert sorted(int(path.name[:20]) for path in tmp_path.rglob("*.state")) == [20, 30]


def test_a_store_that_does_not_take_it_is_told_and_asked_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    (tmp_path / "store").write_text("a file where a directory should be")
    made = copies(tmp_path / "store", every_s=0.0)
    made.offer(5, b"state 5", 0.0)
    assert "was not copied" in caplog.text
    (tmp_path / "store").unlink()
    made.offer(6, b"state 6", 0.0)
    assert made.newest(beyond=0) == b"state 6"
