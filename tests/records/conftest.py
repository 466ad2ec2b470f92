"""An object store for tests of the records."""

from collections.abc import Iterator

import pytest

from tests.support import object_store
from tests.support.object_store import ObjectStore


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    """Return a running S3-compatible store."""
    with object_store.running() as running:
        yield running
