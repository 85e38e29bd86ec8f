"""Where the states of partitions lie on a disk, and how one takes the place of another without a loss."""

import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from features.errors import AssayError
from features.rocks_store import RocksStore, StateInUseError


def directory_of(states: Path, topic: str, partition: int) -> Path:
    """Directory of one partition's state.

    >>> directory_of(Path("state"), "fraud.events", 3).as_posix()
    'state/fraud.events-3'
    """
    return states / f"{topic}-{partition}"


def partition_numbers(topic: str, names: Iterable[str]) -> list[int]:
    """Partitions of `topic` among names of directories, rising.

    >>> partition_numbers("fraud.events", ["fraud.events-11", "fraud.events-2", "fraud.events-2.before-90", "other-1"])
    [2, 11]
    """
    pattern = re.compile(re.escape(topic) + "-([0-9]{1,9})")
    return sorted(int(match[1]) for name in names if (match := pattern.fullmatch(name)))


def local_partitions(states: Path, topic: str) -> list[int]:
    """Partitions whose state is in the directory `states`; none if it is not there."""
    if not states.is_dir():
        return []
    return partition_numbers(topic, (path.name for path in states.iterdir() if path.is_dir()))


def bytes_in(directory: Path) -> int:
    """Bytes of the files in a state; a worker may be replacing some meanwhile.

    >>> bytes_in(Path("no such directory"))
    0
    """
    total_bytes = 0
    for path in directory.glob("*"):
        with suppress(FileNotFoundError):
            total_bytes += path.stat().st_size
    return total_bytes


def check_free(directory: Path, *, replace: bool) -> None:
    """See that a new state may take the place of `directory`.

    Raises:
        StateInUseError: a worker has it open.
        AssayError: there is a state, and it is not to be replaced.
    """
    if not directory.exists():
        return
    if not replace:
        raise AssayError(
            f"{directory}: expected no state there, there is one; --replace moves it aside (it is not deleted)"
        )
    try:
        RocksStore(directory).close()
    except StateInUseError:
        raise
    except AssayError:
        return  # damaged: nobody can have it open


@contextmanager
def fresh_beside(directory: Path) -> Iterator[Path]:
    """A path on the same disk where a new state can be made; what is still there at the end of the block is deleted."""
    fresh = directory.with_name(f".{directory.name}.fresh")
    shutil.rmtree(fresh, ignore_errors=True)  # a crash may have left it
    try:
        yield fresh
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def put_in_place(fresh: Path, directory: Path, offset: int) -> Path | None:
    """Move a new state to `directory`; one that was there is renamed, never deleted.

    Args:
        fresh: the new state.
        directory: where it belongs.
        offset: at which the new state stands.

    Returns:
        New name of the former state, ``<directory>.before-<offset>``; None if there was none.

    Raises:
        AssayError: something cannot be renamed.
    """
    aside = None
    try:
        if directory.exists():
            aside = _free_name(directory.with_name(f"{directory.name}.before-{offset}"))
            directory.rename(aside)
        fresh.rename(directory)
    except OSError as error:
        raise AssayError(
            f"{directory}: expected to put a new state there ({error.strerror}); "
            f"the former one is in {aside or directory}"
        ) from None
    return aside


def _free_name(path: Path) -> Path:
    """`path`, or with a number behind it if that name is taken."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}.{number}")
    return free
