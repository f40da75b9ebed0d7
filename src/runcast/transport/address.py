"""From where a request comes, as connections and attempts are counted."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Final

from starlette.types import Scope

NETWORK_BITS: Final = 64
"""Of IPv6: whoever has one address has all of such a network (RFC 6177 §2), so it counts as one."""


def address_of(scope: Scope) -> str:
    """The client's IPv4 address or IPv6 network; empty if it has none, as over a local socket."""
    client = scope.get("client")
    return _counted(client[0]) if client else ""


@lru_cache(maxsize=1_024)
def _counted(address: str) -> str:
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    ip = getattr(ip, "ipv4_mapped", None) or ip
    if ip.version == 4:
        return str(ip)
    return str(ipaddress.ip_network((ip, NETWORK_BITS), strict=False))
