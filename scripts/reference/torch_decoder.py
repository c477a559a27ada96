"""The decoder of `lm-bench train` in PyTorch, timed the same way; prints one JSON object.

    python torch_decoder.py [--forward] [--compile] [--bfloat16] [--threads N] [--clock wall|processor]
                            [--lengths FILE [--sorted]]

A Llama block as a PyTorch user writes it: fused QKV and gate/up products,
scaled_dot_product_attention, tied head, fused AdamW, gradient clipping.

With --bfloat16 under torch.autocast: products in bfloat16, weights in float32.

With --lengths FILE of `lm-bench sentences`, every line is a batch of sentences with these lengths,
padded to the longest of the batch; targets of the padding are ignored, and only real positions count.
--sorted puts sentences of similar length into a batch, as a loader with length buckets does, and
takes the batches in random order. The first two batches are not timed.

--clock processor counts the processor time of the process divided by the threads: on a busy machine
use it with one thread, because OpenMP threads that wait spin and count.
"""

import argparse
import json
import random
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

SHAPE = dict(layers=6, width=512, heads=8, hidden=1408, vocabulary=32000, length=256, batch=8)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in dict(SHAPE, steps=6, threads=0).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--forward", action="store_true")
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--lengths")
    parser.add_argument("--sorted", action="store_true")
    parser.add_argument("--clock", choices=["wall", "processor"], default="wall")
    return parser.parse_args()


def rotate(x, cos, sin):
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


class Block(nn.Module):
    def __init__(self, width, heads, hidden):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.RMSNorm(width), nn.RMSNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.output = nn.Linear(width, width, bias=False)
        self.gate_up = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x, cos, sin):
        B, L, C = x.shape
        qkv = self.qkv(self.norm1(x)).view(B, L, 3, self.heads, C // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(
            rotate(q, cos, sin), rotate(k, cos, sin), v, is_causal=True
        )
        x = x + self.output(y.transpose(1, 2).reshape(B, L, C))
        gate, up = self.gate_up(self.norm2(x)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


class Decoder(nn.Module):
    def __init__(self, a, length):
        super().__init__()
        self.embedding = nn.Embedding(a.vocabulary, a.width)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.blocks = nn.ModuleList(Block(a.width, a.heads, a.hidden) for _ in range(a.layers))
        self.norm = nn.RMSNorm(a.width)
        depth = a.width // a.heads
        angles = torch.arange(length)[:, None] * 10000.0 ** (-torch.arange(0, depth, 2) / depth)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, x, y):
        h = self.embedding(x)
        cos, sin = self.cos[: x.shape[1]], self.sin[: x.shape[1]]
        for block in self.blocks:
            h = block(h, cos, sin)
        logits = F.linear(self.norm(h), self.embedding.weight).flatten(0, 1)
        return F.cross_entropy(logits, y.flatten(), ignore_index=-1)


def batches_of_lengths(path, in_buckets):
    batches = [[int(word) for word in line.split()] for line in open(path) if line.strip()]
    if in_buckets:
        ordered = sorted(length for batch in batches for length in batch)
        size = len(batches[0])
        batches = [ordered[start : start + size] for start in range(0, len(ordered), size)]
        random.Random(1).shuffle(batches)
    return batches


def padded(lengths, vocabulary):
    """Random tokens, and targets of which those of the padding are ignored."""
    shape = (len(lengths), max(lengths))
    x, y = torch.randint(0, vocabulary, shape), torch.randint(0, vocabulary, shape)
    for row, length in enumerate(lengths):
        y[row, length:] = -1
    return x, y


def main():
    a = arguments()
    if a.threads:
        torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    if a.lengths:
        batches = batches_of_lengths(a.lengths, a.sorted)
    else:
        batches = [[a.length] * a.batch] * (a.steps + 2)
    model = Decoder(a, max(max(batch) for batch in batches))
    step_model = torch.compile(model) if a.compile else model
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True
    )

    def now():
        if a.clock == "wall":
            return time.perf_counter()
        return time.process_time() / torch.get_num_threads()

    def loss_of(x, y):
        with torch.autocast("cpu", torch.bfloat16, enabled=a.bfloat16):
            return step_model(x, y)

    seconds = []
    for step, lengths in enumerate(batches):
        x, y = padded(lengths, a.vocabulary)
        began = now()
        if a.forward:
            with torch.no_grad():
                loss = loss_of(x, y)
        else:
            loss = loss_of(x, y)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        loss.item()
        if step >= 2:
            seconds.append(now() - began)
    if a.lengths:
        # Every batch is another one: the sum over all, as `lm-bench sentences` has it.
        took = sum(seconds) / len(seconds)
        tokens = sum(sum(batch) for batch in batches[2:]) / len(seconds)
    else:
        took = sorted(seconds)[len(seconds) // 2]
        tokens = sum(batches[0])
    print(json.dumps(dict(milliseconds=took * 1e3, tokensPerSecond=tokens / took)))


main()
