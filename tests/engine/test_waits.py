from pinnace.engine.waits import Waits


def test_an_exit_answers_who_waits_for_it_and_nobody_else() -> None:
    waits = Waits()
    mine, other, removal = waits.for_exit("a"), waits.for_exit("b"), waits.for_removal("a")

    waits.exited("a", (3, None))

    assert mine.result(0) == (3, None)
    assert not other.done()
    assert not removal.done()


def test_a_removal_answers_both() -> None:
    waits = Waits()
    exit_, removal = waits.for_exit("a"), waits.for_removal("a")

    waits.removed("a", (0, None))

    assert exit_.result(0) == removal.result(0) == (0, None)


def test_who_has_given_up_is_passed_over() -> None:
    waits = Waits()
    gone, here = waits.for_exit("a"), waits.for_exit("a")
    gone.cancel()

    waits.exited("a", (1, None))

    assert here.result(0) == (1, None)
