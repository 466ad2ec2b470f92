"""Messages between processes."""

import socket
from collections.abc import Iterator

import pytest

from birads_app.compute.channel import Channel
from birads_app.terms.views import ViewRole


@pytest.fixture
def channels() -> Iterator[tuple[Channel, Channel]]:
    """Return both ends of a connection: that of the server, and that of a process that reads files."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Channel(ours), Channel(theirs, trusting=True)


def test_members_of_an_enum_arrive_in_every_release_of_python(
    channels: tuple[Channel, Channel], monkeypatch: pytest.MonkeyPatch
) -> None:
    def as_in_python_3_11_2(self: ViewRole, protocol: int) -> tuple[object, ...]:
        return getattr, (ViewRole, self.name)

    monkeypatch.setattr(ViewRole, "__reduce_ex__", as_in_python_3_11_2)
    server, process = channels
    for sender, receiver in ((process, server), (server, process)):
        sender.send({"role": ViewRole.STANDARD})
        assert receiver.receive()["role"] is ViewRole.STANDARD
