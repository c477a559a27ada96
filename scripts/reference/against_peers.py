"""Runs `lm-bench` and what a user could take instead in turn, and prints one table.

Called by scripts/peers/bench-against-peers.sh, which prepares programs, tokenizers and shards.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
BIG = dict(layers=6, width=512, heads=8, hidden=1408)
SMALL = dict(layers=4, width=256, heads=4, hidden=704)
KINDS = "train compiled small bfloat16 forward sentences attention encode pipeline decode start memory".split()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bench", required=True, help="lm-bench")
    parser.add_argument("--data", required=True, help="shards, unigram")
    parser.add_argument("--bpe", required=True, help="shards, BPE")
    parser.add_argument("--text", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--clock", default="wall")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default="")
    return parser.parse_args()


A = arguments()
ROWS = []
TIMING = ["--clock", A.clock, "--threads", str(A.threads)]


def note(text):
    print(text, file=sys.stderr, flush=True)


def run(command):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"bench-against-peers: failed: {' '.join(map(str, command))}")
    return json.loads(done.stdout)


def bench(*words):
    return run([A.bench, *words, "--json"])


def torch(script, *words):
    return run([sys.executable, os.path.join(HERE, script), *words, *TIMING])


def flags(shape):
    return [word for key, value in shape.items() for word in (f"--{key}", value)]


def median(values):
    return statistics.median(values)


def row(stage, here, peer, ratio, wanted, holds=None):
    ROWS.append((stage, here, peer, ratio, wanted, "" if holds is None else "yes" if holds else "NO"))
    note("  " + "  ".join(ROWS[-1]))


def rate_row(stage, here, peer, wanted, unit="tokens/s"):
    """Rates of alternating runs, the medians compared."""
    ratio = median(here) / median(peer)
    row(
        stage,
        f"{median(here):,.0f} {unit}",
        f"{median(peer):,.0f}",
        f"{ratio:.2f}",
        f"{wanted}" if wanted else "",
        ratio >= wanted if wanted else None,
    )


def in_turn(ours, peers):
    """Results of `ours()` and of every peer, A.rounds times in turn."""
    mine, theirs = [], [[] for _ in peers]
    for _ in range(A.rounds):
        mine.append(ours())
        for results, peer in zip(theirs, peers):
            results.append(peer())
    return mine, theirs


def speed(answer):
    return (answer[0] if isinstance(answer, list) else answer)["tokensPerSecond"]


def train_rows(name, stage, words, peers, forward=False, options=()):
    """Training or scoring of one shape, here with options, against variants of the peer."""
    command = "forward" if forward else "train"
    shape = [*words, "--steps", A.steps]
    mine, theirs = in_turn(
        lambda: bench(command, *shape, *options, *TIMING)[0],
        [
            lambda extra=extra: torch("torch_decoder.py", *shape, *extra, *(["--forward"] * forward))
            for _, extra, _ in peers
        ],
    )
    for (peer, _, wanted), results in zip(peers, theirs):
        rate_row(
            f"{stage} | {peer}", [speed(one) for one in mine], [speed(one) for one in results], wanted
        )
    peak = median([one["peakFraction"] for one in mine])
    bar = 0.83 if name == "train" else None
    row(
        f"{stage}, of the product peak",
        f"{100 * peak:.0f} %",
        f"{median([one['peakFlopsPerSecond'] for one in mine]) / 1e9:.0f} GFLOP/s",
        f"{peak:.2f}",
        "0.83" if bar else "",
        peak >= bar if bar else None,
    )


def sentences(stage, shape, count, steps):
    manifest = json.load(open(os.path.join(A.data, "manifest.json")))
    lengths = "lengths.txt"
    peer = [*flags(shape), "--lengths", lengths]
    peer += ["--vocabulary", manifest["tokenizer"]["vocabularySize"]]
    ours = ["sentences", "--data", A.data, *flags(shape), "--sentences", count, "--steps", steps]
    mine, theirs = in_turn(
        lambda: bench(*ours, "--lengths", lengths, *TIMING),
        [
            lambda: torch("torch_decoder.py", *peer),
            lambda: torch("torch_decoder.py", *peer, "--sorted"),
        ],
    )
    rates = [speed(one) for one in mine]
    rate_row(f"{stage} | PyTorch eager, padded", rates, [speed(one) for one in theirs[0]], 2)
    rate_row(f"{stage} | PyTorch eager, length buckets", rates, [speed(one) for one in theirs[1]], None)


def attention():
    kinds = ["softmax", "hierarchical", "hierarchical:blockSize=64"]
    lengths = [256, 1024, 8192]
    words = ["--lengths", *lengths, "--rounds", 3]
    mine, (theirs,) = in_turn(
        lambda: bench("attention", "--attention", *kinds, *words, *TIMING),
        [lambda: torch("torch_attention.py", *words, "--json")],
    )
    peer = {
        length: [x["trainingMicroseconds"] for one in theirs for x in one if x["length"] == length]
        for length in lengths
    }
    here = {}
    for one in mine:
        for x in one:
            block = x["attention"].partition("blockSize=")[2].partition(",")[0]
            kind = x["attention"].partition(":")[0] + (f" Nr = {block}" if block else "")
            here.setdefault((kind, x["length"]), []).append(x["trainingMicroseconds"])
    for kind, length, wanted in [
        ("softmax", 256, 1), ("softmax", 1024, 1), ("hierarchical Nr = 16", 8192, 12),
        ("hierarchical Nr = 64", 8192, 8),
    ]:
        ours, sdpa = median(here[kind, length]), median(peer[length])
        row(
            f"{kind}, L = {length:,}, forward + backward | scaled_dot_product_attention",
            f"{ours:.1f} µs", f"{sdpa:.1f} µs", f"{sdpa / ours:.2f}", f"{wanted}",
            sdpa / ours >= wanted,
        )
    flat = [
        bench("attention", "--attention", "hierarchical", "--lengths", 1024, 65536, "--rounds", 3, *TIMING)
        for _ in range(A.rounds)
    ]
    short, long = (median([one[k]["trainingMicroseconds"] for one in flat]) for k in (0, 1))
    row(
        "hierarchical Nr = 16, time per position, L = 65,536 | L = 1,024",
        f"{long:.1f} µs", f"{short:.1f} µs", f"{long / short:.2f}", "at most 1.15", long / short <= 1.15,
    )


def text_rows(command, stage_of, wanted):
    megabytes = min(118, max(1, os.path.getsize(A.text) // 1_000_000))
    for data, name, bar in [(A.data, "unigram", wanted[0]), (A.bpe, "BPE", wanted[1])]:
        report = bench(
            command, "--model", os.path.join(data, "tokenizer.model"), "--text", A.text,
            "--megabytes", megabytes, "--rounds", max(3, A.rounds),
        )
        peer = report["stages"][-1]
        stage = next(x for x in report["stages"] if x["stage"] == stage_of)
        if "ratio" not in stage:
            raise SystemExit("bench-against-peers: spm_encode and zstd are not on the PATH")
        row(
            f"{command}, {name}, {report['bytes'] / 1e6:.0f} MB | {peer['stage']}",
            f"{stage['megabytesPerSecond']:.1f} MB/s", f"{peer['megabytesPerSecond']:.1f}",
            f"{stage['ratio']:.1f}", f"{bar}", stage["ratio"] >= bar,
        )
        if command == "pipeline":
            two = report["secondThread"]
            row(f"pipeline, {name}, second thread", "", "", f"{two:.2f}", "1.8", two >= 1.8)


def decode():
    rows = bench("decode", "--lengths", 256, 1024, 4096, *TIMING)
    kinds = {}
    for x in rows:
        kinds.setdefault(x["attention"].partition(":")[0], []).append(x)
    for kind, all_lengths in kinds.items():
        first, last = all_lengths[0], all_lengths[-1]
        layer = last["layerMicroseconds"] / first["layerMicroseconds"]
        growth = last["modelMicroseconds"] / first["modelMicroseconds"]
        flat = None if kind == "softmax" else growth <= 1.3
        row(
            f"decode, {kind}, a token after 4,096 | after 256 (one layer: {layer:.2f} times)",
            f"{last['modelMicroseconds'] / 1e3:.1f} ms", f"{first['modelMicroseconds'] / 1e3:.1f} ms",
            f"{growth:.2f}", "" if flat is None else "flat", flat,
        )
    first = kinds["softmax"][0]
    row(
        "decode, weights and cache read once, of the memory's speed",
        f"{100 * first['memoryFraction']:.0f} %", f"{first['memoryBytesPerSecond'] / 1e9:.0f} GB/s",
        f"{first['memoryFraction']:.2f}", "",
    )
    together = first["streamMicroseconds"] / first["modelMicroseconds"]
    row(
        "decode, one of 32 samples together | alone",
        f"{first['streamMicroseconds'] / 1e3:.2f} ms", f"{first['modelMicroseconds'] / 1e3:.1f} ms",
        f"{together:.2f}", "at most 0.25", together <= 0.25,
    )


def start():
    for x in bench("start", "--tokenizer", os.path.join(A.data, "tokenizer.model"), "--rounds", 5):
        row(
            f"{x['program']} on {x['weightBytes'] / 4e6:.0f} M parameters, to the {x['until']}",
            f"{x['milliseconds']:.0f} ms", "", f"{x['milliseconds'] / 300:.2f}", "at most 300 ms",
            x["milliseconds"] <= 300,
        )


def memory():
    for x in bench("memory", "--data", A.data):
        row(
            f"memory of training, quickstart, {x['attention']}, peak | plan",
            f"{x['peakBytes'] / 1e6:.0f} MB", f"{x['plannedBytes'] / 1e6:.0f} MB", f"{x['ratio']:.3f}",
            "0.95 to 1.05", 0.95 <= x["ratio"] <= 1.05,
        )


def main():
    chosen = A.only.split(",") if A.only else KINDS
    for name in chosen:
        if name not in KINDS:
            raise SystemExit(f"bench-against-peers: no rows {name}; choose of {','.join(KINDS)}")
    eager, compiled = ("PyTorch eager", [], 1.5), ("torch.compile", ["--compile"], 1.12)
    if "train" in chosen or "compiled" in chosen:
        peers = [eager] * ("train" in chosen) + [compiled] * ("compiled" in chosen)
        note("training step")
        train_rows("train", "training step, 6 layers of 512, 8 × 256", [], peers)
    if "small" in chosen:
        note("training step of the small model")
        shape = [*flags(SMALL), "--vocabulary", 8000, "--batch", 16]
        train_rows("small", "training step, 4 layers of 256, 8k tokens, 16 × 256", shape, [eager])
    if "bfloat16" in chosen:
        note("training steps in bfloat16")
        peers = [("PyTorch autocast", ["--bfloat16"], 1.0)]
        options = ["--precision", "bfloat16"]
        train_rows("bfloat16", "training step in bfloat16, 6 layers of 512", [], peers, options=options)
        shape = [*flags(SMALL), "--vocabulary", 8000, "--batch", 16]
        train_rows(
            "bfloat16", "training step in bfloat16, 4 layers of 256", shape, peers, options=options
        )
    if "forward" in chosen:
        note("scoring")
        train_rows(
            "forward", "scoring, 6 layers of 512, 8 × 256", [], [("PyTorch eager", [], 1.6)], forward=True
        )
    if "sentences" in chosen:
        note("real sentences")
        sentences("sentences, 6 layers of 512, 64 a step", BIG, 64, A.steps)
        sentences("sentences, 4 layers of 256, 64 a step", SMALL, 64, A.steps)
    if "attention" in chosen:
        note("attention")
        attention()
    if "encode" in chosen:
        note("encoding")
        text_rows("tokenize", "encode", (10, 20))
    if "pipeline" in chosen:
        note("the whole of lm-tokenize")
        text_rows("pipeline", "pipeline 2", (10, 10))
    for name, rows in [("decode", decode), ("start", start), ("memory", memory)]:
        if name in chosen:
            note(name)
            rows()
    print(f"{A.clock} clock, {A.threads} threads, medians of {A.rounds} runs in turn\n")
    print("| stage | here | peer | ratio | wanted | reached |\n|---|---|---|---|---|---|")
    for cells in ROWS:
        print("| " + " | ".join(cell.replace(" | ", " against ") for cell in cells) + " |")


main()
