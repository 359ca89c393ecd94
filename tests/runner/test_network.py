"""Trials run without network."""

import pytest

from mainstay.runner.network import deny_network


@pytest.mark.parametrize("address", [("127.0.0.1", 80), ("::1", 80, 0, 0), ("localhost", 80)], ids=str)
def test_sockets_may_connect_to_this_machine(address):
    deny_network("socket.connect", (None, address))


@pytest.mark.parametrize(
    ("event", "arguments"),
    [
        ("socket.connect", (None, ("192.0.2.1", 80))),
        ("socket.connect", (None, ("2001:db8::1", 80, 0, 0))),
        ("socket.getaddrinfo", ("example.org", 80, 0, 0, 0)),
    ],
    ids=["v4", "v6", "name"],
)
def test_sockets_may_not_leave_this_machine(event, arguments):
    with pytest.raises(OSError, match="without network"):
        deny_network(event, arguments)
