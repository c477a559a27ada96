#!/usr/bin/env bash
set -euo pipefail
# torch 2.13.0: torch.optim.Muon computes its step in bfloat16, whatever type the weights have. The
# orthogonalised update of float32 and even of float64 weights has eight significant bits, and is as far from
# the same iteration in the weights' own type as that precision is: some 1e-2 of its length.
# One expects an optimizer to compute in the type of its weights, as AdamW does.
# Two programs that both "train with Muon in float32" differ from the first step on, by far more than
# rounding; a port that is compared with this one looks wrong, and a float64 run for reference is none.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check torch==2.13.0 numpy==2.4.6
cat >"$work/step.py" <<'PYTHON'
import sys

import torch

torch.manual_seed(1)
gradient = torch.randn(192, 512, dtype=torch.float64)


def iteration(x):
    """The five quintic steps of the paper, in the type of x."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = x / x.norm()
    for _ in range(5):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


def step(optimizer, dtype):
    weights = torch.nn.Parameter(torch.zeros(192, 512, dtype=dtype))
    weights.grad = gradient.to(dtype)
    optimizer([weights]).step()
    return -weights.detach()


def rounded(x):
    return torch.equal(x, x.to(torch.bfloat16).to(x.dtype))


for dtype in (torch.float32, torch.float64):
    muon = step(lambda w: torch.optim.Muon(w, lr=1.0, weight_decay=0.0), dtype)
    adamw = step(lambda w: torch.optim.AdamW(w, lr=0.1, eps=1.0, weight_decay=0.0), dtype)
    # The first step is that of the gradient alone, up to a factor that the iteration divides out.
    own = iteration(gradient.to(dtype))
    apart = ((muon - own).norm() / own.norm()).item()
    print(
        f"{dtype}: every number of the step is a bfloat16: Muon {rounded(muon)}, AdamW {rounded(adamw)}; "
        f"Muon is {apart:.0e} of its length from the iteration in {dtype}"
    )
    if not rounded(muon) or rounded(adamw) or not 1e-3 < apart < 1e-1:
        sys.exit("no longer so")
PYTHON
"$work/venv/bin/python" "$work/step.py"
