"""A graph of tests and verdicts → a classic BPF program, as seccomp(2) takes it.

Rule 1: nodes are made leaves first, and equal nodes are one node.
Rule 2: a program jumps forward only, so nodes are laid out from its end, in the order made.
Rule 3: only instructions that the kernel can evaluate ahead (no arithmetic but AND): then calls
that are allowed whatever their arguments never run the program (seccomp_cache_prepare).
"""

import struct
from typing import NamedTuple

MAX_INSTRUCTIONS = 4096  # BPF_MAXINSNS
FULL = 0xFFFFFFFF

# linux/bpf_common.h
_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_AND = 0x54  # BPF_ALU | BPF_AND | BPF_K
_JUMP = 0x05  # BPF_JMP | BPF_JA
_RETURN = 0x06  # BPF_RET | BPF_K
EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K, and so on
GREATER = 0x25
GREATER_EQUAL = 0x35
ANY_BIT = 0x45

# Conditional jumps reach 255 instructions; a margin for those put in between.
_REACH = 250

Node = int  # an index into Graph.nodes


class Verdict(NamedTuple):
    """An end: what the filter returns."""

    value: int


class Word(NamedTuple):
    """What a test looks at: the 32 bits at an offset of struct seccomp_data, masked."""

    offset: int
    mask: int = FULL


class Test(NamedTuple):
    word: Word
    operation: int
    operand: int
    yes: Node
    no: Node


class Graph:
    def __init__(self) -> None:
        self.nodes: list[Verdict | Test] = []
        self._known: dict[Verdict | Test, Node] = {}

    def verdict(self, value: int) -> Node:
        return self._intern(Verdict(value))

    def test(self, word: Word, operation: int, operand: int, *, yes: Node, no: Node) -> Node:
        if yes == no:
            return yes
        return self._intern(Test(word, operation, operand, yes, no))

    def _intern(self, node: Verdict | Test) -> Node:
        known = self._known.setdefault(node, len(self.nodes))
        if known == len(self.nodes):
            self.nodes.append(node)
        return known

    def loads(self, root: Node) -> dict[Node, bool]:
        """Every test below root, children first: whether it must load its word itself.

        It need not where all that lead to it looked at the same word.
        """
        loads = {root: True}
        for index in range(root, -1, -1):  # parents have the higher index
            node = self.nodes[index]
            if index not in loads or isinstance(node, Verdict):
                continue
            for child in (node.yes, node.no):
                below = self.nodes[child]
                other_word = isinstance(below, Test) and below.word != node.word
                loads[child] = loads.get(child, False) or other_word
        return dict(sorted(loads.items()))


def assemble(graph: Graph, root: Node) -> bytes:
    """An array of struct sock_filter; ValueError when it is longer than the kernel takes."""
    layout = _Layout(graph)
    for index, load in graph.loads(root).items():
        layout.place(index, load=load)
    layout.reach(root)
    if len(layout.code) > MAX_INSTRUCTIONS:
        raise ValueError(
            f"seccomp filter has {len(layout.code)} instructions, "
            f"the kernel takes {MAX_INSTRUCTIONS}"
        )
    return b"".join(struct.pack("=HBBI", *i) for i in reversed(layout.code))


class _Layout:
    """The program being written backwards: position 0 is its last instruction."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.code: list[tuple[int, int, int, int]] = []
        self._entry: dict[Node, int] = {}  # the nearest way in
        self._loaded: dict[Node, int] = {}  # the same, when the word is loaded already

    def place(self, index: Node, *, load: bool) -> None:
        node = self.graph.nodes[index]
        if isinstance(node, Verdict):
            return  # written wherever it is within reach of those who need it
        yes, no = self._target(node, node.yes), self._target(node, node.no)
        here = len(self.code)
        self._emit(node.operation, here - yes - 1, here - no - 1, node.operand)
        self._loaded[index] = self._entry[index] = here
        if load:
            if node.word.mask != FULL:
                self._emit(_AND, 0, 0, node.word.mask)
            self._entry[index] = self._emit(_LOAD, 0, 0, node.word.offset)

    def reach(self, index: Node) -> int:
        return self._near(self._entry, index)

    def _target(self, parent: Test, index: Node) -> int:
        child = self.graph.nodes[index]
        same = isinstance(child, Test) and child.word == parent.word
        return self._near(self._loaded if same else self._entry, index)

    def _near(self, ways: dict[Node, int], index: Node) -> int:
        """The position of a way into a node that a conditional jump from here can reach."""
        distance = len(self.code) - ways.get(index, -MAX_INSTRUCTIONS)
        if distance > _REACH:
            node = self.graph.nodes[index]
            if isinstance(node, Verdict):
                ways[index] = self._emit(_RETURN, 0, 0, node.value)
            else:
                ways[index] = self._emit(_JUMP, 0, 0, distance - 1)
        return ways[index]

    def _emit(self, operation: int, yes: int, no: int, operand: int) -> int:
        self.code.append((operation, yes, no, operand))
        return len(self.code) - 1
