"""Writes small golden vectors for causal hierarchical attention.

    python gen_h_golden.py [--out DIR]      write DIR/{coarse,fine}/*.json (default: golden_h)
    python gen_h_golden.py --check DIR      recompute and compare

One JSON file per case.  Arrays are nested lists of float64 rounded to 12
significant digits, which is ample for checks in float32.  Fields: Nr, scale, fine_query, q, k, v [H][L][d],
bias [H][2*Nr] (index = distance in rows of the meeting level), dO (upstream
gradient), out, lse [H][L], dq, dk, dv, dbias.  lse is the natural log of the
softmax denominator with each level-l key row counted 2**l times.
Suggested tolerances: 1e-9 in float64, 2e-5 (outputs) and 1e-4 (gradients,
relative to the largest entry) in float32.
Every case is computed twice (blocked and dense) and decoded once before it is
written.
"""
import argparse
import glob
import json
import os

import numpy as np

import h_attention_ref as R

#        name               H  L   dk dv Nr  seed gain
CASES = [("one_token",      1, 1,  2, 2, 4,  1,   1.0),
         ("one_block",      2, 8,  3, 3, 8,  2,   1.0),
         ("partial_block",  1, 5,  3, 3, 8,  3,   1.0),
         ("two_blocks",     2, 8,  3, 3, 4,  4,   1.0),
         ("three_levels",   2, 32, 4, 4, 4,  5,   1.0),
         ("ragged_37",      2, 37, 3, 3, 4,  6,   1.0),
         ("deep_nr2",       1, 64, 3, 3, 2,  7,   1.0),
         ("ragged_67_nr2",  1, 67, 3, 3, 2,  8,   1.0),
         ("nr6",            1, 50, 3, 3, 6,  9,   1.0),
         ("nr16",           1, 72, 4, 4, 16, 10,  1.0),
         ("wide_values",    2, 33, 3, 5, 4,  11,  1.0),
         ("large_logits",   1, 40, 3, 3, 4,  12,  40.0)]

OUTS = ("out", "lse", "dq", "dk", "dv", "dbias")


def compute(c):
    a = (c["q"], c["k"], c["v"], c["bias"], c["Nr"])
    sc, fq = c["scale"], c["fine_query"]
    out, lse = R.blocked_forward(*a, sc, fq)
    grads = R.blocked_backward(*a, out, lse, c["dO"], sc, fq)
    res = dict(zip(OUTS, (out, lse) + grads))
    o2, l2 = R.dense_forward(*a, sc, fq)
    ref = dict(zip(OUTS, (o2, l2) + R.dense_backward(*a, c["dO"], sc, fq)))
    for n in OUTS:
        e = np.max(np.abs(res[n] - ref[n])) / (1 + np.max(np.abs(ref[n])))
        assert e < 1e-12, (c["name"], n, e)
    dec = R.Decoder(c["q"].shape[0], c["q"].shape[2], c["bias"], c["Nr"], sc, fq, dv=c["v"].shape[2])
    o3 = np.stack([dec.step(c["q"][:, t], c["k"][:, t], c["v"][:, t])
                   for t in range(c["q"].shape[1])], 1)
    assert np.max(np.abs(o3 - o2)) < 1e-12, c["name"]
    return res


def build():
    for name, H, L, dk, dv, Nr, seed, gain in CASES:
        g = np.random.default_rng(seed)
        base = dict(q=gain * g.standard_normal((H, L, dk)), k=g.standard_normal((H, L, dk)),
                    v=g.standard_normal((H, L, dv)), bias=0.3 * g.standard_normal((H, 2 * Nr)),
                    dO=g.standard_normal((H, L, dv)), Nr=Nr, scale=float(1 / np.sqrt(dk)))
        for fq in (False, True):
            yield dict(base, name=name + ("_fine" if fq else "_coarse"), fine_query=fq)


def rounded(x):
    return [rounded(y) for y in x] if isinstance(x, list) else float(f"{x:.12g}")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--out", default="golden_h")
    p.add_argument("--check")
    a = p.parse_args()
    if a.check:
        n = 0
        for f in sorted(glob.glob(os.path.join(a.check, "*", "*.json"))):
            with open(f) as fh:
                c = json.load(fh)
            c = {x: np.array(y) if isinstance(y, list) else y for x, y in c.items()}
            r = compute(c)
            for x in OUTS:
                e = np.max(np.abs(r[x] - c[x])) / (1 + np.max(np.abs(c[x])))
                assert e < 1e-9, (f, x, e)
            n += 1
        print(f"{n} files agree")
        return
    os.makedirs(a.out, exist_ok=True)
    total = 0
    for c in build():
        r = {**c, **compute(c)}
        name, query = c["name"].rsplit("_", 1)
        os.makedirs(os.path.join(a.out, query), exist_ok=True)
        path = os.path.join(a.out, query, name + ".json")
        with open(path, "w") as fh:
            json.dump({x: rounded(y.tolist()) if isinstance(y, np.ndarray) else y
                       for x, y in r.items()}, fh)
            fh.write("\n")
        total += os.path.getsize(path)
    print(f"wrote {2 * len(CASES)} files, {total / 1e6:.2f} MB, to {a.out}")


if __name__ == "__main__":
    main()
