#!/usr/bin/env bash
# Runs the whole test suite in the environment of tools/env.sh; arguments go to pytest:
#
#   bash tools/test.sh [tests/losses -x ...]
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=$(bash "$root/tools/env.sh" | tail -n 1)

cd "$root"
PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} exec "$python" -m pytest "$@"
