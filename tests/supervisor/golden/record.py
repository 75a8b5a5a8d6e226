"""Record the golden files again from a Docker daemon that runs on this machine, as root.

    DOCKER_HOST=unix:///run/docker.sock LOG_ROOT= python record.py

LOG_ROOT is where the daemon's root folder is seen from here, if it runs in a chroot.
The image busybox must be there.
"""

import base64
import gzip
import os
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode

import docker
import msgspec

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent.parent))

from tests.supervisor.tricky_inputs import INPUTS  # noqa: E402

LOG_ROOT = os.environ.get("LOG_ROOT", "")
NAME = "golden-logs"
MANY_LINES = r"""
i=0
while [ $i -lt 12 ]; do echo "out $i"; echo "err <$i>" >&2; i=$((i+1)); sleep 0.02; done
printf 'partial'; printf '%20000s\n' x; printf 'e\303\251\377 "q"\t\n' >&2; printf 'unterminated'
"""
READ = {
    "plain": ([], MANY_LINES),
    "attrs": (
        [
            *("--label", "com.example.a=x y&z", "--label", "zed=<ü>", "--label", "unused=1"),
            *("-e", "COLOUR=red/blue", "-e", "HIDDEN=1", "--log-opt", "env=COLOUR"),
            *("--log-opt", "labels=com.example.a,zed,absent"),
            *("--log-opt", "tag={{.ImageName}}/{{.Name}}/{{lower .DaemonName}}"),
        ],
        "echo one; sleep 0.05; echo two >&2; printf three",
    ),
    "tty": (["-t"], r"echo one; echo two >&2; printf 'x\033[1mbold\n'; printf end"),
}
ROTATED = {
    "four-files": {"max-size": "2k", "max-file": "4"},
    "one-file": {"max-size": "2k"},
    "three-files-compressed": {"max-size": "1k", "max-file": "3", "compress": "true"},
}
BOTH = {"stdout": "1", "stderr": "1"}


def run(*arguments: str, stdin: bytes | None = None) -> Path:
    """Run busybox to its end; the path of its log."""
    subprocess.run(["docker", "rm", "-f", NAME], capture_output=True, check=False)
    interactive = [] if stdin is None else ["-i"]
    command = ["docker", "run", *interactive, "--name", NAME, *arguments]
    subprocess.run(command, input=stdin, check=True, capture_output=True)
    show = ["docker", "inspect", "-f", "{{.LogPath}}", NAME]
    found = subprocess.run(show, check=True, capture_output=True, text=True).stdout.strip()
    return Path(LOG_ROOT + found)


def keep(path: Path, data: bytes) -> None:
    if len(data) > 9000:
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(data, 9, mtime=0))
    else:
        path.write_bytes(data)


def queries(times: list[str]) -> list[dict[str, str]]:
    client = [{"timestamps": "1"}, {"details": "1"}, {"timestamps": "1", "details": "1"}]
    tails = ["0", "1", "2", "3", "5", "10", "1000", "all", "-1", "x"]
    wanted = [BOTH, {"stdout": "1"}, {"stderr": "1"}, *({**BOTH, **c} for c in client)]
    wanted += [{**BOTH, "tail": tail} for tail in tails]
    wanted += [{"stdout": "1", "tail": "3"}, {"stderr": "1", "tail": "3", "timestamps": "1"}]
    last = len(times) - 1
    for index in sorted({0, min(3, last), last // 2, last - 1, last}):
        wanted += [{**BOTH, "since": times[index]}, {**BOTH, "until": times[index]}]
        wanted.append({**BOTH, "since": times[index], "tail": "7"})
        wanted.append({**BOTH, "until": times[index], "tail": "7", "timestamps": "1"})
    wanted.append({**BOTH, "since": times[min(3, last)], "until": times[min(9, last)]})
    return wanted


def unix(time: str) -> str:
    whole, _, fraction = time.removesuffix("Z").partition(".")
    seconds = int(datetime.fromisoformat(f"{whole}+00:00").timestamp())
    return f"{seconds}.{fraction:0<9}"


def record_read(name: str, arguments: list[str], script: str) -> None:
    log = run(*arguments, "busybox", "sh", "-c", script).read_bytes()
    (HERE / f"read/{name}.json").write_bytes(log)
    times = [unix(msgspec.json.decode(line)["time"]) for line in log.splitlines()]
    api = docker.from_env().api
    answers = []
    for query in queries(times):
        url = api._url("/containers/{0}/logs", NAME) + "?" + urlencode(query)
        body = api.get(url).content
        answers.append({"query": urlencode(query), "answer": base64.b64encode(body).decode()})
    text = b"[\n" + b",\n".join(map(msgspec.json.encode, answers)) + b"\n]\n"
    (HERE / f"read/{name}-answers.json.gz").write_bytes(gzip.compress(text, 9, mtime=0))


def main() -> None:
    for name, data in INPUTS.items():
        keep(HERE / f"written/{name}.json", run("busybox", "cat", stdin=data).read_bytes())
    for name, options in ROTATED.items():
        lines = "".join(f"line number {i} of the rotation\n" for i in range(1, 121))
        chosen = [f"--log-opt={key}={value}" for key, value in options.items()]
        log = run(*chosen, "busybox", "cat", stdin=lines.encode())
        for file in log.parent.glob(f"{log.name}*"):
            shutil.copy(file, HERE / f"rotated/{name}" / file.name.replace(log.name, "log"))
    for name, (arguments, script) in READ.items():
        record_read(name, arguments, script)
    subprocess.run(["docker", "rm", "-f", NAME], check=True)


if __name__ == "__main__":
    main()
