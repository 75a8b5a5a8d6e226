import pytest

from pinnace.linux import sockfilter
from pinnace.linux.sockfilter import Graph, Word
from tests.linux import bpf_machine
from tests.linux.bpf_machine import Call

_NUMBER, _ARCHITECTURE, _FIRST = Word(0), Word(4), Word(16)


def _code(graph: Graph, root: int) -> list[bpf_machine.Instruction]:
    code = bpf_machine.instructions(sockfilter.assemble(graph, root))
    bpf_machine.verify(code)
    return code


def test_a_verdict_alone_is_one_instruction() -> None:
    graph = Graph()

    code = _code(graph, graph.verdict(7))

    assert code == [(0x06, 0, 0, 7)]


def test_a_test_whose_ways_agree_is_none() -> None:
    graph = Graph()
    one = graph.verdict(1)

    assert graph.test(_NUMBER, sockfilter.EQUAL, 5, yes=one, no=one) == one


def test_equal_nodes_are_one() -> None:
    graph = Graph()
    one, other = graph.verdict(1), graph.verdict(2)

    first = graph.test(_NUMBER, sockfilter.EQUAL, 5, yes=one, no=other)
    second = graph.test(_NUMBER, sockfilter.EQUAL, 5, yes=one, no=other)

    assert first == second


def test_a_word_that_is_loaded_is_not_loaded_again() -> None:
    graph = Graph()
    one, other = graph.verdict(1), graph.verdict(2)
    second = graph.test(_NUMBER, sockfilter.EQUAL, 6, yes=one, no=other)
    root = graph.test(_NUMBER, sockfilter.EQUAL, 5, yes=one, no=second)

    code = _code(graph, root)

    assert [operation for operation, *_ in code].count(0x20) == 1


def test_a_node_with_two_ways_in_loads_only_for_the_one_that_needs_it() -> None:
    graph = Graph()
    one, other = graph.verdict(1), graph.verdict(2)
    shared = graph.test(_NUMBER, sockfilter.EQUAL, 6, yes=one, no=other)
    same = graph.test(_NUMBER, sockfilter.GREATER, 5, yes=shared, no=other)
    different = graph.test(_FIRST, sockfilter.EQUAL, 1, yes=shared, no=same)

    code = _code(graph, different)

    by_argument = bpf_machine.run(code, Call("x86_64", 6, (1, 0, 0, 0, 0, 0)))
    by_number = bpf_machine.run(code, Call("x86_64", 6))
    assert (by_argument.verdict, by_number.verdict) == (1, 1)
    assert by_argument.steps == 5  # load, test, load, test, return
    assert by_number.steps == 6  # load, test, load, test, test, return


def test_a_masked_word_is_not_taken_for_the_whole_one() -> None:
    graph = Graph()
    one, other = graph.verdict(1), graph.verdict(2)
    whole = graph.test(_FIRST, sockfilter.EQUAL, 0x12, yes=one, no=other)
    root = graph.test(Word(16, 0xF0), sockfilter.EQUAL, 0x10, yes=whole, no=other)

    code = _code(graph, root)

    assert bpf_machine.run(code, Call("x86_64", 0, (0x12, 0, 0, 0, 0, 0))).verdict == 1
    assert bpf_machine.run(code, Call("x86_64", 0, (0x13, 0, 0, 0, 0, 0))).verdict == 2


def test_targets_out_of_reach_are_reached_all_the_same() -> None:
    graph = Graph()
    far = graph.test(_FIRST, sockfilter.EQUAL, 1, yes=graph.verdict(1), no=graph.verdict(2))
    root = far
    for number in range(1000):  # each has a verdict of its own, and one way out to `far`
        own = graph.test(
            _ARCHITECTURE, sockfilter.GREATER, number, yes=graph.verdict(100 + number), no=far
        )
        root = graph.test(_NUMBER, sockfilter.EQUAL, number, yes=own, no=root)

    code = _code(graph, root)

    for number in (0, 1, 500, 999):
        assert bpf_machine.run(code, Call("x86_64", number)).verdict == 100 + number
    assert bpf_machine.run(code, Call("x86_64", 1000, (1, 0, 0, 0, 0, 0))).verdict == 1
    assert bpf_machine.run(code, Call("x86_64", 1000)).verdict == 2


def test_more_than_the_kernel_takes_is_an_error() -> None:
    graph = Graph()
    root = graph.verdict(0)
    for number in range(4096):
        root = graph.test(_NUMBER, sockfilter.EQUAL, number, yes=graph.verdict(number + 1), no=root)

    with pytest.raises(ValueError, match="the kernel takes 4096"):
        sockfilter.assemble(graph, root)
