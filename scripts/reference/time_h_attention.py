"""Times reference kernels of hierarchical attention on a card, for scripts/check-gpu.sh.

    python3 time_h_attention.py --library h_attention.so --kernels FOLDER --shape attention.json

`--kernels` names the folder of `kernels.py`, which calls the library; `--shape` what `lm-bench attention
--json` has printed, whose batch of sequences is timed. Prints milliseconds of a forward and a backward
pass: blocks of 16, coarse queries, a bias, 8 heads of 64, bfloat16. Needs NumPy and PyTorch.
"""
import argparse
import ctypes
import json
import statistics
import sys

import numpy as np


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", required=True)
    parser.add_argument("--kernels", required=True)
    parser.add_argument("--shape", required=True)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--host", action="store_true", help="a library for this processor, to try the script")
    return parser.parse_args()


def sequences(path):
    """Lengths of the sequences of the first row."""
    with open(path) as file:
        row = json.load(file)[0]
    return row.get("sequenceLengths") or [row["length"]]


def median_ms(run, is_host, rounds=9, repeats=10):
    """Middle of several rounds of so many passes."""
    if is_host:
        import time

        began = time.perf_counter()
        run()
        return 1e3 * (time.perf_counter() - began)
    import torch

    for _ in range(3):
        run()
    torch.cuda.synchronize()
    times = []
    for _ in range(rounds):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(repeats):
            run()
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end) / repeats)
    return statistics.median(times)


def main():
    args = arguments()
    sys.path.insert(0, args.kernels)
    import kernels

    device = kernels.CPU() if args.host else kernels.GPU()
    library = ctypes.CDLL(args.library)
    starts = np.concatenate([[0], np.cumsum(sequences(args.shape))]).astype(np.int32)
    positions, heads, width, block = int(starts[-1]), args.heads, args.width, 16
    random = np.random.default_rng(0)

    def numbers(*shape):
        return device.put(kernels.to_bf16(random.standard_normal(shape, np.float32)))

    attention = kernels.Attention(
        library, device, starts, heads, width, False, width**-0.5, hierarchical=True, Nr=block, with_bias=True)
    bias = device.put((0.1 * random.standard_normal((heads, 2 * block))).astype(np.float32))
    attention.set(numbers(positions, 3, heads, width), bias, numbers(positions, heads, width))

    stream = None
    if not args.host:
        import torch

        stream = torch.cuda.current_stream().cuda_stream

    def both():
        attention.forward(stream)
        attention.backward(keep=True, stream=stream)

    print(f"{median_ms(both, args.host):.3f}")


if __name__ == "__main__":
    main()
