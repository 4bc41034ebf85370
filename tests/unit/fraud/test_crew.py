from __future__ import annotations

from banksim.fraud.people import Accomplices

from .helpers import world


def people(*indices):
    queue = list(indices)
    return lambda: world().population.customer(queue.pop(0) if len(queue) > 1 else queue[0])


def indices(crew):
    return [person.index for person in crew]


def test_a_blocked_accomplice_loses_the_post_to_the_next():
    crew = Accomplices(people(1, 2, 3, 4), 3)
    crew.replace(2)
    assert indices(crew) == [1, 4, 3]
    assert not crew.holds(2)
    assert crew.blocked == {2}


def test_nobody_who_was_blocked_or_has_a_post_comes_in():
    crew = Accomplices(people(1, 2, 2, 1, 5), 2)
    crew.replace(1)
    assert indices(crew) == [5, 2]


def test_where_nobody_is_left_the_post_stays():
    crew = Accomplices(people(7), 3)
    crew.replace(7)
    assert indices(crew) == [7]


def test_one_person_holds_several_posts_in_a_small_bank():
    crew = Accomplices(people(1, 2, 1), 3)
    assert len(crew) == 2
    assert (crew[0].index, crew[2].index, crew[3].index) == (1, 1, 2)
