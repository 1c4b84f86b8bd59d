"""Which addresses belong to the public internet, and to nobody's inside."""

import ipaddress

#: Ranges that `is_global` of Python lets pass although they lead back inside, or to a relay
#: that might: the last byte of such an address can be anybody's.
_REFUSED = tuple(
    ipaddress.ip_network(text)
    for text in (
        "192.0.0.0/24",  # IETF assignments
        "192.31.196.0/24",  # AS112, anycast
        "192.52.193.0/24",  # automatic multicast tunnelling, a relay
        "192.88.99.0/24",  # 6to4, a relay
        "192.175.48.0/24",  # AS112, anycast
        "2001::/23",  # Teredo, ORCHID, benchmarking: the IETF's own
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address is inside
        "2620:4f:8000::/48",  # AS112, anycast
        "3ffe::/16",  # the 6bone, gone
        "3fff::/20",  # documentation
    )
)
#: IANA gives out no other global unicast addresses. Everything that wraps an IPv4 address
#: (mapped, compatible, NAT64, translated) lies outside of it, and so do fc00::/7 and fe80::/10.
_UNICAST = ipaddress.ip_network("2000::/3")


def is_public(text: str) -> bool:
    """Whether `text` is one address of a machine on the public internet, and surely so."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if address not in _UNICAST or address.scope_id is not None:
            return False
    elif address.is_multicast:
        return False
    return address.is_global and not any(
        address in network for network in _REFUSED if network.version == address.version
    )
