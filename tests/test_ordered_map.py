"""Do results come in order, whether calls are short or long, few or many?"""

import threading
import time

import pytest

from quantizer.ordered_map import limit_threads, map_in_order, most_alive, worker_count


def long_call(index):
    time.sleep(0.003)
    return index, threading.get_ident()


def short_call(index):
    return index, threading.get_ident()


@pytest.mark.parametrize("call", [short_call, long_call])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 49, 50, 80])
def test_results_come_in_order(call, count):
    assert [index for index, _ in map_in_order(call, count)] == list(range(count))


def test_many_short_calls_stay_on_this_thread_and_long_ones_do_not():
    here = threading.get_ident()
    assert {thread for _, thread in map_in_order(short_call, 60)} == {here}
    assert {thread for _, thread in map_in_order(long_call, 60)} > {here}
    assert here not in {thread for _, thread in map_in_order(short_call, 8)}


@pytest.mark.parametrize("count", [8, 60])
def test_calls_run_ahead_by_a_bounded_number(count):
    begun = []

    def call(index):
        begun.append(index)
        time.sleep(0.003)
        return index

    results = map_in_order(call, count)
    for index in range(3):
        assert next(results) == index
        assert len(begun) <= index + 1 + most_alive()
    results.close()


@pytest.mark.parametrize("count", [8, 60])
def test_what_a_call_raises_is_raised_in_its_place(count):
    def call(index):
        if index == 5:
            raise ZeroDivisionError
        return index

    results = map_in_order(call, count)
    assert [next(results) for _ in range(5)] == list(range(5))
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_threads_can_be_limited_for_a_while():
    before = worker_count()
    with limit_threads(1):
        assert worker_count() == 1
        with limit_threads(None):
            assert worker_count() == before
        assert worker_count() == 1
    assert worker_count() == before
