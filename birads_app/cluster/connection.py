"""Connection to a Dask scheduler: one that is named, or one on this machine with a process for each core.

Dask is imported here only, inside functions: nothing else of the product needs it. Workers run code of this product,
which has to be installed there in the same version; :func:`check_workers` compares.
"""

from __future__ import annotations

import logging
import os
import queue
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import uuid4

import click

if TYPE_CHECKING:
    from distributed import Client, Future, LocalCluster

_ANSWER_S = 30.0
# Seconds without a single worker after which the work is given up, and between two looks for one.
_WITHOUT_WORKER_S, _LOOK_S = 300.0, 1.0
# Tasks that wait at the scheduler for each thread of a worker, so that none is idle between two tasks.
_AHEAD = 2

Task = TypeVar("Task")
Result = TypeVar("Result")


class ClusterError(click.ClickException):
    """The cluster cannot do the work; what it has done is kept."""


class WorkerDiffers(ClusterError):
    """A worker has another version of the product, of a library or of the model."""


class Done(Generic[Task, Result]):
    """A task that has ended.

    result : of the function; None if its workers ended while they worked on it, again and again
    """

    def __init__(self, task: Task, result: Result | None) -> None:
        self.task, self.result = task, result


@contextmanager
def connected(scheduler: str | None, processes: int | None = None) -> Iterator[Client]:
    """Connect to a cluster for the block.

    Parameters
    ----------
    scheduler : address, such as ``tcp://10.0.0.5:8786``; None starts single-threaded processes on this machine,
        which end with the block
    processes : number of these; one for each core if None

    Raises
    ------
    ClusterError
        Dask is not installed, no scheduler answers, or it has no worker.
    """
    try:
        from distributed import Client
    except ImportError:
        raise ClusterError(
            "The packages for work on a cluster are missing. Install them: pip install -r requirements-cluster.txt"
        ) from None
    logging.getLogger("distributed").setLevel(logging.ERROR)  # a restarted worker is no news
    if scheduler is None:
        workers = processes or len(os.sched_getaffinity(0))
        with local_cluster(workers) as cluster, Client(cluster, set_as_default=False) as client:
            yield client
        return
    try:
        client = Client(scheduler, timeout=_ANSWER_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise ClusterError(f"No scheduler answers at {scheduler} ({type(error).__name__}).") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=_ANSWER_S)
        except TimeoutError:
            raise ClusterError(
                f"The scheduler at {scheduler} has no worker. Start some: dask worker {scheduler} --nthreads 1"
            ) from None
        yield client


@contextmanager
def local_cluster(workers: int, threads: int = 1) -> Iterator[LocalCluster]:
    """Start worker processes on this machine, which end with the block.

    Parameters
    ----------
    threads : of each process
    """
    import dask
    from distributed import LocalCluster

    settings = {
        "distributed.admin.low-level-log-length": 100,  # of each process, which fills with tasks
        "distributed.worker.profile.enabled": False,  # it takes a tenth of a core for each worker
        # A killed worker is started again, which may take long where all cores are busy; it is not given up meanwhile.
        "distributed.deploy.lost-worker-timeout": "1 hour",
    }
    with (
        dask.config.set(settings),
        tempfile.TemporaryDirectory(prefix="birads-workers-") as folder,
        LocalCluster(
            n_workers=workers,
            threads_per_worker=threads,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
            local_directory=folder,
            silence_logs=logging.CRITICAL,
        ) as cluster,
    ):
        yield cluster


def check_workers(
    client: Client, expected: Mapping[str, str], facts: Callable[..., Mapping[str, str]], *given: Any
) -> None:
    """Compare all workers with what is expected of them.

    Parameters
    ----------
    facts : function of a module of the product that runs on each worker and returns the same keys as ``expected``

    Raises
    ------
    WorkerDiffers
        It says how the first few workers differ.
    """
    try:
        found: dict[str, Mapping[str, str]] = client.run(facts, *given)
    except ImportError as error:
        raise WorkerDiffers(
            f"A worker lacks the product or one of its packages: {error}. Install the same version there."
        ) from None
    except OSError as error:
        raise ClusterError(f"The workers do not answer: {type(error).__name__}.") from None
    differing = [
        f"{address} {line}" for address, seen in found.items() if (line := difference(expected, seen))
    ]
    if differing:
        more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
        raise WorkerDiffers(f"Workers differ from this machine: {'; '.join(differing[:3])}{more}.")


def difference(expected: Mapping[str, str], seen: Mapping[str, str]) -> str:
    """Describe how what a worker has differs from what is expected; empty if it does not."""
    return ", ".join(
        f"has {name} {seen.get(name, 'unknown')} in place of {value}"
        for name, value in expected.items()
        if seen.get(name) != value
    )


def run_all(
    client: Client, function: Callable[..., Result], tasks: Iterable[Task], *given: Any
) -> Iterator[Done[Task, Result]]:
    """Call ``function(*given, task)`` on the workers; yield each result once it is there, in no particular order.

    However many tasks there are, only some for each worker are at the scheduler, and no result stays in memory. The
    task of a worker that is killed is repeated by another one. If that happens again and again, the tasks of these
    workers are repeated at the end, one at a time, so that only a task that ends its workers by itself has no result.

    Raises
    ------
    ClusterError
        The connection to the scheduler was lost, or its last worker, and none came for five minutes.
    Exception
        Raised by the function.
    """
    from distributed import CancelledError

    run, source = uuid4().hex[:8], enumerate(tasks)
    waiting: dict[str, Task] = {}
    suspects: list[Task] = []
    ended: queue.SimpleQueue[Future[Result]] = queue.SimpleQueue()

    def fill() -> None:
        """Submit tasks until every worker has some."""
        threads = max(1, sum(client.nthreads().values()))
        while len(waiting) < _AHEAD * threads:
            number, task = next(source, (0, None))
            if task is None:
                return
            waiting[submit(task, str(number))] = task

    def submit(task: Task, number: str) -> str:
        key = f"{function.__name__}-{run}-{number}"
        client.submit(function, *given, task, key=key, pure=False).add_done_callback(ended.put)
        return key

    try:
        fill()
        while waiting:
            future = _next(client, ended)
            task = waiting.pop(str(future.key))
            if (result := _result_of(future)) is None:
                suspects.append(task)
            else:
                yield Done(task, result)
            del result  # as large as the features of many images
            fill()
        for number, task in enumerate(suspects):
            submit(task, f"alone-{number}")
            yield Done(task, _result_of(_next(client, ended)))
    except (CancelledError, OSError) as error:
        raise ClusterError(f"The connection to the scheduler was lost ({type(error).__name__}).") from None


def _next(client: Client, ended: queue.SimpleQueue[Future[Result]]) -> Future[Result]:
    """Return the next task that ends; raise ClusterError if there is no worker for long."""
    last_seen = time.monotonic()
    while True:
        try:
            return ended.get(timeout=_LOOK_S)
        except queue.Empty:
            if client.nthreads():
                last_seen = time.monotonic()
            elif time.monotonic() - last_seen > _WITHOUT_WORKER_S:
                raise ClusterError(
                    f"The scheduler has had no worker for {_WITHOUT_WORKER_S:.0f} seconds. Start some; the same "
                    "command continues."
                ) from None


def _result_of(future: Future[Result]) -> Result | None:
    """Return the result of a task, which then leaves the cluster; None if its workers ended, again and again."""
    from distributed import KilledWorker

    try:
        result: Result = future.result()
        return result
    except KilledWorker:
        return None
    finally:
        future.release()


@contextmanager
def sharing(client: Client, name: str, value: object) -> Iterator[None]:
    """Give a value to every worker for the block, also to those that join or are restarted meanwhile."""
    from distributed import WorkerPlugin

    class Shared(WorkerPlugin):
        def __init__(self) -> None:
            self.name, self.value = name, value

    client.register_plugin(Shared())
    try:
        yield
    finally:
        with suppress(Exception):  # of a connection that was lost
            client.unregister_worker_plugin(name)


def shared_value(name: str) -> Any:
    """Return a value that :func:`sharing` gives to workers; to be called by a task."""
    from distributed import get_worker

    plugin: Any = get_worker().plugins[name]
    return plugin.value
