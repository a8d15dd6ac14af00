"""Spans: containment is told as a plain search would tell it."""

from hypothesis import given
from hypothesis import strategies as st

from anonymize.spans import Cover

ranges = st.tuples(st.integers(0, 30), st.integers(0, 12)).map(lambda pair: (pair[0], sum(pair)))


@given(st.lists(ranges, max_size=12), ranges)
def test_a_cover_holds_what_one_range_holds(held: list[tuple[int, int]], place: tuple[int, int]) -> None:
    assert Cover(held).holds(*place) == any(start <= place[0] and place[1] <= end for start, end in held)
