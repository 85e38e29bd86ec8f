"""Networks against the standard library's reading of addresses."""

import ipaddress

from hypothesis import example, given
from hypothesis import strategies as st

from features.network import NO_NETWORK, network_of


def network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """The network of an address by Python's own rules; a scope is no part of an address on the wire."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if "%" in text:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return ipaddress.ip_network((int(address) >> 80 << 80, 48))
        address = address.ipv4_mapped
    return ipaddress.ip_network((int(address) >> 8 << 8, 24))


ADDRESSES = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(str),
    st.ip_addresses(v=6).map(lambda address: address.exploded.upper()),
    st.ip_addresses(v=4).map(lambda address: f"::ffff:{address}"),
    st.ip_addresses(v=4).map(lambda address: f"64:ff9b::{address}"),
)
ALMOST = st.text(alphabet="0123456789abcdefABCDEF:.%gé", max_size=45)
BROKEN = st.tuples(ADDRESSES, st.integers(0, 45), st.sampled_from(["", ":", "::", ".", "0", "f", "%1", " "])).map(
    lambda drawn: drawn[0][: drawn[1]] + drawn[2] + drawn[0][drawn[1] + 1 :]
)


@given(st.one_of(ADDRESSES, ALMOST, BROKEN))
@example("1::2:3:4:5:6:7:8")
@example("1:2:3:4:5:6:7::")
@example("::1:2:3:4:5:6:7")
@example("::1:2:3:4:5:6:7:8")
@example("1::3:4:5:6:7:1.2.3.4")
@example("1:2:3:4:5:6:1.2.3.4")
@example("1:2:3:4:5:6:7:1.2.3.4")
@example("1.2.3.4:5::")
@example("01.2.3.4")
@example("0.0.0.0")
@example("::")
@example(":::")
@example(":1::")
@example("")
def test_what_has_a_network_is_what_the_library_calls_an_address(text: str) -> None:
    assert (network_of(text) != NO_NETWORK) == (network(text) is not None)


@given(ADDRESSES, ADDRESSES)
def test_two_addresses_share_a_number_if_they_share_a_network(one: str, other: str) -> None:
    assert (network_of(one) == network_of(other)) == (network(one) == network(other))


@given(st.ip_addresses(v=6), st.integers(0, 2**80 - 1))
def test_all_of_a_site_is_one_network(address: ipaddress.IPv6Address, within: int) -> None:
    neighbour = ipaddress.IPv6Address(int(address) >> 80 << 80 | within)
    if address.ipv4_mapped is None and neighbour.ipv4_mapped is None:
        assert network_of(str(address)) == network_of(str(neighbour))
