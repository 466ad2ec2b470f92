"""Digests of training images and patients in a bundle."""

import hashlib

import numpy as np
import pytest

from birads_app.model import training_digests
from birads_app.model.training_digests import NOTHING, TrainingDigests, content_digest


def digests(count: int, size: int) -> list[bytes]:
    rows = np.random.default_rng(size).integers(0, 256, (count, size), np.uint8)
    return [row.tobytes() for row in rows]


def test_digests_of_5000_images_are_read_as_written_and_small() -> None:
    written = TrainingDigests(complete=False).with_more(
        digests(5000, 16), digests(5000, 64), digests(1250, 17), 2
    )
    data = written.to_bytes()
    assert training_digests.read(data) == written and len(data) < 450_000
    assert training_digests.read(NOTHING.to_bytes()) == NOTHING


def test_digests_of_a_further_training_are_added() -> None:
    first = NOTHING.with_more([b"a" * 16], [b"h" * 64], [], 2)
    both = first.with_more([b"b" * 16], [b"i" * 64], [b"p" * 16], 2)
    assert both.contents == {b"a" * 16, b"b" * 16} and both.hashes == {b"h" * 64, b"i" * 64} and both.complete
    assert first.with_more([], [b"j" * 64], [], 3).hashes == {b"j" * 64}


def test_an_ensemble_has_the_digests_of_its_members() -> None:
    first, second = (NOTHING.with_more([one], [], [], 2) for one in (b"a" * 16, b"b" * 16))
    both = training_digests.joined([first, second])
    assert both.contents == first.contents | second.contents and both.complete
    assert not training_digests.joined([first, None]).complete


def test_a_digest_is_not_the_files_checksum() -> None:
    checksum = hashlib.sha256(b"file").digest()
    assert content_digest(checksum) not in checksum and len(content_digest(checksum)) == 16


@pytest.mark.parametrize("data", [b"", b"no archive", NOTHING.to_bytes()[:-30]])
def test_damaged_files_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no digests of training images"):
        training_digests.read(data)
