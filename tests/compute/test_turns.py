"""Turns at a limited number of things."""

import threading
import time

from birads_app.compute.turns import Turns, Urgency


def test_calls_take_their_turn_by_urgency() -> None:
    turns, order = Turns(["only"]), list[str]()
    taken = turns.take()

    def wait(name: str, urgency: Urgency) -> None:
        thing = turns.take(urgency)
        order.append(name)
        turns.give_back(thing)

    urgencies = (Urgency.LATER, Urgency.REQUEST, Urgency.REQUEST, Urgency.READER)
    threads = [threading.Thread(target=wait, args=(str(number), one)) for number, one in enumerate(urgencies)]
    for thread in threads:
        thread.start()
        while thread.is_alive() and len(turns._changed._waiters) <= threads.index(thread):  # type: ignore[attr-defined]
            time.sleep(0.001)
    turns.give_back(taken)
    for thread in threads:
        thread.join(30)
    assert order[0] == "3" and order[3] == "0" and len(order) == 4
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
