#!/usr/bin/env bash
# Makes or reuses the environment of this checkout; the last line of the output is the path of its Python.
#
#   bash tools/env.sh [--python PYTHON]
#
# The environment lies in the user's cache folder, under a name keyed by the requirement files, the install
# steps below and Python's minor version: checkouts with the same requirements share one, and a changed
# requirement makes a new one. This library itself is not installed into it; tools/test.sh and its like put
# their own checkout on PYTHONPATH. It is built under a temporary name and renamed when it is finished, so
# that a killed install is never reused. About 6 GB and a few minutes.
#
# Who has an environment of their own does not need this: docs/installation.md has the plain pip lines.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
requirements=$root/tools/requirements

say() { printf '%s\n' "$*" >&2; }
die() { say "env.sh: $*"; exit 1; }

# ---- which Python: numpy 1.26 and the frameworks have wheels for 3.10, 3.11 and 3.12
usable() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null
}

choice=
while [ $# -gt 0 ]; do
    case $1 in
        --python) [ $# -ge 2 ] || die '--python needs a Python, for instance --python python3.12'
                  choice=$2; shift 2 ;;
        --python=*) choice=${1#*=}; shift ;;
        *) die "unknown argument '$1'; usage: bash tools/env.sh [--python PYTHON]" ;;
    esac
done

candidates=(python3.11 python3.12 python3.10 python3)
[ -z "$choice" ] || candidates=("$choice")
base=
for candidate in "${candidates[@]}"; do
    if usable "$candidate"; then base=$candidate; break; fi
done
[ -n "$base" ] || die "no Python 3.10, 3.11 or 3.12 with the venv module; tried: ${candidates[*]}." \
    'Install one (Debian: apt-get install python3 python3-venv) or name it: bash tools/env.sh --python PATH'

step() { printf '  %s\n' "$*" >&3; }  # 3 is the terminal, as the output of pip goes to a log

# ---- the steps of an install, into the environment whose Python is $1; part of the key
install_packages() {
    local python=$1 packages
    packages=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    step '[1/4] torch, numpy and everything with plain dependencies'
    "$python" -m pip install -r "$requirements/stack.txt"
    step '[2/4] mmpose and mmdet'
    "$python" -m pip install --no-deps -r "$requirements/frameworks.txt"
    step '[3/4] detectron2'
    "$python" -m pip install --no-deps --only-binary=:all: --python-version 3.10 --implementation cp \
        --target "$packages" -r "$requirements/detectron2.txt"
    step '[4/4] imports'
    "$python" -c 'import cv2, detectron2, mmcv, mmdet, mmengine, mmpose, numba, numpy, torch, torchvision'
}

# ---- where: the key is the same for the same requirements, wherever the checkout lies; comments do not count
key=$(declare -f install_packages | "$base" -c '
import hashlib, pathlib, sys
parts = ["%d.%d" % sys.version_info[:2], sys.stdin.read()]
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.txt")):
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    parts += [path.name, *filter(None, lines)]
print(hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12])' "$requirements")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/meshpose_plugins
environment=$cache/env-$key

works() { [ -x "$environment/bin/python" ] && "$environment/bin/python" -c ''; }

# ---- build it once, whoever asks first; the lock goes with the process, however that ends
if ! works; then
    mkdir -p "$cache"
    exec 9> "$environment.lock"
    if ! "$base" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)' 2>/dev/null; then
        say "waiting for another install of $environment"
        "$base" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)'
    fi
    if ! works; then
        rm -rf "$environment" "$environment".building-*  # a Python that is gone, installs that were killed
        building=$environment.building-$$
        log=$environment.log
        trap 'rm -rf "$building"' EXIT
        say "installing into $environment (once, a few minutes; log: $log)"
        SECONDS=0
        "$base" -m venv "$building"
        set +e  # and not a condition around it: within one, bash would go on after a failed step
        ( set -e; install_packages "$building/bin/python" ) 3>&2 > "$log" 2>&1
        status=$?
        set -e
        [ $status -eq 0 ] || { tail -n 20 "$log" >&2; die "the install failed; the whole log: $log"; }
        # the scripts of a virtual environment name its folder: give them the final one
        "$base" - "$building" "$environment" <<'PY'
import pathlib, sys
building, environment = (name.encode() for name in sys.argv[1:])
for path in (pathlib.Path(sys.argv[1]) / 'bin').iterdir():
    if path.is_file() and not path.is_symlink():
        content = path.read_bytes()
        if building in content and b'\0' not in content:
            path.write_bytes(content.replace(building, environment))
PY
        mv "$building" "$environment"
        say "installed in $SECONDS s"
    fi
    exec 9>&-
fi

printf '%s\n' "$environment/bin/python"
