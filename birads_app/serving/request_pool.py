"""Threads for one kind of request."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class RequestPool:
    """Threads, and a bound on the requests that wait for one of them.

    open : requests that wait or are being answered, counted by the event loop alone
    """

    def __init__(self, name: str, threads: int, queue: int) -> None:
        self.executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self.open = 0
        self._most = threads + queue

    def is_full(self) -> bool:
        return self.open >= self._most

    def submit(self, function: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        """Run the function in a thread; the caller subtracts it from ``open`` afterwards."""
        self.open += 1
        return self.executor.submit(function, *arguments)
