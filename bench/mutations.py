"""Damaged files, sent to a running server by several clients, while another account uploads a good one."""

import argparse
import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from bench import clients, worker
from bench.measurement import Measurement
from tests.support import dicom_files
from tests.support.dicom_mutations import MUTATIONS, Damage, built, damaged
from tests.support.factories import breast

CLIENTS, REQUIRED_OTHER_S = 4, 5.0
_PAUSE_S = 2.0


def measure(options: argparse.Namespace) -> Iterator[Measurement]:
    """Send files whose damage is drawn from a seed."""
    boundary, generator = secrets.token_hex(16), random.Random(options.seed)
    kinds, sources = sorted(MUTATIONS), sorted(built())
    with worker.serving(options.models, BIRADS_UPLOADS_AT_ONCE="16") as served:
        process, other = served.process, served.add_account("other")
        good = worker.multipart([("good.dcm", dicom_files.mammogram(breast(640, 512)))], boundary)
        statuses: Counter[int] = Counter()
        others: list[tuple[int, float]] = []
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(_PAUSE_S):
                start = time.monotonic()
                status = clients.send(served.port, other, good, boundary).status
                others.append((status, time.monotonic() - start))

        def send(damage: Damage) -> int:
            body = worker.multipart([("damaged.dcm", damaged(damage))], boundary)
            while (answer := clients.send(served.port, served.token, body, boundary)).wait is not None:
                time.sleep(float(answer.wait))
            if _is_wrong(answer.status):
                print(f"answered {answer.status}: {damage}", flush=True)
            return answer.status

        watcher = threading.Thread(target=watch)
        watcher.start()
        drawn = (
            Damage(
                generator.choice(sources),
                generator.choice(kinds),
                generator.getrandbits(32),
                generator.randrange(60),
                generator.getrandbits(32),
            )
            for _ in range(options.files)
        )
        start = time.monotonic()
        with ThreadPoolExecutor(CLIENTS) as threads:
            for number, status in enumerate(threads.map(send, drawn), 1):
                statuses[status] += 1
                if number % 1000 == 0:
                    print(f"{number} of {options.files}: {dict(sorted(statuses.items()))}", flush=True)
        rate = options.files / (time.monotonic() - start)
        ended.set()
        watcher.join()
        restarted = int(served.process != process)
    wrong = sum(count for status, count in statuses.items() if _is_wrong(status))
    failed = sum(status != 201 for status, _ in others)
    slowest = max(seconds for _, seconds in others)
    print(f"answers to {options.files} damaged files: {dict(sorted(statuses.items()))}", flush=True)
    yield Measurement("lost connections and answers of 500 or more", wrong, None, wrong, most=0)
    yield Measurement("restarts of the server", restarted, None, restarted, most=0)
    yield Measurement(f"failed uploads of another account, of {len(others)}", failed, None, failed, most=0)
    yield Measurement("its slowest upload, s", slowest, None, slowest, most=REQUIRED_OTHER_S)
    yield Measurement("damaged files a second", rate, None, rate)


def _is_wrong(status: int) -> bool:
    """Return True for a lost connection or a fault of the server."""
    return status == 0 or status >= 500
