"""Bundles: writing, verification, refusal, promotion and rollback."""

import json
from collections import Counter
from pathlib import Path
from typing import IO, Any

import pytest

from birads_app.model import bundles, preprocess, registry
from birads_app.terms.errors import BundleError, NoModel

MANIFEST = {
    "classes": ["1", "2", "3", "4", "5"],
    "demonstration": False,
    "preprocessing": {"version": preprocess.VERSION, "size": 224},
    "head": {"kind": "dense"},
    "temperature": 1.5,
}


def write(models: Path, name: str = "first", **changes: object) -> Path:
    """Write a bundle with placeholder graphs, which are verified but not run."""
    return bundles.write(
        models,
        name,
        manifest={**MANIFEST, **changes},
        card="# card\n",
        backbone=b"backbone",
        head=b"head",
        evaluation={"accuracy": 0.5},
        report="<p>report</p>",
    )


def change_manifest(path: Path, **changes: object) -> None:
    """Edit a written bundle's manifest."""
    file = path / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_a_written_bundle_is_read_back(tmp_path: Path) -> None:
    loaded = bundles.load(write(tmp_path))
    assert (loaded.name, loaded.classes, loaded.size) == ("first", ("1", "2", "3", "4", "5"), (224, 224))
    assert (loaded.temperature, loaded.head, loaded.demonstration) == (1.5, "dense", False)
    assert loaded.card == "# card\n" and loaded.threshold is None


def test_each_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file can change between the comparison of its checksum and its use."""
    path, opened, open_file = write(tmp_path), Counter[str](), Path.open

    def count(file: Path, *given: object, **options: object) -> IO[Any]:
        opened[file.name] += 1
        return open_file(file, *given, **options)

    monkeypatch.setattr(Path, "open", count)
    bundles.load(path)
    assert opened == dict.fromkeys([file.name for file in path.iterdir()], 1)


def test_the_pooling_of_views_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, exam_rule="worst")
    assert bundles.load(path).pooling == "worst"
    change_manifest(path, exam_rule="loudest")
    with pytest.raises(BundleError, match="incomplete"):
        bundles.load(path)


def test_the_location_head_of_the_backbone_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, backbone={"network": "ResNet50"})
    assert bundles.load(path).location is None
    change_manifest(path, backbone={"location": {"channel": 1024, "threshold": 0.25, "passes": 5}})
    assert bundles.load(path).location == bundles.Location(1024, 0.25)
    for damaged in (
        {"channel": 1024},
        {"channel": -1, "threshold": 0.5},
        {"channel": 3, "threshold": 2},
        "3",
    ):
        change_manifest(path, backbone={"location": damaged})
        with pytest.raises(BundleError, match="incomplete"):
            bundles.load(path)


def test_the_threshold_of_the_prediction_sets_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, prediction_set={"level": 0.9, "threshold": 0.75})
    assert bundles.load(path).threshold == 0.75
    for damaged in ({"level": 0.9}, {"threshold": 2}, {"threshold": None}, "0.9"):
        change_manifest(path, prediction_set=damaged)
        with pytest.raises(BundleError, match="incomplete"):
            bundles.load(path)


def test_an_older_bundle_without_a_report_is_read(tmp_path: Path) -> None:
    path = write(tmp_path)
    manifest = json.loads((path / "manifest.json").read_text())
    del manifest["files"]["report.html"]
    (path / "report.html").unlink()
    change_manifest(path, files=manifest["files"])
    assert bundles.load(path).name == "first"


@pytest.mark.parametrize("file", ["backbone.pb", "head.pb", "README.md", "evaluation.json", "report.html"])
def test_a_changed_file_is_refused(tmp_path: Path, file: str) -> None:
    path = write(tmp_path)
    (path / file).write_bytes((path / file).read_bytes() + b" ")
    with pytest.raises(BundleError, match=f"{file} of model first was changed"):
        bundles.load(path)


@pytest.mark.parametrize("file", ["backbone.pb", "head.pb", "README.md", "evaluation.json", "report.html"])
def test_a_missing_file_is_refused(tmp_path: Path, file: str) -> None:
    path = write(tmp_path)
    (path / file).unlink()
    with pytest.raises(BundleError, match=f"{file} of model first is missing"):
        bundles.load(path)


def test_a_missing_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="No model is named ghost"):
        bundles.load(tmp_path / "ghost")


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    change_manifest(path, schema=bundles.SCHEMA + 1)
    with pytest.raises(BundleError, match="Update the program"):
        bundles.load(path)


def test_another_version_of_preprocessing_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, preprocessing={"version": preprocess.VERSION + 1, "size": 224})
    with pytest.raises(BundleError, match="Retrain"):
        bundles.load(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema": "1"}', '{"schema": 1}'])
def test_a_damaged_manifest_is_refused(tmp_path: Path, text: str) -> None:
    path = write(tmp_path)
    (path / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match="Restore the folder or retrain"):
        bundles.load(path)


@pytest.mark.parametrize(
    "changes",
    [{"classes": ["1"]}, {"classes": ["1", "x"]}, {"temperature": 0}, {"head": {}}, {"demonstration": "yes"}],
)
def test_an_incomplete_manifest_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    path = write(tmp_path, **changes)
    with pytest.raises(BundleError, match="incomplete"):
        bundles.load(path)


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "a\\b", "a b", "-x", "a" * 65, "ä"])
def test_an_invalid_model_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BundleError, match="is not a valid model name"):
        write(tmp_path, name)
    assert not list(tmp_path.iterdir())


def test_a_name_in_use_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    before = (path / "manifest.json").read_bytes()
    with pytest.raises(BundleError, match="A model named first already exists"):
        write(tmp_path, temperature=2.0)
    assert (path / "manifest.json").read_bytes() == before


def test_a_failed_write_leaves_no_files(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write(tmp_path, unwritable=object())
    assert not list(tmp_path.iterdir())


def test_a_promotion_can_be_rolled_back(tmp_path: Path) -> None:
    with pytest.raises(NoModel, match="flask models promote"):
        registry.current_name(tmp_path)
    write(tmp_path, "first")
    write(tmp_path, "second")
    assert bundles.list_names(tmp_path) == ["first", "second"]
    registry.promote(tmp_path, "first")
    registry.promote(tmp_path, "second")
    registry.promote(tmp_path, "second")
    assert registry.promoted(tmp_path) == ["first", "second"]
    assert registry.roll_back(tmp_path) == "first"
    assert registry.current_name(tmp_path) == "first"
    with pytest.raises(NoModel, match="no previous model"):
        registry.roll_back(tmp_path)


def test_a_damaged_model_is_not_promoted(tmp_path: Path) -> None:
    registry.promote(tmp_path, write(tmp_path, "first").name)
    (write(tmp_path, "second") / "head.pb").write_bytes(b"other")
    with pytest.raises(BundleError):
        registry.promote(tmp_path, "second")
    assert registry.current_name(tmp_path) == "first"


def test_rollback_to_a_damaged_model_changes_nothing(tmp_path: Path) -> None:
    for name in ("first", "second"):
        registry.promote(tmp_path, write(tmp_path, name).name)
    (tmp_path / "first" / "head.pb").unlink()
    with pytest.raises(BundleError):
        registry.roll_back(tmp_path)
    assert registry.current_name(tmp_path) == "second"


@pytest.mark.parametrize("content", [b"\xff\xfe\n", b"../elsewhere\n", b".hidden\n"])
def test_a_damaged_list_of_promotions_is_reported(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "CURRENT").write_bytes(content)
    with pytest.raises(BundleError):
        registry.current_name(tmp_path)


def test_an_unreadable_list_of_promotions_is_reported(tmp_path: Path) -> None:
    (tmp_path / "CURRENT").mkdir()
    with pytest.raises(BundleError, match="Delete it, then run"):
        registry.current_name(tmp_path)
