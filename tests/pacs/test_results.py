"""Source images of the objects that go to the PACS."""

from pathlib import Path

import pytest

from birads_app.model.image_prediction import ImagePrediction
from birads_app.model.marks import Mark
from birads_app.pacs.results import exams, source_of
from birads_app.records.identities import Instance
from birads_app.records.schema import Image
from birads_app.terms.messages import msg
from tests.support.factories import MAMMOGRAPHY, breast, dicom, dicom_bytes


def test_marks_are_placed_in_the_pixels_of_the_image_as_it_was_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = tmp_path / "original.dcm"
    original.write_bytes(dicom_bytes(dicom(breast(200, 80))))
    monkeypatch.setattr(exams, "file", lambda image, kind: original)
    marks, stretched = (Mark(0.5, 0.5, 0.1, 0.1, 0.8),), (msg("pixels-not-square"),)
    for warnings, expected in (((), (200, 160)), (stretched, (200, 80))):
        prediction = ImagePrediction("4", {"4": 1.0}, warnings=warnings, marks=marks)
        image = Image(width=160, height=200, prediction=prediction, corrections=[], turnings=[])
        found = source_of(image, Instance(MAMMOGRAPHY, "1.2.3", "1.2"))
        assert (found.rows, found.columns) == expected and found.prediction.marks == marks
