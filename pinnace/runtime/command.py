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
from collections.abc import Callable, Sequence

import msgspec

from pinnace import errors
from pinnace.linux import cgroup, process, seccomp, syscall
from pinnace.oci import spec
from pinnace.runtime import bundles, container, resources
from pinnace.runtime.bundles import Bundles, Found
from pinnace.runtime.container import Entry, Setting, StartFailed
from pinnace.runtime.sync import Channel

_ROOT = "/run/pinnace/runtime"
_FAILURE = 1


def main(argv: Sequence[str]) -> int:
    """Run one command; the exit code is 0, 1 for an error, or the program's for run and exec."""
    args = _parser().parse_args(argv)
    try:
        return int(args.action(Bundles(args.root), args) or 0)
    except (errors.PinnaceError, StartFailed) as error:
        return _fail(str(error), args)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{(error.strerror or str(error)).lower()}", args)


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
    store.make(args.id)
    try:
        made = container.prepare(bundles.preparation(wanted, args.id))
        try:
            _create(store, args, wanted, made, bundle)
        except BaseException:
            _destroy(made)
            raise
    except BaseException:
        store.remove(args.id)
        raise


def _create(
    store: Bundles, args: argparse.Namespace, wanted: spec.Spec, made: container.Made, bundle: str
) -> None:
    listener = store.listen(args.id)
    linux = wanted.linux or spec.Linux()
    record = bundles.record_of(args.id, bundle, made.pid, made.preparation.cgroup_path)
    found = Found(record, wanted, "creating")
    program = seccomp.compile(linux.seccomp, syscall.MACHINE) if linux.seccomp else None
    terminal = wanted.process is not None and wanted.process.terminal
    if terminal and not args.console_socket:
        raise errors.Invalid(
            "cannot allocate tty if runc will detach without setting console socket"
        )
    setting = Setting(
        spec=wanted,
        root=wanted.root.path if wanted.root else "",
        stdio=[] if terminal else [0, 1, 2],
        seccomp=program,
        state=msgspec.json.encode(bundles.state_of(found)),
        listener_fd=listener.fileno(),
    )
    console, warnings = made.set_up(setting)
    warnings += container.limit_process(made.pid, wanted.process or spec.Process())
    for warning in warnings:
        sys.stderr.write(f"pinnace runtime: warning: {warning}\n")
    if console is not None:
        _hand_over(args.console_socket, console)
    store.save(record, wanted)
    if wanted.hooks:
        state = bundles.state_of(found._replace(status="created"))
        container.run_hooks(wanted.hooks.prestart, "prestart", state)
        container.run_hooks(wanted.hooks.create_runtime, "createRuntime", state)
    if args.pid_file:
        _write_pid(args.pid_file, made.pid)


def _destroy(made: container.Made) -> None:
    process.send_signal(made.pidfd, signal.SIGKILL)
    process.wait(made.pidfd)
    if made.cgroup is not None:
        made.cgroup.kill()
        made.cgroup.remove()


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
    if found.status != "created":
        running = "an already running" if found.status == "running" else f"a {found.status}"
        raise errors.Conflict(f"cannot start {running} container")
    channel = Channel(store.connect(args.id))
    container.start_over(channel)
    if found.spec.hooks:
        state = bundles.state_of(store.find(args.id))
        container.run_hooks(found.spec.hooks.poststart, "poststart", state)


def run(store: Bundles, args: argparse.Namespace) -> int:
    """create and start; in the foreground the exit code is the program's."""
    process.adopt_orphans()
    create(store, args)
    start(store, args)
    if args.detach:
        return 0
    found = store.find(args.id)
    _, status = os.waitpid(found.record.pid, 0)
    _delete(store, store.find(args.id))
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def state(store: Bundles, args: argparse.Namespace) -> None:
    encoded = msgspec.json.encode(bundles.state_of(store.find(args.id)))
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
    process.send_signal(pidfd, number)
    os.close(pidfd)


def _signal(name: str) -> int:
    if name.isdecimal():
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
    if found.status != "stopped":
        pidfd = os.pidfd_open(found.record.pid)
        process.send_signal(pidfd, signal.SIGKILL)
        process.await_exit(pidfd, 10)
        os.close(pidfd)
    group = cgroup.at(found.record.cgroup_path)
    group.kill()
    group.remove()
    store.remove(found.record.id)
    if found.spec.hooks:
        stopped = bundles.state_of(found._replace(status="stopped"))
        container.run_hooks(found.spec.hooks.poststop, "poststop", stopped)


def execute(store: Bundles, args: argparse.Namespace) -> int:
    """A further process in a running container."""
    found = store.find(args.id)
    if found.status != "running":
        raise errors.Conflict(f"cannot exec in a {found.status} container")
    wanted = _wanted_process(found.spec, args)
    program = None
    if found.spec.linux and found.spec.linux.seccomp:
        program = seccomp.compile(found.spec.linux.seccomp, syscall.MACHINE)
    pidfd = os.pidfd_open(found.record.pid)
    stdio = [] if wanted.terminal else [0, 1, 2]
    entered = container.enter(
        pidfd,
        container.owner_of(found.record.pid),
        cgroup.at(found.record.cgroup_path),
        Entry(wanted, stdio, program),
    )
    if entered.console is not None:
        _hand_over(args.console_socket, entered.console)
    entered.start(wanted)
    if args.pid_file:
        _write_pid(args.pid_file, entered.pid)
    if args.detach:
        return 0
    ended = process.wait(entered.pidfd)
    return ended.code if ended else 0


def _wanted_process(wanted: spec.Spec, args: argparse.Namespace) -> spec.Process:
    if args.process:
        with open(args.process, "rb") as file:
            return msgspec.json.decode(file.read(), type=spec.Process)
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
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            line = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
        sys.stdout.write(f"{pid:<7} {line}\n")


def list_all(store: Bundles, args: argparse.Namespace) -> None:
    if args.format == "json":
        encoded = msgspec.json.encode([bundles.state_of(found) for found in store.all()])
        sys.stdout.write(encoded.decode() + "\n")
        return
    sys.stdout.write(f"{'ID':<12} {'PID':<10} {'STATUS':<10} BUNDLE\n")
    for found in store.all():
        record = found.record
        sys.stdout.write(f"{record.id:<12} {record.pid:<10} {found.status:<10} {record.bundle}\n")


def pause(store: Bundles, args: argparse.Namespace) -> None:
    cgroup.at(store.find(args.id).record.cgroup_path).freeze()


def resume(store: Bundles, args: argparse.Namespace) -> None:
    cgroup.at(store.find(args.id).record.cgroup_path).thaw()


def update(store: Bundles, args: argparse.Namespace) -> None:
    source = sys.stdin.buffer if args.resources == "-" else open(args.resources, "rb")
    with source:
        wanted = msgspec.json.decode(source.read(), type=spec.LinuxResources)
    steps = resources.update(wanted, cgroup.detect().version)
    cgroup.at(store.find(args.id).record.cgroup_path).write(steps)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pinnace runtime", description=__doc__)
    parser.add_argument("--root", default=_ROOT, help="where containers' state is kept")
    parser.add_argument("--log", help="a file that errors are also written to")
    parser.add_argument("--log-format", choices=("text", "json"), default="text")
    parser.add_argument("--debug", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--systemd-cgroup", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--rootless", default="auto", help=argparse.SUPPRESS)
    parser.add_argument("--version", "-v", action="version", version=_version())
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for name, action in (("create", create), ("run", run)):
        verb = _verb(verbs, name, action)
        verb.add_argument("--bundle", "-b", default=".")
        verb.add_argument("--console-socket", default="")
        verb.add_argument("--pid-file", default="")
        verb.add_argument("--no-pivot", action="store_true", help=argparse.SUPPRESS)
        verb.add_argument("--no-new-keyring", action="store_true", help=argparse.SUPPRESS)
        verb.add_argument("--detach", "-d", action="store_true")
        verb.add_argument("id")
    _add_exec(verbs)
    for name, action in (("start", start), ("state", state), ("pause", pause), ("resume", resume)):
        _verb(verbs, name, action).add_argument("id")
    verb = _verb(verbs, "kill", kill)
    verb.add_argument("--all", "-a", action="store_true")
    verb.add_argument("id")
    verb.add_argument("signal", nargs="?", default="SIGTERM")
    verb = _verb(verbs, "delete", delete)
    verb.add_argument("--force", "-f", action="store_true")
    verb.add_argument("id")
    verb = _verb(verbs, "ps", ps)
    verb.add_argument("--format", "-f", choices=("table", "json"), default="table")
    verb.add_argument("id")
    verb = _verb(verbs, "list", list_all)
    verb.add_argument("--format", "-f", choices=("table", "json"), default="table")
    verb = _verb(verbs, "update", update)
    verb.add_argument("--resources", "-r", default="-")
    verb.add_argument("id")
    return parser


def _version() -> str:
    from pinnace import __version__

    return f"pinnace runtime version {__version__}\nspec: {bundles.OCI_VERSION}"


Action = Callable[[Bundles, argparse.Namespace], int | None]


def _verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, action: object
) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name)
    verb.set_defaults(action=action)
    return verb


def _add_exec(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    verb = _verb(verbs, "exec", execute)
    verb.add_argument("--process", "-p", default="", help="a file with the process as JSON")
    verb.add_argument("--tty", "-t", action="store_true")
    verb.add_argument("--user", "-u", default="")
    verb.add_argument("--env", "-e", action="append", default=[])
    verb.add_argument("--cwd", default="")
    verb.add_argument("--no-new-privs", action="store_true")
    verb.add_argument("--console-socket", default="")
    verb.add_argument("--pid-file", default="")
    verb.add_argument("--detach", "-d", action="store_true")
    verb.add_argument("id")
    verb.add_argument("command", nargs=argparse.REMAINDER)
