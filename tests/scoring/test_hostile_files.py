"""A file that ends the process that reads it is a line in the list of failures, and the worker goes on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from birads_app.compute.pool import ComputePool
from birads_app.scoring import scorer
from birads_app.scoring.partitions import Partition
from birads_app.scoring.scorer import ScoringTask, score
from tests.support import crashing_decoder
from tests.support.factories import breast, dicom, dicom_bytes


@pytest.fixture
def task(tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScoringTask]:
    """Return the task of a folder, whose files a decoder with a fault reads."""
    modules = [*scorer._READS_FILES, crashing_decoder.__name__]
    pool = ComputePool(1, modules)
    monkeypatch.setattr(scorer, "_pool", lambda: pool)
    model = tiny_models / "birads-demo"
    facts = scorer.worker_facts(model, tmp_path)
    yield ScoringTask(model, "openvino", "f32", "mip", facts, tmp_path)
    scorer._predictor.cache_clear()
    pool.close()


def test_the_other_files_of_the_partition_are_scored(task: ScoringTask, tmp_path: Path) -> None:
    names = ("1.dcm", "crash.dcm", "2.dcm")
    for name in names:
        rows = crashing_decoder.ROWS if name == "crash.dcm" else 320
        (tmp_path / name).write_bytes(dicom_bytes(dicom(breast(rows, 256))))
    found = score(task, Partition(0, names, ""))
    assert [image.name for image in found.images] == ["1.dcm", "2.dcm"]
    assert [(one.name, one.code) for one in found.failures] == [("crash.dcm", "reading-ended")]
