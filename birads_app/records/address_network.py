"""Network of a client, as counted by limits."""

from ipaddress import IPv6Address, ip_address, ip_network

# The part of an IPv6 address that a provider gives to one customer as a whole.
_IPV6_PREFIX = 64


def network_of(address: str) -> str:
    """Return an IPv4 address as it is, and the network of an IPv6 address, of which one client has all addresses."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ip_network((parsed, _IPV6_PREFIX), strict=False))
