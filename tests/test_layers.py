"""Imports point down: the ranks of the design, checked over every module's syntax tree."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "pinnace"

RANKS = {
    "errors": 0,
    "oci": 1,
    "linux": 1,
    "dockerfile": 2,
    "runtime": 3,
    "supervisor": 4,
    "store": 4,
    "network": 4,
    "registry": 5,
    "build": 6,
    "engine": 7,
    "api": 8,
    "cli": 9,
}

# The command line is a client like any other: of ours it knows the bodies' types, and, to start
# what the user asked for, the two entry points (`pinnace daemon`, `pinnace runtime`).
CLI_MAY = {"api.types", "api.server", "engine.engine", "runtime.command", "errors"}

# Packages of one rank don't know each other, except where the design says so.
SAME_RANK = {
    ("network", "store"),  # networks and endpoints are rows of the one database
    ("network", "supervisor"),  # the loop of a process that outlives the daemon
}

MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, what), `what` below the package: "store.content", "errors"."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        match node:
            case ast.Import(names=names):
                modules = [alias.name for alias in names]
            case ast.ImportFrom(module="pinnace", names=names, level=0):
                modules = [f"pinnace.{alias.name}" for alias in names]
            case ast.ImportFrom(module=str(module), names=names, level=0):
                modules = [f"{module}.{alias.name}" for alias in names]
            case ast.ImportFrom(level=level) if level > 0:
                raise AssertionError(f"{path}:{node.lineno}: a relative import hides its rank")
            case _:
                continue
        for module in modules:
            if module.startswith("pinnace."):
                yield node.lineno, module.removeprefix("pinnace.")


def refusal(importer: str, imported: str) -> str | None:
    """Why `importer` must not import `imported`, or None."""
    here, there = importer.split(".")[0], imported.split(".")[0]
    if here == there or here == "__init__" or there == "__init__":
        return None
    if here == "cli":
        allowed = any(f"{imported}.".startswith(f"{may}.") for may in CLI_MAY)
        return None if allowed else "cli knows the API's types and the entry points only"
    if RANKS[there] < RANKS[here] or (here, there) in SAME_RANK:
        return None
    return f"{here} (rank {RANKS[here]}) may not know {there} (rank {RANKS[there]})"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    found = [
        f"{path.relative_to(PACKAGE.parent)}:{line}: imports {module}: {why}"
        for line, module in imports(path)
        if (why := refusal(name_of(path), module)) is not None
    ]

    assert not found, "\n".join(found)


def test_every_package_has_a_rank() -> None:
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}

    assert packages <= set(RANKS)


# What a forked process pays for in memory and start time: the zygote, supervisors and inits
# live on these packages only.
HEAVY = {
    "asyncio",
    "concurrent",
    "dataclasses",
    "email",
    "http",
    "inspect",
    "json",
    "logging",
    "pathlib",
    "shutil",
    "sqlite3",
    "ssl",
    "subprocess",
    "tempfile",
    "threading",
    "urllib",
}
LIGHT_PACKAGES = ("linux", "runtime", "supervisor", "oci/spec.py", "errors.py")


def top_level_imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.parse(path.read_bytes()).body:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.lineno, node.module


@pytest.mark.parametrize(
    "path",
    [p for p in MODULES if str(p.relative_to(PACKAGE)).startswith(LIGHT_PACKAGES)],
    ids=name_of,
)
def test_what_the_zygote_loads_is_light(path: Path) -> None:
    found = [
        f"{path.relative_to(PACKAGE.parent)}:{line}: {module}"
        for line, module in top_level_imports(path)
        if module.split(".")[0] in HEAVY
    ]

    assert not found, "heavy imports at top level: " + ", ".join(found)
