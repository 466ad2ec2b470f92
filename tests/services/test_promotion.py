"""Promotion and rollback: a bundle is hashed once, and never while the database is locked."""

import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from birads_app.model import bundles, registry
from birads_app.records import audit_log, database
from birads_app.services import promotion


@pytest.fixture
def hashed(app: Flask, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often each file is hashed; hashing fails while the database's write lock is held."""
    shutil.copytree(folder / "birads-demo", folder / "second", copy_function=os.link)
    counts: Counter[str] = Counter()
    verified = bundles._verified

    def counting(path: Path, expected: Any) -> bytes:
        stored = database.of(app)
        with stored.hurried() as other:
            stored.lock_for_writing(other)
        counts["/".join(path.parts[-2:])] += 1
        return verified(path, expected)

    monkeypatch.setattr(bundles, "_verified", counting)
    return counts


def files(bundle: Path) -> dict[str, int]:
    """Each file of a bundle that its manifest lists, once."""
    return {
        f"{bundle.name}/{name}": 1 for name in registry.find(bundle.parent, bundle.name).manifest["files"]
    }


@pytest.mark.parametrize(
    ("change", "name"),
    [(lambda: promotion.promote("second", reason="newer"), "second"), (promotion.roll_back, "birads-demo")],
    ids=["promote", "roll back"],
)
def test_a_bundle_is_hashed_once_and_outside_of_the_write_lock(
    app: Flask, folder: Path, hashed: Counter[str], change: Callable[[], object], name: str
) -> None:
    if name == "birads-demo":
        registry.promote(folder, "second")
    expected = files(folder / name)
    hashed.clear()
    with app.app_context():
        change()
        assert audit_log.newest(1)[0].subject == name
    assert hashed == expected
    assert registry.current_name(folder) == name


def test_hashing_inside_a_write_lock_is_detected(app: Flask, folder: Path, hashed: Counter[str]) -> None:
    with (
        app.app_context(),
        database.writing() as current,
        pytest.raises(OperationalError),
    ):
        audit_log.add(current, "anna", "promote model")
        current.flush()
        registry.verify(folder, "second", "openvino", "f32")
    assert not hashed


def test_a_bundle_that_changes_after_its_check_is_verified_again(app: Flask, folder: Path) -> None:
    shutil.copytree(folder / "birads-demo", folder / "second")
    registry.check(folder, "second", "openvino", "f32")
    (folder / "second" / "head.pb").write_bytes(b"other")
    with pytest.raises(registry.BundleError, match=r"head\.pb"):
        registry.promote(folder, "second")
    assert registry.current_name(folder) == "birads-demo"
