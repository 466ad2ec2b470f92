"""Results of an archive: a folder of Parquet files, one for each partition, which is a data set for pandas and others.

``_run.json``                 what the results were made with; a run with anything else is refused
``part-00000-DIGEST.parquet`` one row for each image of a partition, written at once
``_failures/``                the unusable files of each partition that has some
``_failures.csv``             all of them, and
``_exams.parquet``            one row for each study, both written at the end

Rows contain no identity: patients, studies and images have the pseudonyms that stored exams have as well. Names of
files, which may contain names of patients, are in the lists of failures, and in rows only if they are asked for.
"""

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from birads_app.deid.pseudonyms import Pseudonyms
from birads_app.files import atomic
from birads_app.model import ood
from birads_app.model.image_prediction import SCHEMA
from birads_app.scoring.partitions import Partition
from birads_app.scoring.scorer import FailedFile, ScoredImage, ScoredPartition

RUN, FAILURES, EXAMS = "_run.json", "_failures.csv", "_exams.parquet"
_PART = re.compile(r"part-(\d{5,})-([0-9a-f]{16})\.parquet")
_FAILURES_OF_PARTS = "_failures"
_FAILURE_COLUMNS = ("file", "code", "reason")
# Members of a prediction's JSON that are columns of their own; probabilities are a column for each category.
_MEMBERS = tuple(name for name in SCHEMA["properties"] if name != "probabilities")


class ResultsDiffer(click.ClickException):
    """The folder contains results of something else."""


@dataclass(frozen=True)
class ResultParts:
    """The folder of results.

    classes : of the model, in its order
    pseudonyms : of the site
    paths : True to write the images' paths as well
    """

    folder: Path
    classes: tuple[str, ...]
    pseudonyms: Pseudonyms = field(repr=False)
    model: str
    model_digest: str
    paths: bool = False

    def begin(self, run: Mapping[str, Any]) -> None:
        """Create the folder, or continue in the one that a run with the same values has begun.

        Raises
        ------
        ResultsDiffer
            The folder contains something else; the message names what differs.
        OSError
            The folder cannot be written.
        """
        about = self.folder / RUN
        if about.exists():
            former = json.loads(about.read_text("utf-8"))
            differing = [
                f"{name} was {former.get(name)}, now {value}"
                for name, value in run.items()
                if former.get(name) != value
            ]
            if differing:
                raise ResultsDiffer(
                    f"{self.folder} was begun with something else: {'; '.join(differing)}. Choose another folder."
                )
        elif self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            raise ResultsDiffer(
                f"{self.folder} is not empty, and no results of this command. Choose another folder."
            )
        else:
            self.folder.mkdir(parents=True, exist_ok=True)
            atomic.write(about, json.dumps(run, indent=2) + "\n")
        (self.folder / _FAILURES_OF_PARTS).mkdir(mode=0o700, exist_ok=True)

    def digests(self) -> dict[int, str]:
        """Return the digests of the partitions that are written, by number."""
        found = (_PART.fullmatch(path.name) for path in self.folder.iterdir())
        return {int(match[1]): match[2] for match in found if match}

    def write(self, partition: Partition, scored: ScoredPartition) -> None:
        """Write the results of a partition; raises OSError."""
        from pyarrow import Table, parquet

        failures = self.folder / _FAILURES_OF_PARTS / f"part-{partition.number:05d}.csv"
        if scored.failures:
            atomic.write(failures, _as_csv(scored.failures))
        rows = [
            *(self._row(image) for image in scored.images),
            *(self._failed_row(one) for one in scored.failures),
        ]
        buffer = io.BytesIO()
        parquet.write_table(Table.from_pylist(rows, self._schema()), buffer)
        name = f"part-{partition.number:05d}-{partition.digest}.parquet"
        atomic.write(self.folder / name, buffer.getvalue(), sync=True)

    def parts(self) -> list[Path]:
        """Return the files of partitions, in their order."""
        return sorted(path for path in self.folder.iterdir() if _PART.fullmatch(path.name))

    def join_failures(self) -> int:
        """Write the list of all unusable files; return their number. Raises OSError."""
        parts, count = sorted((self.folder / _FAILURES_OF_PARTS).iterdir()), 0
        with atomic.draft(self.folder) as part:  # mode 0600, as names of files may contain names of patients
            with part.open("w", newline="", encoding="utf-8", errors="surrogateescape") as stream:
                table = csv.writer(stream, lineterminator="\n")
                table.writerow(_FAILURE_COLUMNS)
                for path in parts:
                    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as lines:
                        for row in csv.reader(lines):
                            table.writerow(row)
                            count += 1
            part.replace(self.folder / FAILURES)
        return count

    def _schema(self) -> Any:
        import pyarrow

        text, real = pyarrow.string(), pyarrow.float64()
        word = pyarrow.dictionary(pyarrow.int32(), text)
        return pyarrow.schema(
            [
                ("image", text),
                ("study", text),
                ("patient", text),
                ("study_date_shifted", text),
                *([("path", text)] if self.paths else []),
                ("laterality", word),
                ("view", word),
                ("role", word),
                *((f"p_{code}", real) for code in self.classes),
                *((name, _arrow_type(SCHEMA["properties"][name])) for name in _MEMBERS),
                ("out_of_distribution", pyarrow.bool_()),
                ("model", word),
                ("model_digest", word),
                ("failure", word),
            ]
        )

    def _row(self, image: ScoredImage) -> dict[str, Any]:
        found, names = image.prediction, self.pseudonyms
        return {
            "image": names.uid(image.sop_uid or _printable(image.name)),
            **self._patient(image),
            "path": _printable(image.name),
            "laterality": image.laterality,
            "view": image.view,
            "role": image.role.value,
            **{f"p_{code}": value for code, value in found.probabilities.items()},
            **{name: value for name, value in found.to_json().items() if name in _MEMBERS},
            "out_of_distribution": ood.WARNING in found.warnings,
            "model": self.model,
            "model_digest": self.model_digest,
        }

    def _patient(self, image: ScoredImage) -> dict[str, str | None]:
        """Return pseudonyms of study and patient; None where a file states neither."""
        who = image.identity
        if who is None or not (who.study_uid or who.patient_id or who.patient_name):
            return {}
        return {
            "study": self.pseudonyms.uid(who.study_uid) if who.study_uid else None,
            "patient": self.pseudonyms.patient(who),
            "study_date_shifted": self.pseudonyms.date(who.study_date, who) or None,
        }

    def _failed_row(self, file: FailedFile) -> dict[str, Any]:
        return {
            "image": self.pseudonyms.uid(_printable(file.name)),
            "path": _printable(file.name),
            "model": self.model,
            "model_digest": self.model_digest,
            "failure": file.code,
        }


def _as_csv(failures: Sequence[FailedFile]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows((one.name, one.code, one.reason) for one in failures)
    return text.getvalue().encode("utf-8", "surrogateescape")


def _printable(name: str) -> str:
    """Return a path as Parquet can store it, with question marks for bytes that are no UTF-8."""
    return name.encode("utf-8", "replace").decode()


def _arrow_type(described: Mapping[str, Any]) -> Any:
    """Return the type of a column from the JSON schema of its values."""
    import pyarrow

    if described["type"] == "array":
        return pyarrow.list_(_arrow_type(described["items"]))
    if described["type"] == "object":
        return pyarrow.struct([(name, _arrow_type(one)) for name, one in described["properties"].items()])
    return pyarrow.float64() if "number" in described["type"] else pyarrow.string()
