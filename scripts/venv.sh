# Sourced by the other scripts: finds a Python, makes .venv, installs the project into it.
# Leaves $PY set to the environment's python. Everything is done again only when pyproject.toml
# has changed.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

say() { printf '\n== %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11 python; do
    [ -n "$candidate" ] || continue
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      "$candidate" -c 'import sys; print(sys.executable)'
      return 0
    fi
  done
  return 1
}

# have_tool NAME PACKAGE: true when NAME is there, or could be installed (Debian, as root).
have_tool() {
  command -v "$1" >/dev/null 2>&1 && return 0
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || return 1
  say "installing $2 (Debian package)"
  if [ -z "${apt_updated:-}" ]; then
    apt-get update -q >/dev/null 2>&1 || true
    apt_updated=1
  fi
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$2" >/dev/null 2>&1
  command -v "$1" >/dev/null 2>&1
}

# make_venv base|dev: the environment with what running, or what testing needs.
make_venv() {
  local wanted=$1 base stamp
  stamp="$wanted $(cksum <pyproject.toml)"
  PY=$PWD/.venv/bin/python
  if [ -x "$PY" ] && grep -qxF "$stamp" .venv/installed 2>/dev/null; then
    return 0
  fi
  base=$(find_python) || die "Python 3.11 or newer is needed; install it, or set PYTHON=/path/to/python"
  if [ ! -x "$PY" ]; then
    say "making .venv with $("$base" --version)"
    if ! "$base" -m venv .venv >/dev/null 2>&1; then
      rm -rf .venv
      have_tool no-such-tool python3-venv || true
      "$base" -m venv .venv || die "python -m venv failed; on Debian: apt-get install python3-venv"
    fi
    "$PY" -m pip install -q --disable-pip-version-check -U 'pip>=25.1' ||
      die "pip could not be upgraded; is a package index reachable?"
  fi
  say "installing audit-stream into .venv ($wanted)"
  if [ "$wanted" = dev ]; then
    "$PY" -m pip install -q --disable-pip-version-check -e '.[sign,tsa]' --group dev
  else
    "$PY" -m pip install -q --disable-pip-version-check -e .
  fi || die "pip could not install; is a package index reachable?"
  echo "$stamp" >>.venv/installed
}
