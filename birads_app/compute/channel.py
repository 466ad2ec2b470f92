"""Connection between two processes: Python objects, with shared bytes as descriptors.

A process that has read a hostile file may be taken over by it. What comes from there is therefore loaded by a
restricted unpickler, which makes arrays and objects of the product's own data classes, and nothing else.
"""

import io
import pickle
import socket
import struct
from dataclasses import is_dataclass
from enum import Enum
from typing import Any

from birads_app.files.shared_bytes import SharedBytes
from birads_app.terms.errors import BiradsError
from birads_app.terms.messages import Message

_HEADER = struct.Struct("<QI")  # length of the message, number of descriptors
_DESCRIPTORS_MAX = 16
_ANSWER_MAX = 1 << 28  # bytes; some times what an image's input of the model takes
_OWN = "birads_app."
_ARRAYS = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
}


class Channel:
    """One end of a connection.

    trusting : True in the process that reads files, which receives functions from the server
    """

    def __init__(self, connection: socket.socket, *, trusting: bool = False) -> None:
        self.connection = connection
        self._trusting = trusting

    def send(self, message: object) -> None:
        """Send an object; raises OSError if the other process has ended."""
        body = io.BytesIO()
        pickler = _Pickler(body)
        pickler.dump(message)
        descriptors = pickler.descriptors
        header = _HEADER.pack(body.tell(), len(descriptors))
        if descriptors:
            socket.send_fds(self.connection, [header], descriptors)
        else:
            self.connection.sendall(header)
        self.connection.sendall(body.getbuffer())

    def receive(self) -> Any:
        """Receive an object.

        Raises
        ------
        EOFError
            The other process has ended.
        TimeoutError
            The connection's timeout has passed.
        pickle.UnpicklingError
            The message contains something else than data.
        """
        if not self._trusting:  # the system closes descriptors that are not asked for
            length, _ = _HEADER.unpack(self._exactly(_HEADER.size))
            if length > _ANSWER_MAX:
                raise pickle.UnpicklingError(f"An answer of {length} bytes is not accepted")
            return _DataUnpickler(io.BytesIO(self._exactly(length))).load()
        start, descriptors, _, _ = socket.recv_fds(self.connection, _HEADER.size, _DESCRIPTORS_MAX)
        files = list(map(SharedBytes, descriptors))  # which are closed with it, whatever follows
        length, _ = _HEADER.unpack(start + self._exactly(_HEADER.size - len(start)))
        return _Unpickler(io.BytesIO(self._exactly(length)), files).load()

    def _exactly(self, count: int) -> bytearray:
        target = bytearray(count)
        view, position = memoryview(target), 0
        while position < count:
            received = self.connection.recv_into(view[position:])
            if not received:
                raise EOFError
            position += received
        return target


class _Pickler(pickle.Pickler):
    """Replaces shared bytes by the place of their descriptor in a list, their start and their size.

    Members of an Enum are sent as class and value. Early releases of Python 3.11, such as Debian 12's, would send a
    call of getattr, which the other end does not accept.
    """

    def __init__(self, target: io.BytesIO) -> None:
        super().__init__(target, protocol=5)
        self.descriptors: list[int] = []

    def persistent_id(self, found: object) -> tuple[int, int, int] | None:
        if not isinstance(found, SharedBytes):
            return None
        self.descriptors.append(found.descriptor)
        return len(self.descriptors) - 1, found.start, len(found)

    def reducer_override(self, found: object) -> Any:
        return (type(found), (found.value,)) if isinstance(found, Enum) else NotImplemented


class _Unpickler(pickle.Unpickler):
    def __init__(self, source: io.BytesIO, files: list[SharedBytes]) -> None:
        super().__init__(source)
        self._files = files

    def persistent_load(self, found: tuple[int, int, int]) -> SharedBytes:
        place, start, size = found
        return self._files[place].part(start, size)


class _DataUnpickler(pickle.Unpickler):
    """Makes data only, without shared bytes; raises UnpicklingError for anything else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ARRAYS:
            return super().find_class(module, name)
        found = super().find_class(module, name) if module.startswith(_OWN) or module == "builtins" else None
        if isinstance(found, type) and (
            is_dataclass(found) or issubclass(found, BiradsError | Message | Enum | OSError)
        ):
            return found
        raise pickle.UnpicklingError(f"{module}.{name} is not accepted from a process that reads files")
