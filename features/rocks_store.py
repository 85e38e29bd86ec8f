"""The store on disk: one RocksDB per partition. The only file that touches RocksDB.

Keys: ``a`` + account id, ``v`` + name of a partition value. A small write is one WriteBatch, through the write-ahead
log without an fsync. A large one is one table file, written in the order of keys and taken in whole: a WriteBatch would
hold the interpreter until all of it is in. Either way kill -9 loses nothing that was written, and after a power loss
the store reopens at an older but consistent checkpoint, whose offset says where to go on. Each scan ends by asking the
iterator for its status, because a damaged file otherwise looks like an early end.

Why the options are what they are: docs/decisions/0014-state.md.

A damaged record in the write-ahead log: a store opened for writing stops before it, at an older but consistent
checkpoint, and the log of events fills the gap. A store opened read-only is there to look, so it says that there is
damage; a record that is merely cut off, by a kill or because it is being written now, is no damage.
"""

import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rocksdict import (
    AccessType,
    BlockBasedOptions,
    Cache,
    Checkpoint,
    DBCompressionType,
    DBRecoveryMode,
    IngestExternalFileOptions,
    Options,
    Rdict,
    SstFileWriter,
    WriteBatch,
)

from features.errors import AssayError
from features.packing import PackedAccounts

_log = logging.getLogger("assay.store")
_ACCOUNT = b"a"
_VALUE = b"v"
_MIB = 1 << 20

BLOCK_CACHE_BYTES = 16 * _MIB
"""Shared by every partition of the process. Small: who is read twice is among the hot accounts."""
_block_cache: list[Cache] = []
_OPEN_TRIES = 5

LARGE_WRITE_BYTES = _MIB
"""Checkpoints from this size on are written as a table."""
_READERS = 4
_FEWEST_SIDE_BY_SIDE = 16
_TABLE = "checkpoint.table"
_PIECE = 16
_PAUSE_S = 100e-6
_SYNC_BYTES = 4 * _MIB


def _options() -> Options:
    if not _block_cache:
        _block_cache.append(Cache(BLOCK_CACHE_BYTES))
    table = BlockBasedOptions()
    table.set_block_cache(_block_cache[0])
    table.set_bloom_filter(10, False)  # most reads of a growing customer base are for accounts never seen
    table.set_block_size(4 * 1024)
    table.set_cache_index_and_filter_blocks(False)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(table)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_write_buffer_size(32 * _MIB)
    options.set_max_write_buffer_number(2)
    options.set_max_background_jobs(2)
    options.set_max_open_files(-1)  # also keeps open what a worker's compaction deletes from under a reader
    options.set_keep_log_file_num(2)
    return options


def _read_only_options() -> Options:
    options = _options()
    options.set_wal_recovery_mode(DBRecoveryMode.tolerate_corrupted_tail_records())
    return options


class DamagedStateError(AssayError):
    """Files of a state are not as RocksDB wrote them."""


class StateInUseError(AssayError):
    """Another process has the state open for writing."""


class RocksStore:
    """A `StateStore` in the directory `path`, created if it is not there.

    With `read_only` it shows the state as it is at this moment, also while a worker holds it; it has to be there.

    Raises:
        DamagedStateError: files are damaged or missing.
        StateInUseError: another process has it open for writing.
        AssayError: it cannot be read or written, or is not there and was to be read only.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        self._read_only = read_only
        self._closed = False
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="assay-read")
        try:
            if read_only:
                self._database = _opened_to_look(path)
            else:
                path.mkdir(parents=True, exist_ok=True)
                (path / _TABLE).unlink(missing_ok=True)  # of a process that was killed
                self._database = _opened(path, _options(), AccessType.read_write())
        except AssayError:
            raise
        except Exception as error:  # rocksdict raises plain Exception
            raise _explained(path, error) from None

    def get_accounts(self, keys: Sequence[str]) -> list[bytes | None]:
        """See `StateStore`; one batched read, or a few side by side: then the disk has several to answer at a time."""
        if not keys:
            return []
        asked = [_ACCOUNT + key.encode() for key in keys]
        try:
            if len(asked) < _READERS * _FEWEST_SIDE_BY_SIDE:
                found: list[bytes | None] = self._database.get(asked)
                return found
            each = -(-len(asked) // _READERS)
            parts = [asked[start : start + each] for start in range(0, len(asked), each)]
            return [one for part in self._readers.map(self._database.get, parts) for one in part]
        except Exception as error:
            raise _explained(self._path, error) from None

    def get_value(self, name: str) -> bytes | None:
        """See `StateStore`."""
        try:
            value: bytes | None = self._database.get(_VALUE + name.encode())
        except Exception as error:
            raise _explained(self._path, error) from None
        return value

    def write(self, accounts: Iterable[tuple[str, bytes]], values: Mapping[str, bytes]) -> None:
        """See `StateStore`; one WriteBatch, or one table (see above)."""
        if isinstance(accounts, PackedAccounts) and accounts.data.nbytes >= LARGE_WRITE_BYTES:
            try:
                self._write_table(accounts, values)
            except Exception as error:
                raise _explained(self._path, error) from None
            return
        batch = WriteBatch(raw_mode=True)
        for key, packed in accounts:
            batch.put(_ACCOUNT + key.encode(), packed)
        for name, value in values.items():
            batch.put(_VALUE + name.encode(), value)
        try:
            self._database.write(batch)
        except Exception as error:
            raise _explained(self._path, error) from None

    def _write_table(self, accounts: PackedAccounts, values: Mapping[str, bytes]) -> None:
        """Write a table beside those of the database, then let it take that in: a moment, all or nothing.

        RocksDB's calls hold the interpreter. In a thread of its own this one leaves it to others every now and then,
        and most of the file is on the disk before the last call waits for the rest.
        """
        path = self._path / _TABLE
        gives_way = threading.current_thread() is not threading.main_thread()
        try:
            writer = SstFileWriter(options=_options())
            writer.open(str(path))
            with path.open("rb") as file:
                rows, unsynced = accounts.by_name(), 0
                for start in range(0, len(rows), _PIECE):
                    for key, packed in accounts.pairs(rows[start : start + _PIECE]):
                        writer[_ACCOUNT + key] = packed
                        unsynced += len(packed)
                    if gives_way:
                        time.sleep(_PAUSE_S)
                    if unsynced >= _SYNC_BYTES:
                        os.fsync(file.fileno())
                        unsynced = 0
            for name in sorted(values, key=str.encode):
                writer[_VALUE + name.encode()] = values[name]
            writer.finish()
            _keep_in_page_cache(path)
            self._database.flush()  # what is in the write-ahead log is older; taking the table in would wait for it
            taken_in = IngestExternalFileOptions()
            taken_in.set_move_files(True)
            self._database.ingest_external_file([str(path)], taken_in)
        finally:
            path.unlink(missing_ok=True)

    def accounts(self) -> Iterator[tuple[str, bytes]]:
        """See `StateStore`."""
        return self._scan(_ACCOUNT)

    def values(self) -> Iterator[tuple[str, bytes]]:
        """Every named value, by name; raises rather than stopping early if the store is damaged."""
        return self._scan(_VALUE)

    def estimated_accounts(self) -> int:
        """About how many accounts there are, without reading them; RocksDB counts what was overwritten lately twice."""
        keys: int = self._database.property_int_value("rocksdb.estimate-num-keys") or 0
        return max(0, keys - sum(1 for _ in self.values()))

    def checkpoint(self, directory: Path) -> None:
        """A consistent copy of the open store in `directory`: hard links to the tables, and nothing in a log.

        Costs one flush of what was written lately, whatever the size of the store. `directory` must not exist, its
        parent must, and lie on the file system of the store.

        Raises:
            AssayError: it exists, or cannot be written.
        """
        assert not self._read_only, "a checkpoint of a read-only store would leave out the write-ahead log"
        try:
            Checkpoint(self._database).create_checkpoint(str(directory))
        except Exception as error:
            raise _explained(directory, error) from None

    def _scan(self, prefix: bytes) -> Iterator[tuple[str, bytes]]:
        iterator = self._database.iter()
        iterator.seek(prefix)
        while iterator.valid():
            key = iterator.key()
            if not key.startswith(prefix):
                break
            yield key[len(prefix) :].decode(), iterator.value()
            iterator.next()
        try:
            iterator.status()
        except Exception as error:
            raise _explained(self._path, error) from None

    def flush(self) -> None:
        """Move what is in the write-ahead log into table files."""
        self._database.flush()

    def close(self) -> None:
        """See `StateStore`."""
        if not self._closed:
            self._closed = True
            self._readers.shutdown()
            try:
                self._database.close()
            except Exception as error:  # a full disk, a damaged file: what is not in the files is in the log
                _log.warning("%s", _explained(self._path, error))


def _keep_in_page_cache(path: Path) -> None:
    """Read a table once: RocksDB tells the system to forget what it has just written, and these accounts come back."""
    with path.open("rb", buffering=0) as file:
        part = bytearray(_MIB)
        while file.readinto(part):
            pass


def _opened(path: Path, options: Options, access: AccessType) -> Rdict:
    """Open with these options. Without being told so by name, the client takes those of a former start out of the
    directory, and those lack the filter: each read of an account never seen would read a block."""
    return Rdict(str(path), options=options, column_families={"default": options}, access_type=access)


def _opened_to_look(path: Path) -> Rdict:
    """Open without the right to write; tried again when a worker replaces files between two steps of opening."""
    if not (path / "CURRENT").exists():  # rocksdict would make the directory
        raise AssayError(f"state in {path}: expected the state of a partition, there is none; check the directory")
    for left in reversed(range(_OPEN_TRIES)):
        try:
            return _opened(path, _read_only_options(), AccessType.read_only())
        except Exception as error:
            if left == 0 or "no such file" not in str(error).lower():
                raise
    raise AssertionError("the last try returns or raises")


def _explained(path: Path, error: Exception) -> AssayError:
    """The fault in the operator's words; RocksDB's own follow, they hold file names and no data."""
    said = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    lowered = said.lower()
    if "/lock:" in lowered:
        return StateInUseError(
            f"state in {path} is in use by another process; stop that worker, or choose another state directory "
            f"(RocksDB: {said})"
        )
    if "corruption" in lowered or "checksum" in lowered:
        what = "is damaged; move it away and start again: the state is restored, or rebuilt from the log"
        return DamagedStateError(f"state in {path} {what} (RocksDB: {said})")
    if "no space" in lowered:
        what = "is on a full disk; free space and start again, nothing is lost"
    else:
        what = (
            "cannot be used; check the path, its rights and the disk, or move it away to rebuild the state from the log"
        )
    return AssayError(f"state in {path} {what} (RocksDB: {said})")
