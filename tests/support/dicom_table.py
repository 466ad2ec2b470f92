"""Tables of ``docs/dicom.md`` and ``docs/cases.md``, updated by ``make dicom-table``.

``python -m tests.support.dicom_table [NUMBER]`` tries NUMBER damaged files (default: 2,000).
"""

import re
import sys
from collections import Counter
from pathlib import Path

from tests.support.cases import all_cases
from tests.support.dicom_matrix import BITS, ROWS, Row

_DOCUMENTS = Path(__file__).resolve().parent.parent.parent / "docs"
DOCUMENT, CASES = _DOCUMENTS / "dicom.md", _DOCUMENTS / "cases.md"


def syntaxes() -> str:
    """The table of transfer syntaxes by bits stored."""
    head = [
        "transfer syntax",
        *(f"{bits} bit" for bits in BITS),
        "signed",
        "decoder",
        "written for the test by",
    ]
    return _table(head, [_cells(row) for row in ROWS])


def _cells(row: Row) -> list[str]:
    good = f"within {row.tolerance:.0%}" if row.tolerance else "exact"
    depths = [good if bits in row.bits else "-" for bits in BITS]
    return [
        f"{row.syntax.name} `{row.syntax}`",
        *depths,
        "yes" if row.signed else "-",
        row.reader,
        row.writer,
    ]


def outcomes(counts: Counter[tuple[str, str]]) -> str:
    """Return the table of damaged files by (damage, outcome)."""
    damages = sorted({damage for damage, _ in counts})
    ends = sorted({end for _, end in counts})
    rows = [[damage, *(f"{counts[damage, end]:,}" for end in ends)] for damage in damages]
    return _table(["damage", *ends], rows)


def cases_table() -> str:
    """Return the table of cases."""
    return _table(["given", "right"], [[case.given, case.right] for case in all_cases()])


def block(name: str, document: str) -> str:
    """The part of a document between the marks ``<!-- name -->`` and ``<!-- /name -->``."""
    return re.search(_between(name), document, re.DOTALL)[2].strip()


def _between(name: str) -> str:
    return rf"(<!-- {name} -->\n)(.*?)(<!-- /{name} -->)"


def _table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows))


def main() -> None:
    """Write the tables into the document."""
    from tests.support.dicom_mutations import try_many

    number = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    _write(CASES, cases=cases_table())
    _write(DOCUMENT, syntaxes=syntaxes(), outcomes=outcomes(try_many(number)))


def _write(path: Path, **tables: str) -> None:
    document = path.read_text("utf-8")
    for name, table in tables.items():
        document = re.sub(
            _between(name), lambda found, new=table: f"{found[1]}{new}\n{found[3]}", document, flags=re.S
        )
    path.write_text(document, "utf-8")


if __name__ == "__main__":
    main()
