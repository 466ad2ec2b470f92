"""Work by threads ahead of whoever takes the results."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from birads_app.compute.side_by_side import side_by_side


def test_results_come_in_order_and_a_failure_awaits_steps_that_began() -> None:
    finished: list[int] = []

    def step(number: int) -> int:
        if number == 2:
            raise ValueError
        threading.Event().wait(0.01 * (4 - number))
        finished.append(number)
        return number

    with ThreadPoolExecutor(2) as pool:
        assert list(side_by_side(step, [0, 1, 3], pool, ahead=2)) == [0, 1, 3]
        finished.clear()
        with pytest.raises(ValueError):
            list(side_by_side(step, [0, 2, 1], pool, ahead=3))
        assert 0 in finished
