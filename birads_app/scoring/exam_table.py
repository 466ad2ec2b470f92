"""Predictions of exams from the written predictions of their images, grouped by study.

Images of a study may be in different partitions. The studies are therefore worked on in groups, each of which fits into
memory, and every group reads all partitions once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from birads_app.files import atomic
from birads_app.model.aggregation import aggregate
from birads_app.model.image_prediction import ImagePrediction
from birads_app.scoring.result_parts import EXAMS, ResultParts
from birads_app.terms.views import SIDES, ViewRole

_ROWS = 200_000  # of a group of studies
_SIDES = (*SIDES, None)


@dataclass(frozen=True)
class ScoredView:
    """An image of an exam, as :func:`birads_app.model.aggregation.aggregate` takes it."""

    laterality: str | None
    view: str | None
    standard: bool
    prediction: ImagePrediction


def write_exams(results: ResultParts, pooling: str, rows: int = _ROWS) -> int:
    """Write one row for each study with a standard view; return their number.

    Parameters
    ----------
    pooling : rule of the model's bundle
    rows : of a group of studies, about

    Raises
    ------
    OSError
        The table cannot be written.
    """
    from pyarrow import RecordBatch, parquet

    images = sum(parquet.read_metadata(part).num_rows for part in results.parts())
    groups, count = max(1, -(-images // rows)), 0
    schema = _schema()
    with (
        atomic.draft(results.folder) as draft,
        parquet.ParquetWriter(draft, schema) as table,
    ):
        for group in range(groups):
            exams = list(_exams_of(results, group, groups, pooling))
            table.write_batch(RecordBatch.from_pylist(exams, schema))
            count += len(exams)
        table.close()
        draft.chmod(0o644)
        draft.replace(results.folder / EXAMS)
    return count


def _exams_of(results: ResultParts, group: int, groups: int, pooling: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of the studies of a group, by their pseudonyms in order."""
    studies: dict[str, dict[str, dict[str, Any]]] = {}
    for row in _rows(results):
        study = row["study"]
        if study and row["category"] and int(study.rpartition(".")[2]) % groups == group:
            studies.setdefault(study, {})[row["image"]] = row  # a copy of a file counts once
    for study, images in sorted(studies.items()):
        exam = aggregate([_view(results.classes, row) for row in images.values()], pooling)
        first = next(iter(images.values()))
        if exam is not None:
            breasts = {breast.laterality: breast.category for breast in exam.breasts}
            yield {
                "study": study,
                "patient": first["patient"],
                "study_date_shifted": first["study_date_shifted"],
                "category": exam.category,
                "p_suspicious": exam.p_suspicious,
                **{_column(side): breasts.get(side) for side in _SIDES},
                "images": len(images),
                "left_out": exam.left_out,
                "model": results.model,
                "model_digest": results.model_digest,
            }


def _rows(results: ResultParts) -> Iterator[dict[str, Any]]:
    """Yield what exams need of all images."""
    from pyarrow import parquet

    chances = [f"p_{code}" for code in results.classes]
    names = ["image", "study", "patient", "study_date_shifted", "laterality", "view", "role", "category"]
    for part in results.parts():
        yield from parquet.ParquetFile(part).read(columns=[*names, *chances]).to_pylist()


def _view(classes: tuple[str, ...], row: Mapping[str, Any]) -> ScoredView:
    prediction = ImagePrediction(row["category"], {code: row[f"p_{code}"] for code in classes})
    return ScoredView(row["laterality"], row["view"], row["role"] == ViewRole.STANDARD, prediction)


def _column(side: str | None) -> str:
    return f"category_{side or 'unknown_side'}"


def _schema() -> Any:
    import pyarrow

    text, number = pyarrow.string(), pyarrow.int32()
    return pyarrow.schema(
        [
            ("study", text),
            ("patient", text),
            ("study_date_shifted", text),
            ("category", text),
            ("p_suspicious", pyarrow.float64()),
            *((_column(side), text) for side in _SIDES),
            ("images", number),
            ("left_out", number),
            ("model", text),
            ("model_digest", text),
        ]
    )
