#!/usr/bin/env bash
# From nothing to a body mesh on a photograph: makes or reuses the environment, then runs the demo, two
# minutes of training, and the metrics before and after. Results go to outputs/quickstart; see also --help.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=$(bash "$root/tools/env.sh" | tail -n 1)

cd "$root"
PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} exec "$python" -m meshpose_plugins.cli quickstart "$@"
