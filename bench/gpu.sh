#!/bin/sh
# Measures the study's network on a CUDA device, beside PyTorch and JAX, in one go: bench/gpu.sh [--cpu] [--out FILE]
#
# Writes one JSON document (bench/gpu.json) after every measurement, so that an interruption leaves what is done. On an
# H100 with 16 processors it ends within 10 minutes; what the time does not allow is an entry that says so. --cpu takes
# the same way on the processor with a small network: it tries the script, not the machine.
#
# It needs Go, or a program that was built before: HOUNSFIELD=/path/to/hounsfield. PyTorch and JAX are taken from python3,
# from /usr/bin/python3, or from the interpreters in TORCH_PYTHON and JAX_PYTHON; those that are missing are installed
# into a virtual environment below ~/.cache/hounsfield where the network allows, and are left out where it does not.
# XLA's CUDA plugin is the one that PJRT_PLUGIN_LIBRARY_PATH names, `hounsfield setup xla --cuda` installed, or JAX brings.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=${XDG_CACHE_HOME:-$HOME/.cache}/hounsfield/gpu
mkdir -p "$work"
device=cuda
for a in "$@"; do [ "$a" = --cpu ] && device=cpu; done
if [ $device = cuda ] && ! command -v nvidia-smi >/dev/null; then
	echo "gpu.sh: there is no nvidia-smi, so no CUDA device: --cpu tries the script without one" >&2
	exit 1
fi

say() { echo "$(date +%H:%M:%S) $*" >&2; }

if [ -z "${HOUNSFIELD:-}" ]; then
	command -v go >/dev/null || { echo "gpu.sh: there is no Go here; build the program elsewhere (GOEXPERIMENT=simd go build) and let HOUNSFIELD name it" >&2; exit 1; }
	say "building hounsfield"
	(cd "$here/.." && GOEXPERIMENT=simd go build -o "$work/hounsfield" .)
	HOUNSFIELD=$work/hounsfield
fi

# interpreter MODULE GIVEN prints the first interpreter that has the module.
interpreter() {
	for p in "$2" python3 /usr/bin/python3 "$work/venv/bin/python"; do
		if [ -n "$p" ] && "$p" -c "import $1" 2>/dev/null; then
			echo "$p"
			return
		fi
	done
}

# provide MODULE GIVEN PACKAGE finds the module or installs it.
provide() {
	p=$(interpreter "$1" "$2")
	if [ -z "$p" ]; then
		say "installing $3"
		{ [ -d "$work/venv" ] || python3 -m venv "$work/venv"; } >&2 &&
			timeout 240 "$work/venv/bin/python" -m pip install --quiet --retries 0 --timeout 10 "$3" >&2 || say "$1 cannot be installed here"
		p=$(interpreter "$1" "$2")
	fi
	echo "$p"
}

if [ $device = cpu ]; then jax=jax; else jax='jax[cuda13]'; fi
TORCH_PYTHON=$(provide torch "${TORCH_PYTHON:-}" torch)
JAX_PYTHON=$(provide jax "${JAX_PYTHON:-}" "$jax")
export HOUNSFIELD TORCH_PYTHON JAX_PYTHON
say "torch: ${TORCH_PYTHON:-none}, jax: ${JAX_PYTHON:-none}, hounsfield: $HOUNSFIELD"
exec python3 "$here/gpu.py" "$@"
