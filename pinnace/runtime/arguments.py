"""The words of `pinnace runtime`: runc's verbs and options."""

import argparse
import sys
from collections.abc import Callable, Iterable

ROOT = "/run/pinnace/runtime"


def parser(verbs: Iterable[str]) -> argparse.ArgumentParser:
    """args.verb is the verb; those that take a container have its id in args.id."""
    top = argparse.ArgumentParser(
        prog="pinnace runtime", description="An OCI runtime, with runc's verbs and options."
    )
    top.add_argument("--root", default=ROOT, help="where containers' state is kept")
    top.add_argument("--log", help="a file that errors are also written to")
    top.add_argument("--log-format", choices=("text", "json"), default="text")
    top.add_argument("--debug", action="store_true", help=argparse.SUPPRESS)
    top.add_argument("--systemd-cgroup", action="store_true", help=argparse.SUPPRESS)
    top.add_argument("--rootless", default="auto", help=argparse.SUPPRESS)
    top.add_argument("--version", "-v", action=_Version, nargs=0)
    below = top.add_subparsers(required=True, metavar="VERB", dest="verb")
    for name in verbs:
        verb = below.add_parser(name)
        if name in _OPTIONS:
            _OPTIONS[name](verb)
        if name not in ("list", "features"):
            verb.add_argument("id")
        if name == "kill":
            verb.add_argument("signal", nargs="?", default="SIGTERM")
        if name == "exec":
            verb.add_argument("command", nargs=argparse.REMAINDER)
    return top


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        import pinnace
        from pinnace.runtime import bundles

        # To standard output, where callers of runc read it.
        sys.stdout.write(f"pinnace runtime version {pinnace.__version__}\n")
        sys.stdout.write(f"spec: {bundles.OCI_VERSION}\n")
        parser.exit()


def _create(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--bundle", "-b", default=".")
    verb.add_argument("--console-socket", default="")
    verb.add_argument("--pid-file", default="")
    verb.add_argument("--no-pivot", action="store_true", help=argparse.SUPPRESS)
    verb.add_argument("--no-new-keyring", action="store_true", help=argparse.SUPPRESS)
    verb.add_argument("--preserve-fds", type=int, default=0, help=argparse.SUPPRESS)


def _run(verb: argparse.ArgumentParser) -> None:
    _create(verb)
    verb.add_argument("--detach", "-d", action="store_true")
    verb.add_argument("--keep", action="store_true", help="do not delete it when it has ended")


def _exec(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--process", "-p", default="", help="a file with the process as JSON")
    verb.add_argument("--tty", "-t", action="store_true")
    verb.add_argument("--user", "-u", default="")
    verb.add_argument("--env", "-e", action="append", default=[])
    verb.add_argument("--cwd", default="")
    verb.add_argument("--no-new-privs", action="store_true")
    verb.add_argument("--console-socket", default="")
    verb.add_argument("--pid-file", default="")
    verb.add_argument("--detach", "-d", action="store_true")
    verb.add_argument("--preserve-fds", type=int, default=0, help=argparse.SUPPRESS)


def _list(verb: argparse.ArgumentParser) -> None:
    _format(verb)
    verb.add_argument("--quiet", "-q", action="store_true", help="ids only")


def _format(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--format", "-f", choices=("table", "json"), default="table")


_OPTIONS: dict[str, Callable[[argparse.ArgumentParser], object]] = {
    "create": _create,
    "delete": lambda verb: verb.add_argument("--force", "-f", action="store_true"),
    "exec": _exec,
    "kill": lambda verb: verb.add_argument("--all", "-a", action="store_true"),
    "list": _list,
    "ps": _format,
    "run": _run,
    "update": lambda verb: verb.add_argument("--resources", "-r", default="-"),
}
