"""``docs/security.md`` names files that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def test_every_file_named_in_the_security_document_exists() -> None:
    text = (ROOT / "docs" / "security.md").read_text("utf-8")
    named = set(re.findall(r"`([\w./]+(?:\.py|/))`", text))
    assert len(named) > 50
    rooms = (ROOT, ROOT / "birads_app")
    assert [name for name in sorted(named) if not any((room / name).exists() for room in rooms)] == []
