"""Items made ahead in another thread: all of them, in order, with what the source raises, and an end that is prompt."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import closing
from itertools import count

import pytest

from counterfoil.dataplane.ahead import Ahead
from counterfoil.errors import StoreFull


def test_every_item_comes_in_order_from_another_thread() -> None:
    makers: set[int] = set()

    def source() -> Generator[int]:
        for no in range(1_000):
            makers.add(threading.get_ident())
            yield no

    with closing(Ahead(source())) as ahead:
        assert list(ahead) == list(range(1_000))
        assert list(ahead) == []
    assert len(makers) == 1 and threading.get_ident() not in makers


def test_what_the_source_raises_comes_behind_what_it_gave() -> None:
    def source() -> Generator[int]:
        yield 1
        yield 2
        raise StoreFull("full")

    with closing(Ahead(source())) as ahead:
        assert [next(ahead), next(ahead)] == [1, 2]
        with pytest.raises(StoreFull):
            next(ahead)


def test_closing_ends_the_source_in_its_own_thread() -> None:
    ended: list[int] = []
    made: list[int] = []

    def source() -> Generator[int]:
        try:
            for no in count():
                made.append(threading.get_ident())
                yield no
        finally:
            ended.append(threading.get_ident())

    ahead = Ahead(source())
    assert next(ahead) == 0
    ahead.close()
    assert ended == [made[0]] and len(made) <= 8
    assert list(ahead) == []
    ahead.close()
