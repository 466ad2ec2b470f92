"""Samples of long lists of cases: a few in every run, all in the slow tests."""

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

import pytest
from _pytest.mark import ParameterSet

Case = TypeVar("Case")


def one_of_each_kind(cases: Iterable[Case], kind: Callable[[Case], Hashable]) -> list[Case | ParameterSet]:
    """Return all cases for a parametrisation; all but the first of each kind are marked slow."""
    seen: set[Hashable] = set()
    marked: list[Case | ParameterSet] = []
    for case in cases:
        values = case if isinstance(case, tuple) else (case,)
        marked.append(pytest.param(*values, marks=pytest.mark.slow) if kind(case) in seen else case)
        seen.add(kind(case))
    return marked
