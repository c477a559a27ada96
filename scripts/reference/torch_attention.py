"""Causal scaled_dot_product_attention of PyTorch, timed as `lm-bench attention` is.

    python torch_attention.py [--lengths N ...] [--rounds N] [--threads N] [--clock wall|processor]
                              [--json]
"""

import argparse
import json
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
parser.add_argument("--json", action="store_true")
a = parser.parse_args()
if a.threads:
    torch.set_num_threads(a.threads)


def now():
    if a.clock == "wall":
        return time.perf_counter()
    return time.process_time() / torch.get_num_threads()


rows = []
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
    forward, training = (seconds / length * 1e6 for seconds in (forward, training))
    rows.append(dict(length=length, forwardMicroseconds=forward, trainingMicroseconds=training))
    if not a.json:
        print(
            f"PyTorch {length:>6} positions: forward {forward:.2f}, training {training:.2f} µs/position"
        )
if a.json:
    print(json.dumps(rows))
