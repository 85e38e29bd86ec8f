"""The store on disk: one RocksDB per partition. The only file that touches RocksDB.

Keys: ``a`` + account id, ``v`` + name of a partition value. Writes go through the write-ahead log without an fsync:
kill -9 loses nothing that was written, and after a power loss the store reopens at an older but consistent checkpoint,
whose offset says where to go on. Each scan ends by asking the iterator for its status, because a damaged file
otherwise looks like an early end.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from rocksdict import (
    AccessType,
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    Options,
    Rdict,
    WriteBatch,
)

from features.errors import AssayError

_ACCOUNT = b"a"
_VALUE = b"v"
_MIB = 1 << 20

BLOCK_CACHE_BYTES = 64 * _MIB
"""Shared by every partition of the process."""
_block_cache: list[Cache] = []


def _options() -> Options:
    if not _block_cache:
        _block_cache.append(Cache(BLOCK_CACHE_BYTES))
    table = BlockBasedOptions()
    table.set_block_cache(_block_cache[0])
    table.set_bloom_filter(10, False)  # most reads of a growing customer base are for accounts never seen
    table.set_block_size(16 * 1024)
    table.set_cache_index_and_filter_blocks(True)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(table)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_write_buffer_size(32 * _MIB)
    options.set_max_write_buffer_number(2)
    options.set_max_background_jobs(2)
    options.set_max_open_files(256)
    options.set_keep_log_file_num(2)
    return options


class RocksStore:
    """A `StateStore` in the directory `path`, created if it is not there.

    Raises:
        AssayError: another process holds the directory, it is damaged, or it cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._closed = False
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._database = Rdict(str(path), options=_options(), access_type=AccessType.read_write())
        except Exception as error:  # rocksdict raises plain Exception
            raise _explained(path, error) from None

    def get_accounts(self, keys: Sequence[str]) -> list[bytes | None]:
        """See `StateStore`; one batched read."""
        if not keys:
            return []
        try:
            found: list[bytes | None] = self._database.get([_ACCOUNT + key.encode() for key in keys])
        except Exception as error:
            raise _explained(self._path, error) from None
        return found

    def get_value(self, name: str) -> bytes | None:
        """See `StateStore`."""
        try:
            value: bytes | None = self._database.get(_VALUE + name.encode())
        except Exception as error:
            raise _explained(self._path, error) from None
        return value

    def write(self, accounts: Iterable[tuple[str, bytes]], values: Mapping[str, bytes]) -> None:
        """See `StateStore`; one WriteBatch."""
        batch = WriteBatch(raw_mode=True)
        for key, packed in accounts:
            batch.put(_ACCOUNT + key.encode(), packed)
        for name, value in values.items():
            batch.put(_VALUE + name.encode(), value)
        try:
            self._database.write(batch)
        except Exception as error:
            raise _explained(self._path, error) from None

    def accounts(self) -> Iterator[tuple[str, bytes]]:
        """See `StateStore`."""
        iterator = self._database.iter()
        iterator.seek(_ACCOUNT)
        while iterator.valid():
            key = iterator.key()
            if not key.startswith(_ACCOUNT):
                break
            yield key[len(_ACCOUNT) :].decode(), iterator.value()
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
            self._database.close()


def _explained(path: Path, error: Exception) -> AssayError:
    """The fault in the operator's words; RocksDB's own follow, they hold file names and no data."""
    said = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    lowered = said.lower()
    if "/lock:" in lowered:
        what = "is in use by another process; stop that worker, or choose another state directory"
    elif "no space" in lowered:
        what = "is on a full disk; free space and start again, nothing is lost"
    elif "corruption" in lowered or "checksum" in lowered:
        what = "is damaged; move it away and start again: the state is rebuilt from the log"
    else:
        what = (
            "cannot be used; check the path, its rights and the disk, or move it away to rebuild the state from the log"
        )
    return AssayError(f"state in {path} {what} (RocksDB: {said})")
