"""Causal scaled_dot_product_attention of PyTorch, timed as `lm-bench attention` is.

    python torch_attention.py [--lengths N ...] [--rounds N] [--threads N] [--clock wall|processor]
"""

import argparse
import time

import torch
import torch.nn.functional as F

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--lengths", type=int, nargs="+", default=[256, 1024])
parser.add_argument("--heads", type=int, default=8)
parser.add_argument("--head-width", type=int, default=64)
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--threads", type=int, default=0)
parser.add_argument("--clock", choices=["wall", "processor"], default="wall")
a = parser.parse_args()
if a.threads:
    torch.set_num_threads(a.threads)


def now():
    if a.clock == "wall":
        return time.perf_counter()
    return time.process_time() / torch.get_num_threads()


for length in a.lengths:
    shape = (1, a.heads, length, a.head_width)
    q, k, v = (torch.randn(shape, requires_grad=True) for _ in range(3))
    gradient = torch.randn(shape)
    repeats = max(1, 2048 // length)
    rounds = []
    for _ in range(a.rounds + 1):
        forward = training = 0.0
        for _ in range(repeats):
            began = now()
            o = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            middle = now()
            o.backward(gradient)
            forward += middle - began
            training += now() - began
        rounds.append((training / repeats, forward / repeats))
    training, forward = sorted(rounds[1:])[a.rounds // 2]
    print(
        f"PyTorch {length:>6} positions: forward {forward / length * 1e6:.2f},"
        f" training {training / length * 1e6:.2f} µs/position"
    )
