"""Limits of a web worker's connections."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ConnectionLimits:
    """Limits of one worker process: numbers, bytes and seconds.

    upload_threads : threads for requests with files, or with a body larger than ``collected_bytes``
    upload_queue, page_queue : requests that may wait for a thread; those beyond are answered with 503
    health_threads : threads for the health checks alone
    half_open_per_address : connections of one address whose request has not arrived; proxies are excepted
    header_bytes : the request line and the header together (431)
    collected_bytes : largest body that is received before a thread is used
    silent_s : a new connection without a byte; a kept one has gunicorn's ``keepalive``
    header_s, body_s : until the header, and a body of up to ``collected_bytes``, are complete (408)
    stall_s : a larger body without a byte (408)
    body_rate : bytes per second of a larger body, on average once it has been waited for ``stall_s`` (408)
    send_s : a response of which the client takes nothing
    kept_bytes : of a response, beyond which a thread waits for the client before it makes more
    linger_s, linger_stall_s : a refused body is read and discarded, in all and without a byte
    retry_s : the ``Retry-After`` of a 503
    """

    upload_threads: int = 24
    upload_queue: int = 8
    page_queue: int = 128
    health_threads: int = 2
    half_open_per_address: int = 64
    header_bytes: int = 32 * 1024
    collected_bytes: int = 64 * 1024
    silent_s: float = 10
    header_s: float = 10
    body_s: float = 20
    stall_s: float = 20
    body_rate: int = 4096
    send_s: float = 30
    kept_bytes: int = 4 * 2**20
    linger_s: float = 30
    linger_stall_s: float = 5
    retry_s: int = 5
