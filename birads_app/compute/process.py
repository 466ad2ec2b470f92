"""A process that calls functions for the server, within limits of memory and processor time."""

import logging
import os
import resource
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass

from birads_app.compute import allocator
from birads_app.compute.channel import Channel
from birads_app.logs import request_id, where
from birads_app.terms.errors import BiradsError, ReadingEnded
from birads_app.terms.messages import msg

log = logging.getLogger(__name__)

_NICE = 5  # pages come first
# Bytes of one image's memory that are kept for the next one: fresh memory has to be cleared, which takes longer than
# decoding.
_KEPT = 1 << 26


@dataclass(frozen=True)
class Limits:
    """Limits of a process. By default: twice what the largest accepted image takes, and the largest volume.

    memory : bytes of this process, without shared bytes
    seconds : of processor time for a call
    calls : after which the process is replaced
    kept : bytes; a process that holds more after a call is replaced
    """

    memory: int = 3 << 29
    seconds: int = 300
    calls: int = 1000
    kept: int = 300 << 20


def serve(connection: socket.socket, limits: Limits) -> None:
    """Call functions until the server ends, or this process has done its share."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(_NICE)
    memory = _allowed(resource.RLIMIT_DATA, limits.memory)
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    allocator.configure(mmap_threshold=_KEPT, trim_threshold=_KEPT)
    channel = Channel(connection, trusting=True)
    channel.send(os.getpid())
    for number in range(limits.calls):
        try:
            function, given, current_request = channel.receive()
        except (EOFError, OSError):
            return
        used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        seconds = _allowed(resource.RLIMIT_CPU, int(used) + limits.seconds)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.getrlimit(resource.RLIMIT_CPU)[1]))
        request_id.set(current_request)
        result = call(function, given)
        ends = number + 1 == limits.calls or _resident() > limits.kept
        del function, given
        channel.send((result, ends))
        if ends:
            return


def call(function: Callable[..., object], given: tuple[object, ...]) -> tuple[str, object]:
    """Return "returned" with the value, "raised" with an expected error, or "failed" with the kind of another one."""
    try:
        return "returned", function(*given)
    except BiradsError as error:
        return "raised", error.with_traceback(None)
    except OSError as error:  # such as a full disk
        return "raised", OSError(error.errno, error.strerror)
    except MemoryError:
        return "raised", ReadingEnded(msg("out-of-memory"))
    except Exception as error:
        log.error("A call failed:\n%s", where(error))
        return "failed", type(error).__name__


def _allowed(kind: int, wanted: int) -> int:
    """Return a wanted limit, or what the system allows if that is lower."""
    hard = resource.getrlimit(kind)[1]
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def _resident() -> int:
    """Return the resident memory of this process in bytes; 0 if the system does not tell."""
    try:
        with open("/proc/self/statm") as stream:
            return int(stream.read().split()[1]) * resource.getpagesize()
    except OSError:
        return 0
