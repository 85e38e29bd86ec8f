"""Memory in blocks of a few sizes, without holes: what the histories and the names of hot accounts lie in.

Blocks of one size stay side by side: where one is given back, the last of its size moves into its place, and whoever
holds that one is told its new start. So only the last page of each size is ever part empty, whatever the order in which
large and small blocks come and go, and pages that become empty are free for any size.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled


class Blocks(NamedTuple):
    """An arena as kernels see it. A holder is a number; the caller keeps the start of each holder's block."""

    units: NDArray[Any]
    """What blocks are made of, side by side: records, or bytes."""
    owners: NDArray[np.int32]
    """int32, holder of the block that begins at unit `sizes[0]` times the index."""
    sizes: NDArray[np.int64]
    """int64[s], sizes of blocks in units, rising; each divides the page and is a multiple of the first."""
    page: int
    """Units of a page."""
    pages: NDArray[np.int32]
    """int32[p, s], the pages of each size, in the order in which its blocks fill them."""
    free: NDArray[np.int32]
    """int32[p], a stack of pages that no size uses."""
    counts: NDArray[np.int64]
    """int64[s + 1], blocks in use of each size, and how many pages are free."""


@compiled
def size_place(sizes: NDArray[np.int64], units: int) -> int:
    """Which size holds so many units; the largest if none does."""
    for place in range(len(sizes) - 1):
        if sizes[place] >= units:
            return place
    return len(sizes) - 1


@compiled
def take_block(blocks: Blocks, holder: int, place: int) -> int:
    """Start of a block of size `sizes[place]` for a holder; -1 if there is no free page (see `Arena.lengthen`)."""
    size = blocks.sizes[place]
    in_page = blocks.page // size
    number = blocks.counts[place]
    if number % in_page == 0:
        free = blocks.counts[-1]
        if free == 0:
            return -1
        blocks.pages[number // in_page, place] = blocks.free[free - 1]
        blocks.counts[-1] = free - 1
    blocks.counts[place] = number + 1
    start: int = blocks.pages[number // in_page, place] * blocks.page + number % in_page * size
    blocks.owners[start // blocks.sizes[0]] = holder
    return start


@compiled
def give_block_back(blocks: Blocks, starts: NDArray[np.int64], start: int, place: int) -> None:
    """Free the block at `start`; `starts[holder]` is set for the holder of the block that moves there, if one does."""
    size = blocks.sizes[place]
    in_page = blocks.page // size
    last = blocks.counts[place] - 1
    page = blocks.pages[last // in_page, place]
    moved = page * blocks.page + last % in_page * size
    if moved != start:
        for unit in range(size):
            blocks.units[start + unit] = blocks.units[moved + unit]
        holder = blocks.owners[moved // blocks.sizes[0]]
        blocks.owners[start // blocks.sizes[0]] = holder
        starts[holder] = start
    blocks.counts[place] = last
    if last % in_page == 0:
        blocks.free[blocks.counts[-1]] = page
        blocks.counts[-1] += 1


class Arena:
    """Blocks and the memory that they lie in.

    Args:
        dtype: of a unit.
        sizes: of blocks, in units, rising; each a multiple of the first.
        page: units of a page, a multiple of every size.
        expected: units to begin with; rounded up to pages.
    """

    def __init__(self, dtype: np.dtype[Any], sizes: tuple[int, ...], page: int, expected: int) -> None:
        assert all(page % size == 0 and size % sizes[0] == 0 for size in sizes), "blocks fill pages without a rest"
        self.blocks = Blocks(
            units=np.zeros(0, dtype=dtype),
            owners=np.zeros(0, dtype=np.int32),
            sizes=np.array(sizes, dtype=np.int64),
            page=page,
            pages=np.zeros((0, len(sizes)), dtype=np.int32),
            free=np.zeros(0, dtype=np.int32),
            counts=np.zeros(len(sizes) + 1, dtype=np.int64),
        )
        self._add_pages(max(1, -(-expected // page)))

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        blocks = self.blocks
        return blocks.units.nbytes + blocks.owners.nbytes + blocks.pages.nbytes + blocks.free.nbytes

    @property
    def used_bytes(self) -> int:
        """Bytes of the blocks in use."""
        return int(self.blocks.counts[:-1] @ self.blocks.sizes) * self.blocks.units.itemsize

    def lengthen(self) -> None:
        """Make room for more blocks, a little at a time: the memory is touched at once, and moved by its page table."""
        self._add_pages(max(1, len(self.blocks.pages) // 16))

    def _add_pages(self, more: int) -> None:
        blocks = self.blocks
        before = len(blocks.pages)
        lengthen(blocks.units, (before + more) * blocks.page)
        lengthen(blocks.owners, (before + more) * (blocks.page // int(blocks.sizes[0])))
        lengthen(blocks.pages, before + more)
        lengthen(blocks.free, before + more)
        free = int(blocks.counts[-1])
        blocks.free[free : free + more] = np.arange(before + more - 1, before - 1, -1)
        blocks.counts[-1] = free + more


def lengthen(array: NDArray[Any], length: int) -> None:
    """Make an array longer where it lies, new elements 0: a copy beside it would double the memory for a moment.

    Views of it must not be used afterwards.
    """
    array.resize((length, *array.shape[1:]), refcheck=False)
