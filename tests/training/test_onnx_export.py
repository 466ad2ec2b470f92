"""``flask models export --onnx``: one graph for other programs, with the probabilities of the model."""

import sys
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from birads_app.imaging.decode import decode
from birads_app.model import bundles, preprocess
from birads_app.model.predictor import Predictor
from tests.support.factories import last_audit_entry
from training.engine import onnx_export

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_missing_packages_are_named_with_the_command_that_installs_them(
    runner: FlaskCliRunner, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    result = runner.invoke(args=["models", "export", "birads-demo", str(tmp_path / "a.onnx"), "--onnx"])
    command = f"pip install {' '.join(onnx_export.PACKAGES)}"
    assert result.exit_code == 1 and result.output.rstrip().endswith(command) and "(onnx)" in result.output
    assert not list(tmp_path.glob("*.onnx"))
    assert command in (DOCS / "training.md").read_text("utf-8")
    listed = (DOCS / "dependencies.md").read_text("utf-8")
    assert all(f"{name.split('==')[0]} (" in listed for name in onnx_export.PACKAGES)


@pytest.mark.slow
def test_the_graph_gives_the_probabilities_of_the_model(
    app: Flask, runner: FlaskCliRunner, folder: Path, phantoms: Path, tmp_path: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    file = tmp_path / "model.onnx"
    result = runner.invoke(args=["models", "export", "birads-demo", str(file), "--onnx"])
    assert result.exit_code == 0 and "differ by at most" in result.output, result.output
    assert last_audit_entry(app)[1:3] == ("download model", "birads-demo")
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    told = session.get_modelmeta().custom_metadata_map
    assert (told["model"], told["classes"], told["size"]) == ("birads-demo", "1,2,3,4,5", "224")
    predictor = Predictor.load(bundles.load(folder / "birads-demo"), precision="f32")
    mammograms = [decode(path.read_bytes(), path.name) for path in sorted(phantoms.glob("*/*.png"))[::10]]
    inputs = np.stack([preprocess.prepare(one, predictor.bundle.size).tensor for one in mammograms])
    (found,) = session.run(["probabilities"], {"image": inputs})
    expected = [list(predictor.predict(one).probabilities.values()) for one in mammograms]
    np.testing.assert_allclose(found, expected, atol=onnx_export.TOLERANCE)


@pytest.mark.slow
def test_a_graph_that_differs_is_not_written(folder: Path, tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    monkeypatch.setattr(onnx_export, "_difference", lambda bundle, content: float("nan"))
    with pytest.raises(onnx_export.ModelError, match="Nothing was written"):
        onnx_export.write(bundles.load(folder / "birads-demo"), tmp_path / "model.onnx")
    assert not list(tmp_path.glob("*.onnx"))
