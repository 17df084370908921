#!/usr/bin/env bash
# What a GPU alone can show, in under 8 minutes: prints one JSON document on stdout, and logs on stderr.
#
#   tests/gpu/smoke.sh [--small] [--parts NAME ...] [--seconds N]    (--small: tiny sizes, on a CPU too)
#
# Needs a Python (PYTHON, by default python3) with torch, transformers, peft, pydantic and deepspeed, and nothing else
# of gazetune's dependencies. bitsandbytes is used where it is there.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
python=${PYTHON:-python3}

missing=$("$python" - <<'PROGRAM'
from importlib.util import find_spec
print(*(name for name in ("torch", "transformers", "peft", "pydantic", "deepspeed") if find_spec(name) is None))
PROGRAM
) || {
    echo "smoke.sh: PYTHON: '$python' is no Python that works; accepted: a Python from 3.11 on" >&2
    exit 2
}
if [ -n "$missing" ]; then
    echo "smoke.sh: $python has no $missing; install them (pip install --no-deps takes wheels that were brought along)" >&2
    exit 2
fi

export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
# DeepSpeed reads it once. A machine without a GPU falls back to its CPU.
export DS_ACCELERATOR="${DS_ACCELERATOR:-cuda}"
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false PYTHONUNBUFFERED=1

cd "$root"
# The program stops by itself before. This is for one that hangs where no thread of it runs.
exec timeout --kill-after=10 480 "$python" -m tests.gpu.smoke "$@"
