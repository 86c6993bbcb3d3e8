#!/usr/bin/env bash
# What a graphics processor of NVIDIA's does with the kernels, in some seven minutes and without a
# network:
#
#   tools/device_check.sh OUT         on a machine with one, and nvcc 13
#   tools/device_check.sh OUT --dry   every stage on the emulated device, where there is none
#
# OUT gets machine.json, a log for each stage, and results.jsonl, a line for each figure; what is
# there counts, however early it ends. Eigen's wheel (cmeel-eigen) is taken from the environment, or
# from tools/wheels.
set -uo pipefail
out=${1:?"Usage: tools/device_check.sh OUT [--dry]"}
dry=${2:-}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mkdir -p "$out"
out=$(cd "$out" && pwd)
cd "$root"
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
device=cuda
[[ -z $dry ]] || device=emulated

# stage NAME SECONDS COMMAND ...: its output goes to a log, its end to results.jsonl
stage() {
    local name=$1 limit=$2 began=$SECONDS status=0
    shift 2
    timeout --kill-after=5 "$limit" bash -c "$functions"'"$@"' "$name" "$@" \
        >"$out/$name.log" 2>&1 || status=$?
    printf '{"stage": "%s", "status": %d, "seconds": %d}\n' "$name" "$status" $((SECONDS - began)) |
        tee -a "$out/results.jsonl"
    return "$status"
}

machine() {
    nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,clocks.max.mem,memory.total,power.limit \
        --format=csv || true
    nvcc --version || true
    "$python" - "$out/machine.json" <<'PYTHON'
import json, os, platform, sys
machine = {"python": platform.python_version(), "system": platform.platform(), "cores": os.cpu_count()}
with open(sys.argv[1], "w") as file:
    json.dump(machine, file, indent=1)
PYTHON
}

build() {
    local cuda=ON
    [[ -z $dry ]] || cuda=OFF
    if ! "$python" -c 'from importlib.metadata import distribution as d; d("cmeel-eigen")' 2>/dev/null; then
        "$python" -m pip install --no-index --no-deps tools/wheels/cmeel*.whl || return 1
    fi
    "$python" -m pip install --no-build-isolation --no-deps --no-index --target "$work/site" . \
        "--config-settings=cmake.define.DEEPLINEAR_CUDA=$cuda" \
        --config-settings=cmake.define.CMAKE_CUDA_ARCHITECTURES=native
}

tests() {
    if [[ -n $dry ]]; then
        "$python" -P -m pytest -q -p no:cacheprovider tests/device/test_emulated.py
    else
        DEEPLINEAR_EXAMPLES=500 "$python" -P -m pytest -q -p no:cacheprovider -m cuda tests/device
    fi
}

# One of NVIDIA's checks, over a small program
sanitize() {
    if [[ -n $dry ]]; then
        "$python" -P tools/device_program.py emulated
    else
        compute-sanitizer --tool "$1" --error-exitcode 9 "$python" -P tools/device_program.py cuda
    fi
}

speed() { "$python" -P tools/device_speed.py "$device" "$out/results.jsonl"; }

profile() {
    [[ -z $dry ]] || return 0
    ncu --clock-control none --kernel-name-base demangled -k regex:advance --launch-count 2 \
        --set basic "$python" -P tools/device_program.py cuda
}

functions="$(declare -f machine build tests sanitize speed profile); $(declare -p python out work dry device); "
: >"$out/results.jsonl"
export PYTHONPATH="$work/site"
stage machine 20 machine
stage build 240 build || exit 1
stage speed 120 speed
stage tests 120 tests
for tool in memcheck racecheck synccheck; do stage "$tool" 60 sanitize "$tool"; done
stage profile 60 profile
echo "---- summary"
tail -n 40 "$out/results.jsonl"
