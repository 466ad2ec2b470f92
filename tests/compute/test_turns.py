"""Turns at a limited number of things."""

import threading
import time

from birads_app.compute.turns import Turns


def test_who_is_urgent_comes_first() -> None:
    turns, order = Turns(["only"]), list[str]()
    taken = turns.take()

    def wait(name: str, urgent: bool) -> None:
        thing = turns.take(urgent)
        order.append(name)
        turns.give_back(thing)

    threads = [threading.Thread(target=wait, args=(f"{number}", number == 3)) for number in range(4)]
    for thread in threads:
        thread.start()
        while thread.is_alive() and len(turns._changed._waiters) <= threads.index(thread):  # type: ignore[attr-defined]
            time.sleep(0.001)
    turns.give_back(taken)
    for thread in threads:
        thread.join(30)
    assert order[0] == "3" and len(order) == 4
    assert turns.take_free() == ["only"] and turns.take_free() == []


def test_a_thing_is_spare_while_it_is_free_and_nobody_waits() -> None:
    turns = Turns(["only"])
    assert turns.has_spare()
    taken = turns.take()
    waits = threading.Thread(target=turns.take)
    waits.start()
    assert not turns.has_spare()
    turns.give_back(taken)
    waits.join(30)
    assert not turns.has_spare()
