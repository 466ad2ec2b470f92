"""Write constraints.txt from the installed versions: ``make constraints``.

Packages that are installed for other reasons, such as the Node.js of the JavaScript tools, are left out.
"""

from importlib import metadata

from tests.support.packages import ROOT, closure, requirements

FILE = "constraints.txt"
INSTALLERS = {"pip", "setuptools", "wheel"}  # they come with Python


def constraints(comments: list[str]) -> str:
    """The comments, then the installed version of each package that the requirement files need, sorted."""
    names = closure(set(requirements("requirements-dev.txt"))) - INSTALLERS
    return "\n".join([*comments, *sorted(f"{name}=={metadata.version(name)}" for name in names), ""])


def main() -> None:
    """Replace the pins and keep the comments."""
    path = ROOT / FILE
    comments = [line for line in path.read_text("utf-8").splitlines() if line.startswith("#")]
    path.write_text(constraints(comments), "utf-8")


if __name__ == "__main__":
    main()
