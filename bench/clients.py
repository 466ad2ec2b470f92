"""Clients of a served API: uploads with a key, repeated as the answers say."""

import http.client
import itertools
import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Uploads:
    """Answers to the uploads of some clients.

    statuses : number of answers with each status; 0 for lost connections
    acknowledged : ids of the exams
    refused_s : durations of answers with 429 and 503
    without_wait : number of those without Retry-After
    """

    statuses: Counter[int] = field(default_factory=Counter)
    acknowledged: list[str] = field(default_factory=list)
    refused_s: list[float] = field(default_factory=list)
    without_wait: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def wrong(self) -> int:
        """Number of answers that no client should get."""
        others = sum(count for status, count in self.statuses.items() if status not in (201, 429, 503))
        return others + self.without_wait


@dataclass(frozen=True)
class Answer:
    """Answer to a request: status, 0 if the connection was lost; content; seconds to wait, if it says so."""

    status: int
    content: bytes
    wait: str | None


def send(
    port: int, token: str, body: bytes, boundary: str, key: str | None = None, *, later: bool = False
) -> Answer:
    """Send a multipart body to the API; ``later`` to have it read after the answer."""
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": f"multipart/form-data; boundary={boundary}",
    }
    if key is not None:
        headers["Idempotency-Key"] = key
    if later:
        headers["Prefer"] = "respond-async"
    try:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=300)) as connection:
            connection.request("POST", "/api/v1/predictions", body, headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read(), answer.headers.get("Retry-After"))
    except (OSError, http.client.HTTPException):
        return Answer(0, b"", None)


def upload(
    ports: Sequence[int], token: str, body: bytes, boundary: str, found: Uploads, until: float
) -> bool:
    """Send an exam, again after the time that a refusal names; True once it is acknowledged, before ``until``.

    Parameters
    ----------
    ports : of the servers, of which each attempt takes another one
    """
    key, attempts = secrets.token_hex(16), itertools.count(secrets.randbelow(len(ports)))
    while True:
        start = time.monotonic()
        answer = send(ports[next(attempts) % len(ports)], token, body, boundary, key)
        with found.lock:
            found.statuses[answer.status] += 1
            if answer.status == 201:
                found.acknowledged += ids(json.loads(answer.content))
                return True
            if answer.status in (429, 503):
                found.refused_s.append(time.monotonic() - start)
                found.without_wait += answer.wait is None
        if time.monotonic() >= until:
            return False
        time.sleep(float(answer.wait or 1))


def upload_later(ports: Sequence[int], token: str, body: bytes, boundary: str) -> str:
    """Send an exam to be read later, again until it is accepted; return the id of its job. ``ports`` as above."""
    key, attempts = secrets.token_hex(16), itertools.count(secrets.randbelow(len(ports)))
    while True:
        answer = send(ports[next(attempts) % len(ports)], token, body, boundary, key, later=True)
        if answer.status == 202:
            return str(json.loads(answer.content)["id"])
        time.sleep(float(answer.wait or 1))


def ids(answer: dict[str, Any]) -> list[str]:
    """Return the ids of the exams in an answer."""
    return [exam["id"] for exam in answer.get("exams", [answer])]


def upload_for(
    ports: Sequence[int], tokens: Sequence[str], body: bytes, boundary: str, clients: int, seconds: float
) -> Uploads:
    """Upload with some clients at a time for some seconds."""
    found, until = Uploads(), time.monotonic() + seconds

    def client(number: int) -> None:
        while time.monotonic() < until:
            upload(ports, tokens[number % len(tokens)], body, boundary, found, until)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found
