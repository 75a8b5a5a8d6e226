from pinnace.engine import bundle
from pinnace.engine.idranges import IdRanges


def test_no_two_have_the_same() -> None:
    ranges = IdRanges()

    taken = [ranges.take() for _ in range(500)]

    assert len(set(taken)) == 500
    assert all((base - bundle.RANGES_START) % bundle.RANGE_SIZE == 0 for base in taken)
    assert max(taken) + bundle.RANGE_SIZE <= bundle.RANGES_END


def test_a_released_one_comes_back_last() -> None:
    ranges = IdRanges()
    first = ranges.take()
    ranges.release(first)

    assert ranges.take() != first


def test_what_a_running_container_has_is_not_given_out() -> None:
    ranges = IdRanges()
    ranges.claim(bundle.RANGES_START)

    assert ranges.take() == bundle.RANGES_START + bundle.RANGE_SIZE


def test_all_can_be_had_and_no_more() -> None:
    import pytest

    from pinnace import errors

    ranges = IdRanges()
    count = (bundle.RANGES_END - bundle.RANGES_START) // bundle.RANGE_SIZE
    for _ in range(count):
        ranges.take()

    with pytest.raises(errors.Unavailable):
        ranges.take()
