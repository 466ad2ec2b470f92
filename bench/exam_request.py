"""Time to analyse an exam of four films through the API, compared with a baseline that only decodes and predicts."""

import argparse
import secrets
from collections.abc import Iterator
from statistics import median

from bench import exam, exam_stages, plain, worker
from bench.measurement import Measurement, take_turns
from birads_app.model import bundles, registry

REQUIRED_RATIO, REQUIRED_FROM_MEMORY = 3.5, 6.0
REQUIRED_MB, REQUIRED_LARGE_MB = 400.0, 700.0
LARGE = 2.943  # factor that makes 118 megapixels of 13.6


def measure(options: argparse.Namespace) -> Iterator[Measurement]:
    """Send the exam to the active model; between the rounds, wait until the work after the answer is done."""
    bundle = bundles.load(options.models / registry.current_name(options.models))
    files = exam.film_exam()
    features = plain.backbone(bundle.size, (bundle.path / bundles.BACKBONE).read_bytes())
    read = plain.reader(plain.classifier(features, len(bundle.classes)), bundle.size)
    boundary = secrets.token_hex(16)
    body = worker.multipart(files, boundary)
    with worker.serving(options.models) as served:
        ours, theirs = take_turns(
            lambda: served.post(body, boundary),
            lambda: [read(data) for _, data in files],
            options.rounds,
            between=served.settle,
        )
        peak = served.peak_mb()
    what = f"POST of four RLE films, {len(body) / 1e6:.0f} MB, to the answer, s"
    yield Measurement(what, ours, theirs, theirs / ours, least=REQUIRED_RATIO)
    yield Measurement("largest peak memory of a process, MB", peak, None, peak, most=REQUIRED_MB)
    peak = _peak_of_large_images(options)
    yield Measurement(
        "the same with two films of 118 megapixels, MB", peak, None, peak, most=REQUIRED_LARGE_MB
    )
    with exam_stages.application(options.models) as app:
        ours, theirs = take_turns(
            lambda: exam_stages.ingest_from_memory(app, files),
            lambda: [read(data) for _, data in files],
            options.rounds,
            between=lambda: exam_stages.settle(app),
        )
        what = "the same from bytes in memory to the stored exam, s"
        yield Measurement(what, ours, theirs, theirs / ours, least=REQUIRED_FROM_MEMORY)
        rounds = [exam_stages.measure(app, files) for _ in range(options.rounds)]
        for stage in exam_stages.STAGES:
            seconds = median(found[stage] for found in rounds)
            yield Measurement(f"  {stage}, one image after another, s", seconds, None, seconds)


def _peak_of_large_images(options: argparse.Namespace) -> float:
    """Return the largest peak memory of a process that serves an exam of two very large films, in MB."""
    boundary = secrets.token_hex(16)
    body = worker.multipart(exam.film_exam(exam.FILMS[:2], LARGE), boundary)
    with worker.serving(options.models, BIRADS_MAX_UPLOAD_MB="1024") as served:
        served.post(body, boundary)
        served.settle()
        return served.peak_mb()
