"""Disk usage of the instance folder: nothing in it is left out."""

from pathlib import Path

import pytest
from flask import Flask

from birads_app.records import storage
from birads_app.records.database import FILE_NAME


@pytest.mark.embedded  # the sizes are those of the folder
def test_all_that_is_in_the_instance_folder_is_counted(app: Flask) -> None:
    instance = Path(app.instance_path)
    for number, name in enumerate(
        ("spool", "uploads", "datasets", "dataset-checks", "trainings", "training", "cache", "a-later-folder")
    ):
        (instance / name / "inner").mkdir(parents=True)
        (instance / name / "inner" / "file").write_bytes(bytes(1000 * 2**number))
    (instance / "recent-log.jsonl").write_bytes(bytes(7))
    with app.app_context():
        found = storage.measure()
    assert {kind: size.bytes // 1000 for kind, size in found.folders.items() if kind != "other"} == {
        "spool": 1, "uploads": 2, "datasets": 4 + 8, "trainings": 16 + 32, "cache": 64, "models": 0,
    }  # fmt: skip
    counted = [
        path.stat().st_size
        for path in instance.rglob("*")
        if path.is_file() and "images" not in path.parts and not path.name.startswith(FILE_NAME)
    ]
    assert sum(size.bytes for size in found.folders.values()) == sum(counted)
    assert found.folders["other"].bytes >= 128_007
