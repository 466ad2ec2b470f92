"""Damaged files, uploaded to the running service: none stops it, and another account notices nothing."""

import argparse
from pathlib import Path

import pytest

from bench import mutations

FILES = 2000


@pytest.mark.slow
def test_damaged_uploads_are_read_or_refused_and_others_are_served(tiny_models: Path) -> None:
    *required, slowest, rate = mutations.measure(argparse.Namespace(models=tiny_models, files=FILES, seed=7))
    assert len(required) == 3 and all(one.met for one in required), required
    assert slowest.ours > 0 and rate.ours > 0  # figures of an idle machine
