"""An application whose files are in a bucket of its own."""

import pytest

from tests.support.object_store import ObjectStore


@pytest.fixture
def address(store: ObjectStore) -> str:
    """Return the place of the files."""
    return store.prefix()


@pytest.fixture
def config(config: dict[str, object], address: str) -> dict[str, object]:
    """Return the configuration of the test's application."""
    return {**config, "BIRADS_FILES_URL": address}
