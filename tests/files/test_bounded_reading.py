"""Content is inflated up to its limit, and no further than one byte beyond it."""

import io

import pytest

from birads_app.files import bounded_reading
from birads_app.files.bounded_reading import LongerThanAllowed, pieces


@pytest.mark.parametrize("most", [5, 6, 100])
def test_content_within_the_limit_is_whole(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_reading, "PIECE", 2)
    assert list(pieces(io.BytesIO(b"12345"), most)) == [b"12", b"34", b"5"]


@pytest.mark.parametrize(("most", "inflated"), [(4, 5), (0, 1), (-1, 0), (-9, 0)])
def test_longer_content_is_refused_before_the_rest_is_read(most: int, inflated: int) -> None:
    source = io.BytesIO(b"12345678")
    with pytest.raises(LongerThanAllowed):
        list(pieces(source, most))
    assert source.tell() == inflated
