"""Runs the measurements of gpu.sh one after the other and writes them into one JSON document. Started by gpu.sh.

Every measurement is a process of its own with a time limit. `hounsfield bench measure`, torch_step.py and jax_step.py
print the same JSON object. What fails is an entry with its reason.
"""
import argparse
import datetime
import glob
import json
import math
import os
import platform
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def say(text):
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


def output(*command):
    """A command's output, or "" when it cannot be run."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def gpu_used_mib():
    """Memory in use on the first GPU, by everyone; None without one."""
    text = output("nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits")
    return int(text.splitlines()[0]) if text else None


class Watch:
    """Greatest growth of the GPU's used memory while a process runs. The same view of every program."""

    def __init__(self, cuda):
        self.before = gpu_used_mib() if cuda else None
        self.most, self.stop = self.before, threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)
        self.thread.start()

    def look(self):
        while self.before is not None and not self.stop.wait(0.2):
            self.most = max(self.most, gpu_used_mib() or 0)

    def end(self):
        self.stop.set()
        self.thread.join()
        return None if self.before is None else self.most - self.before


def plugin_environment():
    """What XLA's CUDA plugin needs when it comes out of JAX's packages: its file, and CUDA's libraries."""
    python = os.environ.get("JAX_PYTHON")
    site = output(python, "-c", "import os, jax; print(os.path.dirname(os.path.dirname(jax.__file__)))") if python else ""
    found = {}
    if not site:
        return found
    plugins = sorted(glob.glob(site + "/jax_plugins/xla_cuda*/xla_cuda_plugin.so"))
    if plugins and "PJRT_PLUGIN_LIBRARY_PATH" not in os.environ:
        found["PJRT_PLUGIN_LIBRARY_PATH"] = plugins[-1]
    libraries = sorted(glob.glob(site + "/nvidia/*/lib"))
    if libraries:
        found["LD_LIBRARY_PATH"] = ":".join(libraries + [p for p in [os.environ.get("LD_LIBRARY_PATH")] if p])
    return found


class Run:
    def __init__(self, a):
        self.a, self.started = a, time.monotonic()
        self.cuda = not a.cpu
        self.engine = "xla:cuda" if self.cuda else a.engine
        self.plugin = plugin_environment() if self.cuda else {}
        cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.processor())
        gpu = output("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader") if self.cuda else ""
        self.document = {
            "about": "Written by bench/gpu.sh. ratio_torch and ratio_jax are their seconds over ours: above 1, ours is faster.",
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "command": "bench/gpu.sh " + " ".join(sys.argv[1:]),
            "machine": {"gpu": gpu, "cpu": cpu, "cores": len(os.sched_getaffinity(0)), "load": os.getloadavg()[0]},
            "plugin": self.plugin, "entries": [], "summary": [], "deterministic": None,
        }

    def left(self):
        return self.a.budget - (time.monotonic() - self.started)

    def write(self):
        self.document["seconds"] = round(time.monotonic() - self.started, 1)
        text = json.dumps(self.document, indent=1, allow_nan=False)
        with open(self.a.out + ".part", "w") as f:
            f.write(text + "\n")
            f.flush()
            os.fsync(f.fileno())
        os.replace(self.a.out + ".part", self.a.out)

    def backends(self):
        program = os.environ["HOUNSFIELD"]
        p = subprocess.run([program, "backends"], capture_output=True, text=True, timeout=120, env=os.environ | self.plugin)
        self.document["backends"] = (p.stdout + p.stderr).splitlines()
        say("backends: exit %d" % p.returncode)

    def command(self, who, batch, precision, tf32, layout, deterministic):
        """Command, standard input and environment of one measurement."""
        environment = dict(os.environ)
        if who == "ours":
            environment |= self.plugin
            settings = {"precision": precision, "lowering": layout or "auto", "deterministic": deterministic}
            if not tf32 and self.cuda:  # NVIDIA's switch for its libraries; Triton's products do not look at it
                environment["NVIDIA_TF32_OVERRIDE"] = "0"
                environment["XLA_FLAGS"] = (environment.get("XLA_FLAGS", "") + " --xla_gpu_enable_triton_gemm=false").strip()
            request = {"engine": self.engine, "settings": settings, "batch": batch, "steps": self.a.steps, "scale": self.a.scale}
            return [os.environ["HOUNSFIELD"], "bench", "measure"], json.dumps(request), environment
        python = os.environ.get("TORCH_PYTHON" if who == "torch" else "JAX_PYTHON")
        if not python:
            raise RuntimeError("no interpreter here has " + who)
        command = [python, os.path.join(HERE, who + "_step.py"), "--device", "cuda" if self.cuda else "cpu", "--batch", str(batch),
                   "--steps", str(self.a.steps), "--scale", str(self.a.scale), "--precision", precision, "--layout", layout or "ndhwc"]
        return command + ["--tf32"] * tf32 + ["--deterministic"] * deterministic, None, environment

    def measure(self, who, batch, precision="float32", tf32=True, layout="", deterministic=False):
        entry = {"who": who, "batch": batch, "precision": precision, "tf32": tf32, "layout": layout, "deterministic": deterministic}
        self.document["entries"].append(entry)
        start = time.monotonic()
        try:
            limit = min(self.a.limit, self.left())
            if limit < 5:
                raise RuntimeError("not run: the time was up")
            command, request, environment = self.command(who, batch, precision, tf32, layout, deterministic)
            watch = Watch(self.cuda)
            try:
                p = subprocess.run(command, input=request, capture_output=True, text=True, timeout=limit, env=environment)
            finally:
                entry["gpu_used_mib"] = watch.end()
            lines = p.stdout.strip().splitlines()
            if p.returncode != 0 or not lines:
                raise RuntimeError("exit %d: %s" % (p.returncode, p.stderr.strip()[-600:]))
            result = json.loads(lines[-1])
            if result.get("error"):
                raise RuntimeError(result["error"])
            entry["result"] = result
            told = "step %.4f s, forward %.4f s, finite %s" % (result["step_seconds"], result["forward_seconds"], result["finite"])
        except subprocess.TimeoutExpired:
            entry["error"] = told = "did not end within %.0f s" % limit
        except (RuntimeError, OSError, ValueError, KeyError) as e:
            entry["error"] = told = str(e)
        entry["seconds"] = round(time.monotonic() - start, 1)
        say("%-5s batch %-3d %s%s%s%s: %s" % (who, batch, precision, "" if precision != "float32" or not self.cuda else " tf32" if tf32 else " no tf32",
                                             " " + layout if layout else "", " deterministic" if deterministic else "", told[:300]))
        self.write()

    def all(self):
        if self.cuda:
            batches, middle = [16, 64, 256], 64
        else:
            batches, middle = [2, 4], 4
        kinds = [("bfloat16", True), ("float32", True)] + ([("float32", False)] if self.cuda else [])
        try:
            self.backends()
        except (OSError, subprocess.SubprocessError) as e:
            self.document["backends"] = [str(e)]
        # What matters most comes first: the time may run out.
        for batch in sorted(batches, key=lambda b: abs(math.log(b / middle))):
            for precision, tf32 in kinds:
                for who in ["ours", "torch", "jax"]:
                    self.measure(who, batch, precision, tf32)
        for _ in range(2):
            self.measure("ours", batches[0], deterministic=True)
        self.measure("torch", batches[0], deterministic=True)
        for layout in ["native", "columns"]:
            self.measure("ours", batches[0], layout=layout)
        for who in ["torch", "jax"]:
            self.measure(who, middle, layout="ncdhw")
        self.summarise()
        self.write()

    def summarise(self):
        def result(who, **want):
            for e in self.document["entries"]:
                if e["who"] == who and "result" in e and e["layout"] == "" and not e["deterministic"] and all(e[k] == v for k, v in want.items()):
                    return e
            return None

        keys = {(e["batch"], e["precision"], e["tf32"]) for e in self.document["entries"]}
        for batch, precision, tf32 in sorted(keys):
            row = {"batch": batch, "precision": precision, "tf32": tf32}
            ours = result("ours", **row)
            for who in ["ours", "torch", "jax"]:
                e = result(who, batch=batch, precision=precision, tf32=tf32)
                if e:
                    row[who + "_step_seconds"], row[who + "_forward_seconds"] = e["result"]["step_seconds"], e["result"]["forward_seconds"]
                    row[who + "_gpu_used_mib"] = e["gpu_used_mib"]
                    if ours and who != "ours":
                        row["ratio_" + who] = round(e["result"]["step_seconds"] / ours["result"]["step_seconds"], 3)
            if ours:
                row["finite"] = ours["result"]["finite"]
                # Of the same cubes by the same weights: 0 would say that a switch of precision has no effect.
                exact = result("ours", batch=batch, precision="float32", tf32=False)
                if exact:
                    pairs = zip(ours["result"]["scores"], exact["result"]["scores"])
                    row["scores_from_float32"] = max(abs(x - y) for x, y in pairs)
            self.document["summary"].append(row)
        sums = [e["result"]["sum"] for e in self.document["entries"] if e["who"] == "ours" and e["deterministic"] and "result" in e]
        self.document["deterministic"] = {"runs": len(sums), "equal_bytes": sums[0] == sums[1] if len(sums) == 2 else None}
        for row in self.document["summary"]:
            say(" ".join("%s=%s" % (k, round(v, 4) if isinstance(v, float) else v) for k, v in row.items()))
        say("deterministic: %s" % self.document["deterministic"])


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--cpu", action="store_true", help="the same way on the processor, small")
    p.add_argument("--engine", default="xla:cpu", help="engine with --cpu")
    p.add_argument("--out", default=os.path.join(HERE, "gpu.json"))
    p.add_argument("--budget", type=float, default=570, help="seconds for everything")
    p.add_argument("--limit", type=float, default=90, help="seconds for one measurement")
    p.add_argument("--steps", type=int, help="timed steps (default 20; with --cpu 1)")
    p.add_argument("--scale", type=float, help="factor on every layer's width (default 1; with --cpu 0.125)")
    a = p.parse_args()
    a.steps = a.steps or (1 if a.cpu else 20)
    a.scale = a.scale or (0.125 if a.cpu else 1.0)
    Run(a).all()
    say("written: " + a.out)


if __name__ == "__main__":
    main()
