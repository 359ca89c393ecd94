"""Audit hook that denies trials access to the network."""

from __future__ import annotations

import errno
import ipaddress
from typing import Any


def deny_network(event: str, arguments: tuple[Any, ...]) -> None:
    """Audit hook that lets sockets connect only to this machine.

    Raises:
        OSError: On a connection or a name look-up that leaves the machine.
    """
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if not _is_loopback(host):
        raise OSError(
            errno.ENETUNREACH, f"trials run without network, but {host!r} was asked for: fetch the data in 'prepare'"
        )


def _is_loopback(host: Any) -> bool:
    if host in {None, "", "localhost", b"localhost"}:
        return True
    try:
        return ipaddress.ip_address(host.decode() if isinstance(host, bytes) else host).is_loopback
    except ValueError:
        return False
