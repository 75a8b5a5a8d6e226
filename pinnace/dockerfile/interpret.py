"""Nodes → instructions: flags and operands checked and given their meaning, in BuildKit's words."""

import re
from collections.abc import Callable

from pinnace.dockerfile import flags, golang, heredocs, mounts, operands
from pinnace.dockerfile.instructions import (
    Add,
    Arg,
    Cmd,
    Command,
    Copy,
    Declaration,
    Entrypoint,
    Env,
    Expose,
    Files,
    From,
    Healthcheck,
    InlineFile,
    Instruction,
    Label,
    Maintainer,
    Onbuild,
    Origin,
    Pair,
    Run,
    Script,
    Shell,
    Stopsignal,
    User,
    Volume,
    Workdir,
)
from pinnace.dockerfile.parser import Node
from pinnace.dockerfile.source import DockerfileError
from pinnace.dockerfile.suggest import hint

_MILLISECOND = 1_000_000
_NETWORKS = ("default", "none", "host")
_SECURITIES = ("sandbox", "insecure")
_stage_name = re.compile(r"[a-z][a-z0-9-_.]*").fullmatch
_onbuild = re.compile(r"\s*ONBUILD\s*", re.IGNORECASE).match


def instruction(node: Node) -> Instruction:
    """Raises DockerfileError with the node's lines."""
    try:
        meaning = _MEANINGS.get(node.name)
        if meaning is None:
            options = [keyword.upper() for keyword in operands.KEYWORDS]
            raise DockerfileError(
                f"unknown instruction: {node.keyword}{hint(node.keyword, options, fold_case=True)}"
            )
        return meaning(node, _origin(node))
    except DockerfileError as error:
        raise error.at(node.lines) from None


def _origin(node: Node) -> Origin:
    return Origin(node.keyword, golang.trim(node.source), node.lines, node.comments)


def _add(node: Node, origin: Origin) -> Add:
    _needs_destination(node, "ADD")
    given = flags.parse(
        node.flags,
        booleans=("link", "keep-git-dir", "unpack"),
        strings=("chown", "chmod", "checksum"),
        lists=("exclude",),
    )
    return Add(
        origin,
        _files(node, "ADD"),
        chown=given.string("chown"),
        chmod=given.string("chmod"),
        link=given.boolean("link"),
        exclude=given.list("exclude"),
        keep_git_dir=given.booleans.get("keep-git-dir"),
        checksum=given.string("checksum"),
        unpack=given.booleans.get("unpack"),
    )


def _copy(node: Node, origin: Origin) -> Copy:
    _needs_destination(node, "COPY")
    given = flags.parse(
        node.flags,
        booleans=("link", "parents"),
        strings=("chown", "from", "chmod"),
        lists=("exclude",),
    )
    return Copy(
        origin,
        _files(node, "COPY"),
        from_=given.string("from"),
        chown=given.string("chown"),
        chmod=given.string("chmod"),
        link=given.boolean("link"),
        parents=given.boolean("parents"),
        exclude=given.list("exclude"),
    )


def _needs_destination(node: Node, keyword: str) -> None:
    if len(node.operands) < 2:
        raise DockerfileError(
            f"{keyword} requires at least two arguments, but only one was provided. "
            "Destination could not be determined"
        )


def _files(node: Node, keyword: str) -> Files:
    *sources, destination = node.operands
    if heredocs.lenient(destination):
        raise DockerfileError(f"{keyword} cannot accept a heredoc as a destination")
    contents = {heredoc.name: heredoc.content for heredoc in node.heredocs}
    paths: list[str] = []
    inline: list[InlineFile] = []
    for source in sources:
        announced = heredocs.lenient(source)
        if announced is None:
            paths.append(source)
            continue
        content = contents.get(announced.name, "")
        content = heredocs.chomped(content) if announced.chomp else content
        inline.append(InlineFile(announced.name, content, announced.expand))
    return Files(tuple(paths), tuple(inline), destination)


def _arg(node: Node, origin: Origin) -> Arg:
    _needs_one(node, "ARG")
    return Arg(origin, tuple(_declaration(word, node.comments) for word in node.operands))


def _declaration(word: str, comments: tuple[str, ...]) -> Declaration:
    name, equals, value = word.partition("=")
    if equals and not name:
        raise DockerfileError("ARG names can not be blank")
    return Declaration(name, value if equals else None, _description(comments, name))


def _description(comments: tuple[str, ...], name: str) -> str:
    """What a comment above says of a name it begins with."""
    found = (c.removeprefix(f"{name} ") for c in comments if c.startswith(f"{name} "))
    return next(found, "") if name else ""


def _cmd(node: Node, origin: Origin) -> Cmd:
    flags.parse(node.flags)
    return Cmd(origin, _command(node))


def _entrypoint(node: Node, origin: Origin) -> Entrypoint:
    flags.parse(node.flags)
    return Entrypoint(origin, _command(node))


def _command(node: Node) -> Command:
    scripts = (Script(h.name, h.content, h.chomp) for h in node.heredocs)
    return Command(node.operands, shell=not node.json, scripts=tuple(scripts))


def _env(node: Node, origin: Origin) -> Env:
    flags.parse(node.flags)
    return Env(origin, _pairs(node, "ENV"))


def _label(node: Node, origin: Origin) -> Label:
    flags.parse(node.flags)
    return Label(origin, _pairs(node, "LABEL"))


def _pairs(node: Node, keyword: str) -> tuple[Pair, ...]:
    _needs_one(node, keyword)
    names, values, signs = (node.operands[part::3] for part in range(3))
    if not all(names):
        raise DockerfileError(f"{keyword} names can not be blank")
    return tuple(
        Pair(name, value, legacy=not sign)
        for name, value, sign in zip(names, values, signs, strict=True)
    )


def _expose(node: Node, origin: Origin) -> Expose:
    _needs_one(node, "EXPOSE")
    flags.parse(node.flags)
    return Expose(origin, tuple(sorted(node.operands)))


def _from(node: Node, origin: Origin) -> From:
    base, name = _base_and_name(node.operands)
    given = flags.parse(node.flags, strings=("platform",))
    return From(
        origin,
        base,
        name=name,
        platform=given.string("platform"),
        description=_description(node.comments, name),
    )


def _base_and_name(given: tuple[str, ...]) -> tuple[str, str]:
    match given:
        case (base,):
            return base, ""
        case (base, word, name) if word.lower() == "as":
            if not _stage_name(name.lower()):
                raise DockerfileError(
                    f"invalid name for build stage: {golang.quote(name)}, "
                    "name can't start with a number or contain symbols"
                )
            return base, name.lower()
    raise DockerfileError("FROM requires either one or three arguments")


def _healthcheck(node: Node, origin: Origin) -> Healthcheck:
    _needs_one(node, "HEALTHCHECK")
    kind, *command = node.operands
    if kind.upper() == "NONE":
        if command:
            raise DockerfileError("HEALTHCHECK NONE takes no arguments")
        return Healthcheck(origin, ("NONE",))
    given = flags.parse(
        node.flags,
        strings=("interval", "timeout", "start-period", "start-interval", "retries"),
    )
    if kind.upper() != "CMD":
        raise DockerfileError(f"Unknown type {golang.quote(kind.upper())} in HEALTHCHECK (try CMD)")
    if not command:
        raise DockerfileError("Missing command after HEALTHCHECK CMD")
    return Healthcheck(
        origin,
        ("CMD" if node.json else "CMD-SHELL", *command),
        interval=_interval("interval", given),
        timeout=_interval("timeout", given),
        start_period=_interval("start-period", given),
        start_interval=_interval("start-interval", given),
        retries=_retries(given.string("retries")),
    )


def _interval(name: str, given: flags.Flags) -> int:
    text = given.string(name)
    try:
        interval = golang.duration(text) if text else 0
    except ValueError as error:
        raise DockerfileError(str(error)) from error
    if interval and interval < _MILLISECOND:
        raise DockerfileError(f"Interval {golang.quote(name)} cannot be less than 1ms")
    return interval


def _retries(text: str) -> int:
    try:
        retries = golang.integer(text, low=-(1 << 31), high=(1 << 31) - 1) if text else 0
    except ValueError as error:
        raise DockerfileError(str(error)) from error
    if retries < 0:
        raise DockerfileError(f"--retries cannot be negative ({retries})")
    return retries


def _maintainer(node: Node, origin: Origin) -> Maintainer:
    author = _exactly_one(node, "MAINTAINER")
    flags.parse(node.flags)
    return Maintainer(origin, author)


def _onbuild_instruction(node: Node, origin: Origin) -> Onbuild:
    if node.trigger is None:
        raise DockerfileError("ONBUILD requires at least one argument")
    flags.parse(node.flags)
    keyword = node.trigger.keyword.upper()
    if keyword == "ONBUILD":
        raise DockerfileError("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if keyword in ("MAINTAINER", "FROM"):
        raise DockerfileError(f"{keyword} isn't allowed as an ONBUILD trigger")
    prefix = _onbuild(node.source)
    text = node.source[prefix.end() :] if prefix else node.source
    documents = (f"\n{heredoc.content}{heredoc.name}" for heredoc in node.heredocs)
    return Onbuild(origin, text + "".join(documents))


def _run(node: Node, origin: Origin) -> Run:
    given = flags.parse(node.flags, strings=("network", "security"), lists=("mount", "device"))
    network = given.string("network", "default")
    security = given.string("security", "sandbox")
    devices = tuple(mounts.device(text) for text in given.list("device"))
    mounted = tuple(mounts.unexpanded(text) for text in given.list("mount"))
    if network not in _NETWORKS:
        raise DockerfileError(f"invalid network mode {golang.quote(network)}")
    if security not in _SECURITIES:
        raise DockerfileError(f"security {golang.quote(security)} is not valid")
    return Run(
        origin,
        _command(node),
        mounts=mounted,
        network=network,
        security=security,
        devices=devices,
    )


def _shell(node: Node, origin: Origin) -> Shell:
    flags.parse(node.flags)
    _needs_one(node, "SHELL")
    if not node.json:
        raise DockerfileError("SHELL requires the arguments to be in JSON form")
    return Shell(origin, node.operands)


def _stopsignal(node: Node, origin: Origin) -> Stopsignal:
    return Stopsignal(origin, _exactly_one(node, "STOPSIGNAL"))


def _user(node: Node, origin: Origin) -> User:
    user = _exactly_one(node, "USER")
    flags.parse(node.flags)
    return User(origin, user)


def _volume(node: Node, origin: Origin) -> Volume:
    _needs_one(node, "VOLUME")
    flags.parse(node.flags)
    paths = tuple(golang.trim(path) for path in node.operands)
    if not all(paths):
        raise DockerfileError("VOLUME specified can not be an empty string")
    return Volume(origin, paths)


def _workdir(node: Node, origin: Origin) -> Workdir:
    path = _exactly_one(node, "WORKDIR")
    flags.parse(node.flags)
    return Workdir(origin, path)


def _needs_one(node: Node, keyword: str) -> None:
    if not node.operands:
        raise DockerfileError(f"{keyword} requires at least one argument")


def _exactly_one(node: Node, keyword: str) -> str:
    if len(node.operands) != 1:
        raise DockerfileError(f"{keyword} requires exactly one argument")
    return node.operands[0]


_MEANINGS: dict[str, Callable[[Node, Origin], Instruction]] = {
    "add": _add,
    "arg": _arg,
    "cmd": _cmd,
    "copy": _copy,
    "entrypoint": _entrypoint,
    "env": _env,
    "expose": _expose,
    "from": _from,
    "healthcheck": _healthcheck,
    "label": _label,
    "maintainer": _maintainer,
    "onbuild": _onbuild_instruction,
    "run": _run,
    "shell": _shell,
    "stopsignal": _stopsignal,
    "user": _user,
    "volume": _volume,
    "workdir": _workdir,
}
