"""`pinnace runtime`: an OCI runtime's command line, with runc's verbs and options.

Others' engines can use our containers by it. Every verb acts on a folder below --root; there
is no daemon and no supervisor: between `create` and `start` only the container's init waits.
"""

import argparse
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from pinnace import errors
from pinnace.linux import cgroup, process, seccomp, syscall
from pinnace.oci import spec
from pinnace.runtime import arguments, bundles, container, features, hooks, listeners, resources
from pinnace.runtime.bundles import Bundles, Found
from pinnace.runtime.container import Entry, Setting, StartFailed
from pinnace.runtime.sync import Channel

D = TypeVar("D")

_FAILURE = 1
_UMASK = 0o022  # as runc: not that of whoever calls us


def main(argv: Sequence[str]) -> int:
    """Run one command; the exit code is 0, 1 for an error, or the program's for run and exec."""
    args = arguments.parser(ACTIONS).parse_args(argv)
    os.umask(_UMASK)
    try:
        return int(ACTIONS[args.verb](Bundles(args.root), args) or 0)
    except (errors.PinnaceError, StartFailed) as error:
        return _fail(str(error), args)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{(error.strerror or str(error)).lower()}", args)
    finally:
        sys.stdout.flush()  # the console script ends without the interpreter's own flush


def _warn(warnings: Iterable[str]) -> None:
    for warning in warnings:
        sys.stderr.write(f"pinnace runtime: warning: {warning}\n")


def _fail(message: str, args: argparse.Namespace) -> int:
    sys.stderr.write(f"pinnace runtime: {message}\n")
    if args.log:
        entry = {"level": "error", "msg": message, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ")}
        text = f'time="{entry["time"]}" level=error msg={message!r}\n'
        line = msgspec.json.encode(entry) + b"\n" if args.log_format == "json" else text.encode()
        with open(args.log, "ab") as file:
            file.write(line)
    return _FAILURE


def create(store: Bundles, args: argparse.Namespace) -> None:
    """Everything up to the program's execution; init waits for `start`."""
    bundle = os.path.abspath(args.bundle)
    wanted = bundles.load(bundle)
    confinement = _confinement(wanted.linux)
    if wanted.process and wanted.process.terminal and not args.console_socket:
        raise errors.Invalid(
            "cannot allocate tty if runc will detach without setting console socket"
        )
    store.make(args.id)
    try:
        made = container.prepare(bundles.preparation(wanted, args.id))
        try:
            _create(store, args, wanted, made, confinement)
        except BaseException:
            made.delete()
            raise
    except BaseException:
        store.remove(args.id)
        raise


class _Confinement(NamedTuple):
    """A seccomp program, what goes with it, and who listens."""

    program: bytes | None = None
    flags: int = 0
    listener_path: str = ""
    metadata: str = ""


def _confinement(linux: spec.Linux | None) -> _Confinement:
    wanted = linux.seccomp if linux else None
    if wanted is None:
        return _Confinement()
    try:
        flags = seccomp.flags(wanted)
        if flags & seccomp.NEW_LISTENER and not wanted.listener_path:
            raise ValueError("seccomp: SCMP_ACT_NOTIFY needs a listenerPath")
        program = seccomp.compile(wanted, syscall.MACHINE)
    except ValueError as error:
        raise errors.Invalid(str(error)) from None
    return _Confinement(program, flags, wanted.listener_path, wanted.listener_metadata)


def _create(
    store: Bundles,
    args: argparse.Namespace,
    wanted: spec.Spec,
    made: container.Made,
    confinement: _Confinement,
) -> None:
    listener = store.listen(args.id)
    record = bundles.record_of(
        args.id, os.path.abspath(args.bundle), made.pid, made.preparation.cgroup_path
    )
    found = Found(record, wanted, "creating")
    assert wanted.process is not None
    setting = Setting(
        spec=wanted,
        root=wanted.root.path if wanted.root else "",
        stdio=[] if wanted.process.terminal else [0, 1, 2],
        seccomp=confinement.program,
        seccomp_flags=confinement.flags,
        state=msgspec.json.encode(bundles.state_of(found)),
        listener_fd=listener.fileno(),
        mounted=(lambda: _run_create_hooks(found)) if wanted.hooks else None,
        listening=lambda fd: _tell_listener(confinement, found, made.pid, fd),
        in_order=True,
    )
    console, warnings = made.set_up(setting)
    _warn(warnings)
    _warn(container.limit_process(made.pid, wanted.process)[0])
    if console is not None:
        _hand_over(args.console_socket, console)
    store.save(record, wanted)
    if args.pid_file:
        _write_pid(args.pid_file, made.pid)


def _run_create_hooks(found: Found) -> None:
    wanted = found.spec.hooks or spec.Hooks()
    # prestart is older than the status "creating", and is told what it always was.
    created = bundles.state_of(found._replace(status="created"))
    container.run_hooks(wanted.prestart, "prestart", created)
    container.run_hooks(wanted.create_runtime, "createRuntime", bundles.state_of(found))


def _tell_listener(confinement: _Confinement, found: Found, pid: int, fd: int) -> None:
    state = bundles.state_of(found)
    listeners.tell(confinement.listener_path, state, pid, confinement.metadata, fd)


def _hand_over(path: str, master: int) -> None:
    """The console's master goes to who listens at path (runc, docs/terminals.md)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(path)
        socket.send_fds(connection, [b"/dev/ptmx"], [master])
    os.close(master)


def _write_pid(path: str, pid: int) -> None:
    with open(path + ".new", "w") as file:
        file.write(str(pid))
    os.rename(path + ".new", path)


def start(store: Bundles, args: argparse.Namespace) -> None:
    found = store.find(args.id)
    if found.status == "stopped":
        raise errors.Conflict("cannot start a container that has stopped")
    if found.status != "created":
        raise errors.Conflict("cannot start an already running container")
    channel = Channel(store.connect(args.id))
    # Told of at `create`; what could not be set from outside is set from inside.
    _, left = container.limit_process(found.record.pid, found.spec.process or spec.Process())
    container.start_over(channel, left)
    if found.spec.hooks and found.spec.hooks.poststart:
        state = bundles.state_of(found._replace(status="running"))
        try:
            container.run_hooks(found.spec.hooks.poststart, "poststart", state)
        except StartFailed:
            _end(found)
            raise


def run(store: Bundles, args: argparse.Namespace) -> int:
    """create and start; in the foreground the exit code is the program's."""
    process.adopt_orphans()
    create(store, args)
    found = store.find(args.id)
    try:
        start(store, args)
    except StartFailed:
        _delete(store, found)
        raise
    if args.detach:
        return 0
    _, status = os.waitpid(found.record.pid, 0)
    if not args.keep:
        _delete(store, store.find(args.id))
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def state(store: Bundles, args: argparse.Namespace) -> None:
    encoded = msgspec.json.encode(bundles.shown(store.find(args.id)))
    sys.stdout.write(msgspec.json.format(encoded, indent=2).decode() + "\n")


def kill(store: Bundles, args: argparse.Namespace) -> None:
    found = store.find(args.id)
    number = _signal(args.signal)
    if found.status == "stopped":
        if args.all:
            return
        raise errors.Conflict("container not running")
    if args.all:
        cgroup.at(found.record.cgroup_path).kill(number)
        return
    pidfd = os.pidfd_open(found.record.pid)
    try:
        if not (bundles.lives(found.record) and process.send_signal(pidfd, number)):
            raise errors.Conflict("container not running")
    finally:
        os.close(pidfd)


def _signal(name: str) -> int:
    if name.isdecimal() and 0 <= int(name) < signal.NSIG:
        return int(name)
    full = "SIG" + name.upper().removeprefix("SIG")
    try:
        return signal.Signals[full]
    except KeyError:
        raise errors.Invalid(f"unknown signal {name!r}") from None


def delete(store: Bundles, args: argparse.Namespace) -> None:
    try:
        found = store.find(args.id)
    except errors.NotFound:
        if args.force:
            return
        raise
    if found.status not in ("stopped", "created") and not args.force:
        raise errors.Conflict(
            f"cannot delete container {args.id} that is not stopped: {found.status}"
        )
    _delete(store, found)


def _delete(store: Bundles, found: Found) -> None:
    _end(found)
    cgroup.end(found.record.cgroup_path)
    store.remove(found.record.id)
    if found.spec.hooks:
        stopped = msgspec.json.encode(bundles.state_of(found._replace(status="stopped")))
        _warn(hooks.attempt(found.spec.hooks.poststop, "poststop", stopped))


def _end(found: Found) -> None:
    """Kill the first process, if it still is that of the record."""
    try:
        pidfd = os.pidfd_open(found.record.pid)
    except ProcessLookupError:
        return
    try:
        if bundles.lives(found.record):
            process.send_signal(pidfd, signal.SIGKILL)
            cgroup.at(found.record.cgroup_path).kill()
            process.await_exit(pidfd, 10)
    finally:
        os.close(pidfd)


def execute(store: Bundles, args: argparse.Namespace) -> int:
    """A further process in a running container."""
    found = store.find(args.id)
    if found.status != "running":
        raise errors.Conflict(f"cannot exec in a {found.status} container")
    kinds = [namespace.type for namespace in (found.spec.linux or spec.Linux()).namespaces]
    if "mount" not in kinds:
        # Its root is its own processes' only; in its mount namespace the host's would be found.
        raise errors.Unsupported("cannot exec in a container without a mount namespace")
    wanted = _wanted_process(found.spec, args)
    confinement = _confinement(found.spec.linux)
    process.adopt_orphans()
    pidfd = os.pidfd_open(found.record.pid)
    stdio = [] if wanted.terminal else [0, 1, 2]
    entered = container.enter(
        pidfd,
        container.owner_of(found.record.pid),
        cgroup.at(found.record.cgroup_path),
        Entry(
            wanted,
            stdio,
            confinement.program,
            seccomp_flags=confinement.flags,
            listening=lambda fd: _tell_listener(confinement, found, found.record.pid, fd),
        ),
    )
    if entered.console is not None:
        _hand_over(args.console_socket, entered.console)
    _warn(entered.start(wanted))
    if args.pid_file:
        _write_pid(args.pid_file, entered.pid)
    if args.detach:
        return 0
    ended = process.wait(entered.pidfd)
    return ended.code if ended else 0


def _wanted_process(wanted: spec.Spec, args: argparse.Namespace) -> spec.Process:
    if args.process:
        return _decoded(args.process, spec.Process)
    if not args.command:
        raise errors.Invalid("process args cannot be empty")
    base = wanted.process or spec.Process()
    uid, _, gid = (args.user or f"{base.user.uid}:{base.user.gid}").partition(":")
    return msgspec.structs.replace(
        base,
        args=args.command,
        terminal=args.tty,
        env=[*base.env, *args.env],
        cwd=args.cwd or base.cwd,
        user=msgspec.structs.replace(base.user, uid=int(uid), gid=int(gid or 0)),
        no_new_privileges=args.no_new_privs or base.no_new_privileges,
    )


def ps(store: Bundles, args: argparse.Namespace) -> None:
    found = store.find(args.id)
    pids = cgroup.at(found.record.cgroup_path).processes()
    if args.format == "json":
        sys.stdout.write(msgspec.json.encode(pids).decode() + "\n")
        return
    sys.stdout.write("PID     CMD\n")
    for pid in pids:
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                line = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
        except (FileNotFoundError, ProcessLookupError):
            continue
        sys.stdout.write(f"{pid:<7} {line}\n")


def list_all(store: Bundles, args: argparse.Namespace) -> None:
    every = [bundles.shown(found) for found in store.all()]
    if args.quiet:
        sys.stdout.write("".join(f"{each.id}\n" for each in every))
        return
    if args.format == "json":
        sys.stdout.write(msgspec.json.encode(every).decode() + "\n")
        return
    sys.stdout.write(f"{'ID':<12} {'PID':<10} {'STATUS':<10} {'BUNDLE':<24} CREATED\n")
    for each in every:
        line = f"{each.id:<12} {each.pid:<10} {each.status:<10} {each.bundle:<24} {each.created}"
        sys.stdout.write(f"{line}\n")


def pause(store: Bundles, args: argparse.Namespace) -> None:
    found = store.find(args.id)
    if found.status not in ("created", "running"):
        raise errors.Conflict("container not running")
    cgroup.at(found.record.cgroup_path).freeze()


def resume(store: Bundles, args: argparse.Namespace) -> None:
    found = store.find(args.id)
    if found.status != "paused":
        raise errors.Conflict("container not paused")
    cgroup.at(found.record.cgroup_path).thaw()


def update(store: Bundles, args: argparse.Namespace) -> None:
    found = store.find(args.id)
    if found.status == "stopped":
        raise errors.Conflict("container not running")
    wanted = _decoded(args.resources, spec.LinuxResources)
    steps = resources.update(wanted, cgroup.detect().version)
    _warn(cgroup.at(found.record.cgroup_path).write(steps))


def _decoded(path: str, kind: type[D]) -> D:
    """A JSON document from a file, or from standard input for "-"."""
    source = sys.stdin.buffer if path == "-" else open(path, "rb")
    with source:
        try:
            return msgspec.json.decode(source.read(), type=kind)
        except msgspec.MsgspecError as error:
            raise errors.Invalid(f"{path}: {error}") from None


def show_features(store: Bundles, args: argparse.Namespace) -> None:
    sys.stdout.write(msgspec.json.format(features.document(), indent=2).decode() + "\n")


Action = Callable[[Bundles, argparse.Namespace], int | None]

ACTIONS: dict[str, Action] = {
    "create": create,
    "delete": delete,
    "exec": execute,
    "features": show_features,
    "kill": kill,
    "list": list_all,
    "pause": pause,
    "ps": ps,
    "resume": resume,
    "run": run,
    "start": start,
    "state": state,
    "update": update,
}
