"""The plan of a join: every byte once and in order, and no part that S3 would refuse."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from counterfoil.files.options import PART_SIZE_MAX_BYTES, PART_SIZE_MIN_BYTES, PARTS_MAX
from counterfoil.files.s3_join import COPY_BYTES, COPY_BYTES_MAX, joined_parts

MIB = 1 << 20
SIZES = st.one_of(
    st.integers(0, 2000),
    st.integers(PART_SIZE_MIN_BYTES - 2, PART_SIZE_MIN_BYTES + 2),
    st.integers(COPY_BYTES - 2, COPY_BYTES + PART_SIZE_MIN_BYTES + 2),
    st.integers(0, 3 << 30),
)


@given(st.lists(SIZES, max_size=12))
def test_every_byte_once_in_order_and_every_part_large_enough(sizes: list[int]) -> None:
    sources = [(f"part-{number}", size) for number, size in enumerate(sizes)]
    parts = joined_parts(sources)
    seen = [(span.key, span.start, span.end) for part in parts for span in part.spans]
    at = iter(seen)
    for key, size in sources:
        position = 0
        while position < size:
            span_key, start, end = next(at)
            assert (span_key, start) == (key, position)
            assert end > start
            position = end
        assert position == size
    assert next(at, None) is None
    sums = [sum(span.size_bytes for span in part.spans) for part in parts]
    assert all(size >= PART_SIZE_MIN_BYTES for size in sums[:-1])
    assert all(size <= COPY_BYTES + PART_SIZE_MIN_BYTES for size in sums)
    for part in parts:
        if not part.gathered:
            assert len(part.spans) == 1
            assert part.spans[0].size_bytes >= PART_SIZE_MIN_BYTES


@given(st.integers(1, 1000), st.integers(10 * MIB, 3 << 30))
def test_a_header_costs_one_gathered_part(header: int, size: int) -> None:
    parts = joined_parts([("header", header), ("body", size)])
    assert parts[0].gathered
    assert sum(part.gathered for part in parts) == 1


def test_a_small_rest_is_copied_with_what_stands_before_it() -> None:
    (part,) = joined_parts([("body", COPY_BYTES + 1)])
    assert not part.gathered


def test_a_file_of_terabytes_has_no_more_parts_than_s3_takes() -> None:
    sources = [(f"part-{number}", 730 * MIB + number) for number in range(4_200)]  # 3 TB of some 4,000 tasks
    parts = joined_parts(sources)
    assert len(parts) <= PARTS_MAX
    assert sum(span.size_bytes for part in parts for span in part.spans) == sum(size for _, size in sources)
    huge = joined_parts([("part-0", 6 << 30), ("part-1", 5 << 30)] * 4_000)
    assert all(part.spans[0].size_bytes <= COPY_BYTES_MAX + PART_SIZE_MIN_BYTES <= PART_SIZE_MAX_BYTES for part in huge)
