"""Address of the client, as counted by limits."""

from ipaddress import IPv6Address, ip_address, ip_network

from flask import request

# The part of an IPv6 address that a provider gives to one customer as a whole.
_IPV6_PREFIX = 64


def client_address() -> str:
    """Return the IPv4 address, or the network of the IPv6 address, of which one client has all addresses."""
    text = request.remote_addr or ""
    try:
        address = ip_address(text)
    except ValueError:
        return text
    if not isinstance(address, IPv6Address):
        return text
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ip_network((address, _IPV6_PREFIX), strict=False))
