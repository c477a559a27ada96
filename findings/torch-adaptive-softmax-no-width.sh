#!/usr/bin/env bash
set -euo pipefail
# torch 2.13.0: nn.AdaptiveLogSoftmaxWithLoss divides the width of every further cluster by div_value and
# takes the floor, which may be 0. Such a cluster has no weights: it is made without an error, trained without an
# error, and all of its words have one probability for ever, whatever the input and however often each occurs.
# One expects at least one number a word, or a refusal.
# Here 64 features, div_value 4 (its default) and four cutoffs do it. The perplexity is a valid one, only worse: the
# rarest words are scored by their cluster alone.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check torch==2.13.0 numpy==2.4.6
cat >"$work/train.py" <<'PYTHON'
import sys

import torch

torch.manual_seed(1)


def spread(cutoffs):
    """How far apart the last cluster's words are after training on one of them alone."""
    head = torch.nn.AdaptiveLogSoftmaxWithLoss(64, 1_000, cutoffs)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.01)
    inputs = torch.randn(100, 64)
    targets = torch.full((100,), 999)
    for _ in range(50):
        optimizer.zero_grad()
        head(inputs, targets).loss.backward()
        optimizer.step()
    logs = head.log_prob(inputs).detach()
    last = logs[:, cutoffs[-1] :]
    widths = [tuple(tail[0].weight.shape)[0] for tail in head.tail]
    return widths, (last.max(1).values - last.min(1).values).max().item(), logs.exp().sum(1).mean().item()


for cutoffs in ([50, 100, 500], [50, 100, 300, 500]):
    widths, apart, total = spread(cutoffs)
    print(
        f"clusters of widths {widths}: after 50 steps on word 999 the words of the last one are up to "
        f"{apart:.2f} nats apart; probabilities sum to {total:.4f}"
    )
    expected = [16, 4, 1, 0][: len(widths)]
    if widths != expected or (apart > 0.5) != (widths[-1] > 0) or abs(total - 1) > 1e-3:
        sys.exit("no longer so")
PYTHON
"$work/venv/bin/python" -W ignore "$work/train.py"
