"""``/metrics``: figures of all processes and the state of the installation, in the format of Prometheus.

It may be read from the server itself, from the networks in BIRADS_METRICS_NETWORKS, and with a token.
"""

import logging
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import accumulate
from pathlib import Path

from flask import Blueprint, Response, current_app, request
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder

from birads_app.config import Settings
from birads_app.logs import where
from birads_app.monitoring import instruments
from birads_app.monitoring.figure_file import Key
from birads_app.monitoring.instruments import BUCKETS, Instrument
from birads_app.practice.audit import current_drift
from birads_app.records import (
    compute_group,
    disk_space,
    file_store,
    job_signals,
    jobs,
    outbox,
    signed_assessments,
    spool,
    storage,
    tokens,
)
from birads_app.records.disk_space import DiskFull, DiskReadOnly
from birads_app.records.job_table import JobState
from birads_app.records.schema import now
from birads_app.services import job_queue, training_runs
from birads_app.terms.errors import ModelError
from birads_app.version import __version__
from birads_app.web.errors import answer

bp = Blueprint("monitoring", __name__)
log = logging.getLogger(__name__)

_CACHE = "birads_state_figures"
_PROXY_HEADERS = ("X-Forwarded-For", "Forwarded", "X-Real-IP")


@bp.get("/metrics")
def metrics() -> Response:
    """Return the figures as text, or as OpenMetrics if the client prefers that."""
    if not _may_read():
        response = answer(
            403,
            "The figures may be read from the server itself, from BIRADS_METRICS_NETWORKS, "
            "and with `Authorization: Bearer TOKEN` of a token with the scope `admin`.",
        )
        response.headers["WWW-Authenticate"] = 'Bearer realm="birads"'
        return response
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return Response(encode(_Figures()), content_type=content_type)


def _may_read() -> bool:
    """Return True for a client of the server itself, of an allowed network, or with a token for administration."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        grant = tokens.grant_of(token.strip())
        return grant is not None and grant.allows("admin")
    try:
        client = ip_address(request.remote_addr or "")
    except ValueError:  # a Unix socket
        return False
    # A proxy on this machine connects from it, for anybody.
    if client.is_loopback and not any(name in request.headers for name in _PROXY_HEADERS):
        return True
    return any(client in network for network in _settings().metrics_networks)


class _Figures:
    """Source of all figures, as encoders of prometheus_client expect it."""

    def collect(self) -> Iterator[Metric]:
        """Yield the figures of all processes, then the state of the installation."""
        for name, values in instruments.by_instrument().items():
            yield _family(instruments.INSTRUMENTS[name], values)
        failed = GaugeMetricFamily(
            "birads_state_failed", "1 if a part of the installation's state cannot be read.", labels=["part"]
        )
        for part in _PARTS:
            families = _cached(part)
            failed.add_metric([part.name], float(families is None))
            yield from families or ()
        yield failed


def _family(instrument: Instrument, values: dict[Key, list[float]]) -> Metric:
    """Return the values of an instrument by their labels."""
    about = (instrument.name, instrument.about)
    if instrument.kind == "histogram":
        histogram = HistogramMetricFamily(*about, labels=instrument.labels)
        bounds = [*map(str, BUCKETS), "+Inf"]
        for labels, numbers in sorted(values.items()):
            cumulative = accumulate(numbers[:-1])
            histogram.add_metric(labels, list(zip(bounds, cumulative, strict=True)), numbers[-1])
        return histogram
    kind = CounterMetricFamily if instrument.kind == "counter" else GaugeMetricFamily
    family = kind(*about, labels=instrument.labels)
    if not instrument.labels and not values:
        values = {(): [0.0]}
    for labels, numbers in sorted(values.items()):
        family.add_metric(labels, numbers[0])
    return family


def _pacs() -> Iterator[Metric]:
    waiting = spool.of_app().studies()
    yield _gauge("birads_spool_studies", "Received studies that are not exams yet.", waiting)
    counts = outbox.unsent_counts()
    deliveries = GaugeMetricFamily(
        "birads_outbox_deliveries", "Unsent results and reports for the PACS.", labels=["state"]
    )
    for state in ("waiting", "stopped"):
        deliveries.add_metric([state], counts.get(state, 0))
    yield deliveries


def _jobs() -> Iterator[Metric]:
    counts = jobs.upload_counts()
    uploads = GaugeMetricFamily("birads_queued_uploads", "Uploads that are read later.", labels=["state"])
    for state in (JobState.WAITING, JobState.RUNNING, JobState.FAILED):
        uploads.add_metric([state], counts.get(state, 0))
    yield uploads
    oldest = GaugeMetricFamily(
        "birads_oldest_job_seconds", "Age of the oldest upload and study that is to be read.", labels=["kind"]
    )
    for kind, since in job_queue.oldest().items():
        oldest.add_metric([kind], max(0.0, (now() - since).total_seconds()) if since else 0.0)
    yield oldest
    if current_app.extensions["birads_redis"] is not None:
        queue = GaugeMetricFamily(
            "birads_queue_jobs", "Uploads that no compute process has taken yet.", labels=["urgency"]
        )
        for urgency, length in job_signals.lengths().items():
            queue.add_metric([urgency.name.lower()], length)
        yield queue
        yield _gauge("birads_compute_processes", "Processes of `flask compute`.", len(compute_group.sizes()))


def _model() -> Iterator[Metric]:
    try:
        name = current_app.extensions["birads_models"].get().bundle.name
    except ModelError:
        name = ""
    yield _gauge("birads_model_ready", "1 if a model serves.", float(bool(name)))
    if name:
        yield InfoMetricFamily("birads_model", "The model that serves.", {"name": name})


def _drift() -> Iterator[Metric]:
    drift, name = current_drift(signed_assessments.load())
    for member, about in (
        ("exams", "Assessed exams from which the drift of the calibration is computed."),
        (
            "change",
            "Student's t of the newest exams' residuals against earlier ones; 3 and more is an alarm.",
        ),
        ("fit", "Spiegelhalter's z of the newest exams."),
    ):
        family = GaugeMetricFamily(f"birads_drift_{member}", about, labels=["model"])
        if name:
            family.add_metric([name], float(getattr(drift, member)))
        yield family


def _training() -> Iterator[Metric]:
    running = training_runs.running()
    started = running.started.timestamp() if running is not None else 0.0
    yield _gauge(
        "birads_training_running",
        "1 while a training that was started in the browser runs.",
        running is not None,
    )
    yield _gauge(
        "birads_training_started_timestamp_seconds", "Start of the running training; 0 without one.", started
    )


def _disk() -> Iterator[Metric]:
    folders = {"instance": Path(current_app.instance_path), "models": _settings().models}
    store = file_store.of_app()
    if store.shared and store.bucket is None:
        folders["files"] = store.folder
    free = GaugeMetricFamily("birads_disk_free_bytes", "Free bytes of a folder's disk.", labels=["folder"])
    size = GaugeMetricFamily("birads_disk_size_bytes", "Size of a folder's disk.", labels=["folder"])
    for name, folder in folders.items():
        there = next(path for path in (folder, *folder.parents) if path.exists())
        usage = shutil.disk_usage(there)
        free.add_metric([name], usage.free)
        size.add_metric([name], usage.total)
    yield from (free, size)
    try:
        disk_space.check(_settings())
        takes_uploads = 1
    except (DiskFull, DiskReadOnly):
        takes_uploads = 0
    yield _gauge(
        "birads_disk_takes_uploads", "0 if the instance folder's disk is full or read-only.", takes_uploads
    )


def _files() -> Iterator[Metric]:
    stored = GaugeMetricFamily(
        "birads_image_files_bytes", "Size of all images' files, estimated from a sample.", labels=["kind"]
    )
    for kind, size in storage.image_files().kinds.items():
        stored.add_metric([kind], size)
    yield stored


def _program() -> Iterator[Metric]:
    yield InfoMetricFamily("birads_build", "The running version.", {"version": __version__})


@dataclass(frozen=True)
class _Part:
    """A part of the installation's state, read again after some seconds at the earliest."""

    name: str
    read: Callable[[], Iterator[Metric]]
    seconds: float


_PARTS = (
    _Part("program", _program, 3600),
    _Part("disk", _disk, 5),
    _Part("files", _files, 3600),
    _Part("model", _model, 5),
    _Part("pacs", _pacs, 15),
    _Part("jobs", _jobs, 5),
    _Part("training", _training, 15),
    _Part("drift", _drift, 3600),
)


def _cached(part: _Part) -> list[Metric] | None:
    """Return the figures of a part; None if they cannot be read."""
    cache: dict[str, tuple[float, list[Metric] | None]] = current_app.extensions.setdefault(_CACHE, {})
    due, families = cache.get(part.name, (0.0, None))
    if time.monotonic() >= due:
        try:
            families = list(part.read())
            due = time.monotonic() + part.seconds
        except Exception as error:  # the other figures tell what is wrong
            log.warning("The figures of %s cannot be read:\n%s", part.name, where(error))
            families, due = None, time.monotonic() + min(part.seconds, 60)
        cache[part.name] = due, families
    return families


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(name, about, value=float(value))


def _settings() -> Settings:
    configured: Settings = current_app.extensions["birads_settings"]
    return configured
