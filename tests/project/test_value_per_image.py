"""A value of an image's prediction concerns as few files as CONTRIBUTING.md says."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def test_a_value_is_in_the_files_that_the_instructions_list() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    section = text.split("## Add a value per image\n")[1].split("\n## ")[0]
    listed = re.findall(r"^\d\. `([^`]+)`:", section, re.MULTILINE)
    found = {
        path.relative_to(ROOT).as_posix()
        for folder in ("birads_app", "templates", "static", "training")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".html", ".js", ".css"} and "breast_share" in path.read_text("utf-8")
    }
    assert found == set(listed) and len(listed) == 3
