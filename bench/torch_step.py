"""The study's network in PyTorch, timed: the peer of `hounsfield bench step`.

Prints one JSON object: seconds of the first and of a later training step and forward pass (medians), peak memory,
number of parameters, the first and the last loss, and the SHA-256 of the weights after the last step. The data are random: only time and
memory mean anything. Works with PyTorch 1.13 and newer.
"""
import argparse
import hashlib
import json
import math
import os
import platform
import statistics
import sys
import time

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it --deterministic is refused on CUDA

import torch
from torch import nn

CONV = [  # filters, kernel, pool afterwards, dropout
    (64, 5, 0, 0.25),
    (128, 3, 3, 0.25),
    (256, 3, 0, 0.25),
    (512, 3, 3, 0.25),
]
DENSE = [(512, 0.5), (256, 0.5)]


class Network(nn.Module):
    """Cubes [n, 1, 50, 50, 50] to two logits [n, 2]; every layer with bias, then normalised."""

    def __init__(self, scale):
        super().__init__()
        layers, channels, edge = [], 1, 50
        for filters, kernel, pool, drop in CONV:
            out = max(1, int(filters * scale))
            layers += [nn.Conv3d(channels, out, kernel), nn.BatchNorm3d(out, eps=1e-3, momentum=0.01), nn.LeakyReLU(0.1)]
            channels, edge = out, edge - kernel + 1
            if pool:
                layers.append(nn.MaxPool3d(pool))
                edge //= pool
            layers.append(nn.Dropout(drop))
        layers.append(nn.Flatten())
        width = channels * edge**3
        for units, drop in DENSE:
            out = max(1, int(units * scale))
            layers += [nn.Linear(width, out), nn.BatchNorm1d(out, eps=1e-3, momentum=0.01), nn.LeakyReLU(0.1), nn.Dropout(drop)]
            width = out
        layers += [nn.Linear(width, 2), nn.BatchNorm1d(2, eps=1e-3, momentum=0.01)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)


def peak_mib():
    """Most memory this process has held, in MiB. ru_maxrss would count the parent's before the exec too."""
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return None


def number(value):
    """JSON has no NaN and no infinity."""
    return value if math.isfinite(value) else None


def timed(run, steps, synchronise):
    """Seconds of the first run and of each of the later ones."""
    seconds = []
    for _ in range(steps + 1):
        synchronise()
        start = time.perf_counter()
        run()
        synchronise()
        seconds.append(time.perf_counter() - start)
    return seconds[0], seconds[1:]


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--batch", type=int, default=4)
    p.add_argument("--steps", type=int, default=3, help="timed steps, after one that is not")
    p.add_argument("--threads", type=int, default=0)
    p.add_argument("--scale", type=float, default=1.0, help="factor on every layer's width")
    p.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    p.add_argument("--precision", default="float32", choices=["float32", "bfloat16"], help="bfloat16: autocast, weights stay float32")
    p.add_argument("--layout", default="ncdhw", choices=["ncdhw", "ndhwc"], help="ndhwc: channels_last_3d")
    p.add_argument("--tf32", action="store_true", help="allow TF32 in float32 products (CUDA)")
    p.add_argument("--deterministic", action="store_true")
    a = p.parse_args()

    if a.threads:
        torch.set_num_threads(a.threads)
    torch.manual_seed(1)
    cuda = a.device == "cuda"
    if cuda and not torch.cuda.is_available():
        sys.exit("this PyTorch sees no CUDA device")
    torch.backends.cuda.matmul.allow_tf32 = a.tf32
    torch.backends.cudnn.allow_tf32 = a.tf32
    torch.backends.cudnn.benchmark = not a.deterministic
    torch.use_deterministic_algorithms(a.deterministic)

    layout = torch.channels_last_3d if a.layout == "ndhwc" else torch.contiguous_format
    net = Network(a.scale).to(a.device, memory_format=layout)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3, betas=(0.9, 0.999), eps=1e-7)
    cubes = torch.rand(a.batch, 1, 50, 50, 50)
    labels = torch.arange(a.batch) % 2
    if cuda:
        cubes, labels = cubes.pin_memory(), labels.pin_memory()
    autocast = torch.autocast(a.device, dtype=torch.bfloat16, enabled=a.precision == "bfloat16")
    losses, outputs = [], []

    def train():
        x = cubes.to(a.device, non_blocking=True).contiguous(memory_format=layout)
        y = labels.to(a.device, non_blocking=True)
        optimiser.zero_grad(set_to_none=True)
        with autocast:
            logits = net(x)
        loss = nn.functional.cross_entropy(logits.float(), y)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())

    def forward():
        x = cubes.to(a.device, non_blocking=True).contiguous(memory_format=layout)
        with torch.no_grad(), autocast:
            outputs.append(net(x).float().cpu())

    synchronise = torch.cuda.synchronize if cuda else (lambda: None)
    first_step, steps = timed(train, a.steps, synchronise)
    net.eval()
    first_forward, forwards = timed(forward, a.steps, synchronise)

    digest = hashlib.sha256()
    for name, value in sorted(net.state_dict().items()):
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    json.dump({
        "name": "torch", "version": torch.__version__, "python": platform.python_version(),
        "device": torch.cuda.get_device_name() if cuda else "cpu", "threads": torch.get_num_threads(),
        "parameters": sum(q.numel() for q in net.parameters()),
        "first_step_seconds": first_step, "step_seconds": statistics.median(steps),
        "first_forward_seconds": first_forward, "forward_seconds": statistics.median(forwards),
        "peak_mib": peak_mib(), "device_peak_mib": torch.cuda.max_memory_reserved() / 2**20 if cuda else None,
        "finite": all(map(math.isfinite, losses)), "first_loss": number(losses[0]), "last_loss": number(losses[-1]), "sum": digest.hexdigest(),
    }, sys.stdout)
    print()


if __name__ == "__main__":
    main()
