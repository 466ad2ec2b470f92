"""Cases of other readers' faults: what is given, what is right, and what the application answers.

``tests/api/test_cases.py`` compares, ``docs/cases.md`` shows the table (make dicom-table), and
``make bench ARGS="--only cases"`` prints it with the answers of a running application.
"""

from tests.support.cases.case import Case
from tests.support.cases.file_cases import file_cases
from tests.support.cases.study_cases import study_cases
from tests.support.cases.view_cases import view_cases


def all_cases() -> list[Case]:
    """The cases in the order of the table."""
    return [*view_cases(), *file_cases(), *study_cases()]
