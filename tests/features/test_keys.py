"""Identifiers side by side in one buffer."""

from hypothesis import given
from hypothesis import strategies as st

from features.identity import hash64
from features.keys import key_at, keys_of


@given(st.lists(st.text(min_size=1, max_size=64)))
def test_every_identifier_can_be_read_back(names: list[str]) -> None:
    names = [name.encode("utf-8", "replace").decode() for name in names]
    keys = keys_of(names)
    assert [key_at(keys, place).decode() for place in range(len(names))] == names
    assert keys.hash.tolist() == [hash64(name) for name in names]
