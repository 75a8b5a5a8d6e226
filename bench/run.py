#!/usr/bin/env python3
"""Two engines, measured alternately, side by side.

    bench/run.py A B                    A and B are Docker hosts: unix:///path
    bench/run.py A B --only none,exec   these measures; --list names all
    bench/run.py A B --cgroups          processor time by cpuacct groups, which needs root

Medians, the tenth percentile, and how many times better A is than B. Nothing else should run on
the machine; the ratio of an engine to itself (A A) shows how far to trust a row.
"""

import argparse
import contextlib
import json
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.measures import MEASURES, ONLY_WHEN_NAMED, Samples
from bench.side import Side, cgroups, describe

MORE_IS_BETTER = ("/s",)


def main() -> None:
    options = arguments()
    sides = [
        Side("A", options.a, options.image_a or options.image, options.cgroup_a),
        Side("B", options.b, options.image_b or options.image, options.cgroup_b),
    ]
    for side in sides:
        side.clear()
        print(f"{side.name}: {describe(side)['version']} at {side.host}")
    print(f"{'':46}{'A':>11}{'p10':>10}{'B':>11}{'p10':>10}   A is better by")
    results: dict[str, dict[str, list[float]]] = {}
    with contextlib.ExitStack() as stack:
        if options.cgroups:
            stack.enter_context(cgroups(sides))
        for name in chosen(options.only):
            rows = alternate(name, sides, options.rounds)
            for row in rows:
                print(line(row, rows[row]), flush=True)
            results.update(rows)
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("a", metavar="A")
    parser.add_argument("b", metavar="B")
    parser.add_argument("--rounds", type=int, help="rounds of each measure")
    parser.add_argument("--only", help="measures, separated by commas")
    parser.add_argument("--image", default="busybox:latest")
    parser.add_argument("--image-a")
    parser.add_argument("--image-b")
    parser.add_argument("--cgroups", action="store_true", help="move both engines into cgroups")
    parser.add_argument("--cgroup-a", help="cpuacct groups that A and its containers are in")
    parser.add_argument("--cgroup-b")
    parser.add_argument("--json", help="write all samples here")
    parser.add_argument("--list", action=_List, nargs=0)
    return parser.parse_args()


class _List(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(*MEASURES)
        parser.exit()


def chosen(only: str | None) -> list[str]:
    if only is None:
        return [name for name in MEASURES if name not in ONLY_WHEN_NAMED]
    names = only.split(",")
    for name in names:
        if name not in MEASURES:
            raise SystemExit(f"no measure is named {name}; there are: {' '.join(MEASURES)}")
    return names


def alternate(
    name: str, sides: list[Side], rounds: int | None
) -> dict[str, dict[str, list[float]]]:
    """row → side → samples; who goes first changes with each round."""
    measure, usual = MEASURES[name]
    rows: dict[str, dict[str, list[float]]] = {}
    with contextlib.ExitStack() as stack:
        running = [(side, stack.enter_context(contextlib.closing(measure(side)))) for side in sides]
        for number in range(rounds or usual):
            for side, samples in running if number % 2 == 0 else reversed(running):
                _collect(rows, side.name, next(samples))
    return rows


def _collect(rows: dict[str, dict[str, list[float]]], side: str, samples: Samples) -> None:
    for row, values in samples.items():
        rows.setdefault(row, {}).setdefault(side, []).extend(values)


def line(row: str, samples: dict[str, list[float]]) -> str:
    a, b = statistics.median(samples["A"]), statistics.median(samples["B"])
    better = (a / b if b else 0) if row.endswith(MORE_IS_BETTER) else (b / a if a else 0)
    cells = f"{a:11.2f}{low(samples['A']):10.2f}{b:11.2f}{low(samples['B']):10.2f}"
    return f"{row:46}{cells}{better:12.2f}x"


def low(values: list[float]) -> float:
    """The tenth percentile: what the machine can do when it is not disturbed."""
    return sorted(values)[len(values) // 10]


if __name__ == "__main__":
    main()
