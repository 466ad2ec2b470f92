"""Training opens no outbound connection; see test_serving for web workers."""

import shutil
from pathlib import Path

import pytest

from tests.support.processes import python
from training.phantoms.generate import write_set

TRAIN = """
import sys
from tests.support.closed_network import close
close()
from training.evaluation import sanity_checks
from wsgi import app
sanity_checks.PERMUTATIONS = 2  # each takes a fit
result = app.test_cli_runner().invoke(
    args=["train", "--data", sys.argv[1], "--name", "mine", "--epochs", "2", "--promote", "--reason", "x"]
)
print(result.output)
sys.exit(result.exit_code)
"""


@pytest.mark.slow
def test_training_opens_no_connection(tiny_models: Path, tmp_path: Path) -> None:
    data = write_set(tmp_path / "phantoms", 8, seed=4, size=256).parent
    shutil.copytree(tiny_models, tmp_path / "models")
    result = python(tmp_path / "instance", TRAIN, str(data), BIRADS_MODELS=str(tmp_path / "models"))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "mine is in service now" in result.stdout
    assert "OUTBOUND" not in result.stdout
    assert "LOOKUP" not in result.stdout
