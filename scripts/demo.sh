#!/bin/bash
# What a first hour with pinnace looks like, in a few seconds: every line after `$` is really run.
# The daemon's state is in a folder of its own, which is gone afterwards.
set -u

[ "$(id -u)" = 0 ] || { echo "pinnace makes namespaces and mounts: run this as root" >&2; exit 1; }
command -v pinnace >/dev/null || { echo "pinnace is not on the PATH; use \`make run\`" >&2; exit 1; }

# Short, since a socket's path has at most 107 bytes.
state=$(mktemp -d /tmp/pinnace-demo.XXXX)
export DOCKER_HOST=unix://$state/pinnace.sock DOCKER_CONFIG=$state
failed=0

say() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
show() {
  local word line=
  for word; do
    case $word in *[!A-Za-z0-9_./=:-]*) word="'$word'" ;; esac
    line+=" $word"
  done
  printf '\033[36m$%s\033[0m\n' "$line"
  "$@"
}
# expect CODE COMMAND...: show it, and remember when it does not end as it should.
expect() {
  local wanted=$1 code
  shift
  show "$@"
  code=$?
  [ "$code" = "$wanted" ] || { echo "!! exit code $code, expected $wanted" >&2; failed=1; }
}

cleanup() {
  local containers
  containers=$(pinnace ps -aq 2>/dev/null)
  # shellcheck disable=SC2086 # one word for each id
  [ -z "$containers" ] || pinnace rm -f -v $containers >/dev/null
  kill "$daemon" 2>/dev/null && wait "$daemon"
  rm -rf "$state"
  [ "$failed" = 0 ] || { echo "the demonstration did not go as it should" >&2; exit 1; }
}

pinnace daemon --host "$DOCKER_HOST" --data-root "$state/data" --exec-root "$state/run" \
  2>"$state/daemon.log" &
daemon=$!
trap cleanup EXIT
for _ in $(seq 200); do
  pinnace version >/dev/null 2>&1 && break
  kill -0 "$daemon" 2>/dev/null || { cat "$state/daemon.log" >&2; failed=1; exit 1; }
  sleep 0.05
done

say "A daemon runs, its state in $state"
expect 0 pinnace version
expect 0 pinnace images

say "The first container: a one-layer image of our own, from socket to exit code"
expect 0 pinnace run --rm hello

say "A copy-on-write sandbox of this very machine: what it breaks, it breaks for itself"
expect 0 pinnace run --name sandbox host sh -c 'id -un; hostname; rm -r /etc/apt; touch /it-was-me; ls -d /etc/apt || true'
expect 0 pinnace diff sandbox
expect 0 ls -d /etc/apt
expect 0 pinnace rm sandbox

say "On a terminal: window, job control, exit status"
expect 7 script -qec 'stty rows 30 cols 100; pinnace run --rm -it host sh -c "tty; stty size; exit 7"' /dev/null </dev/null

say "In the background: logs, exec, stop"
expect 0 pinnace run -d --name web -e GREETING=hello --memory 64m host \
  sh -c 'trap "echo bye; exit 3" TERM; i=0; while :; do i=$((i+1)); echo "$GREETING $i"; sleep 0.2; done'
expect 0 pinnace exec web sh -c 'echo "in the same container: $GREETING from beside $(cat /proc/1/comm)"'
expect 0 pinnace ps
expect 0 pinnace top web
expect 0 pinnace logs --tail 2 --timestamps web
expect 0 pinnace stop web
expect 0 pinnace logs --tail 1 web
expect 0 pinnace ps -a --format '{{.Names}}: {{.Status}}'
expect 0 pinnace rm web

say "Exit codes are the command's own; 125, 126 and 127 are the engine's, the shell's, the path's"
expect 42 pinnace run --rm host sh -c 'exit 42'
expect 126 pinnace run --rm host /etc
expect 127 pinnace run --rm host no-such-command

say "How fast: twenty containers, one after the other"
time expect 0 sh -c 'for i in $(seq 20); do pinnace run --rm --network none hello >/dev/null || exit; done'

say "Cleaning up: containers, daemon, $state"
