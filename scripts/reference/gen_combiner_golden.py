"""Writes small golden vectors for causal Combiner attention (see combiner_ref.py).

    python gen_combiner_golden.py [--out FILE]     write FILE (default: combiner.json)
    python gen_combiner_golden.py --check FILE     recompute and compare

One JSON object: {"cases": [...]}. Arrays are nested lists of float64 rounded to 10 decimals, which is ample for checks
in float32; inputs have 6 decimals. A case holds pattern, segment, pooling, address, the inputs q, k, v and dO, and o,
lse, dq, dk, dv, all [H][L][d] ([H][L] for lse); the projected one also the layer's input x, its weights and their
gradients. q is not scaled: the scale is d**-0.5. Suggested tolerances in float32: 2e-5 (outputs) and 1e-4 (gradients,
relative to the largest entry). Every case is computed by the blocked algorithm, by enumeration and by decoding before
it is written.
"""
import argparse
import json

import numpy as np

import combiner_ref as R

#        pattern      L   d  dv  seed ties  settings
CASES = [("fixed",     11, 4, 3, 10, False, dict(m=4, pool="max")),
         ("fixed",     11, 4, 3, 11, False, dict(m=4, pool="mean")),
         ("fixed",     12, 4, 4, 80, False, dict(m=4, pool="max")),
         ("fixed",      4, 4, 3, 81, False, dict(m=4, pool="max")),
         ("fixed",      1, 4, 3, 82, False, dict(m=4, pool="max")),
         ("fixed",     11, 3, 2, 83, True,  dict(m=4, pool="max")),
         ("fixed",     77, 4, 3, 100, False, dict(m=16, pool="max")),
         ("fixed",     70, 4, 3, 101, False, dict(m=7, pool="mean")),
         ("logsparse", 13, 4, 3, 20, False, dict(pool="max")),
         ("logsparse", 13, 4, 3, 21, False, dict(pool="mean")),
         ("logsparse", 11, 3, 2, 85, True,  dict(pool="max")),
         ("logsparse",  9, 4, 3, 86, False, dict(pool="max")),
         ("logsparse", 85, 4, 3, 102, False, dict(pool="max")),
         ("vertical",  11, 4, 3, 30, False, dict(m=4, pool="max")),
         ("vertical",  11, 4, 3, 31, False, dict(m=4, pool="mean")),
         ("vertical",  11, 3, 2, 84, True,  dict(m=4, pool="max")),
         ("vertical",  70, 4, 3, 103, False, dict(m=16, pool="max")),
         ("mixture",   11, 4, 3, 50, False, dict(m=4, pool="max")),
         ("mixture",   11, 4, 3, 51, False, dict(m=4, pool="mean")),
         ("mixture",   11, 3, 2, 88, True,  dict(m=4, pool="max")),
         ("mixture",   70, 4, 3, 104, False, dict(m=16, pool="max")),
         ("rowmajor",  11, 4, 3, 70, False, dict(m=4, addr="wsum")),
         ("rowmajor",  11, 4, 3, 71, False, dict(m=4, addr="none")),
         ("rowmajor",  70, 4, 3, 105, False, dict(m=16, addr="wsum"))]


def draw(rng, L, d, dv, ties):
    """Small integers tie in the max pooling."""
    if ties:
        return [rng.integers(-2, 3, s).astype(float) for s in ((L, d), (L, d), (L, dv), (L, dv))]
    return [np.round(1.2 * rng.standard_normal(s), 6) for s in ((L, d), (L, d), (L, dv), (L, dv))]


def pack(case):
    return {n: np.round(x, 10).tolist() if isinstance(x, np.ndarray) else x for n, x in case.items()}


def attention_case(pattern, L, d, dv, seed, ties, cfg):
    variant = "mixture_joint" if pattern == "mixture" else pattern
    q, k, v, do = draw(np.random.default_rng(seed), L, d, dv, ties)
    o, ctx = R.forward(variant, q, k, v, **cfg)
    assert np.abs(o - R.dense(variant, q, k, v, **cfg)[0]).max() < 1e-12
    dec = R.Decoder(variant, d, dv, **cfg)
    assert max(np.abs(dec.step(q[t], k[t], v[t]) - o[t]).max() for t in range(L)) < 1e-12
    dq, dk, dv_ = R.backward(ctx, do)
    m = cfg.get("m", 64)
    pooling, address = cfg.get("pool", "max"), cfg.get("addr", "wsum")
    kind = address if pattern == "rowmajor" else pooling
    name = f"{pattern}_{kind}_{L}" + ("_ties" if ties else "")
    return pack(dict(name=name, pattern=pattern, segment=m, pooling=pooling, address=address, q=q[None], k=k[None],
                     v=v[None], dO=do[None], o=o[None], lse=ctx["lse"].ravel()[:L][None], dq=dq[None], dk=dk[None],
                     dv=dv_[None]))


def projected_case(H, L, dh, D, m, seed):
    """Row-major with the learned address (two heads share the layer's input x). Gradients of everything.

    w_o is [D][H dh] and w_a [H dh][D], rows of outputs, as a linear layer keeps them."""
    rng = np.random.default_rng(seed)
    f = lambda *s: np.round(rng.standard_normal(s), 6)
    q, k, v, do, x = f(H, L, dh), f(H, L, dh), f(H, L, dh), f(H, L, dh), f(L, D)
    w_o, gamma, beta, w_a = f(H, dh, D), 1 + 0.1 * f(D), 0.1 * f(D), f(D, H, dh)
    rows = [R.rowmajor_rows_fwd(q[h], k[h], v[h], m) for h in range(H)]
    n = len(rows[0][0])
    A, actx = R.addr_proj_fwd(np.stack([r[0] for r in rows]), x[:n], w_o, gamma, beta, w_a)
    res = [R.rowmajor_fwd(q[h], k[h], v[h], m, "ext", A[h], rows[h]) for h in range(H)]
    g1 = [R.rowmajor_bwd_joint(res[h][1], do[h]) for h in range(H)]
    dS, dx, dwo, dgamma, dbeta, dwa = R.addr_proj_bwd(np.stack([g[4] for g in g1]), actx)
    g2 = [R.rowmajor_rows_bwd(q[h], k[h], v[h], m, res[h][1]["P"], g1[h][3] + dS[h]) for h in range(H)]
    dq, dk, dv = (np.stack([g1[h][j] + g2[h][j] for h in range(H)]) for j in range(3))
    out = lambda w: w.reshape(H * dh, D).T
    into = lambda w: w.reshape(D, H * dh).T
    return pack(dict(name=f"rowmajor_proj_{L}", pattern="rowmajor", segment=m, pooling="max", address="proj", q=q, k=k,
                     v=v, dO=do, o=np.stack([r[0] for r in res]), lse=np.stack([r[1]["lse"] for r in res]), dq=dq,
                     dk=dk, dv=dv,
                     projection=pack(dict(epsilon=1e-6, x=x, summaryWeight=out(w_o), addressWeight=into(w_a), gain=gamma,
                                          bias=beta, dx=np.concatenate([dx, np.zeros((L - n, D))]),
                                          dSummaryWeight=out(dwo), dAddressWeight=into(dwa), dGain=dgamma,
                                          dBias=dbeta))))


def build():
    return [attention_case(*case) for case in CASES] + [projected_case(2, 11, 3, 6, 4, 90)]


def same(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[n], b[n]) for n in a)
    if isinstance(a, list) and a and not isinstance(a[0], dict):
        return np.shape(a) == np.shape(b) and np.abs(np.array(a) - np.array(b)).max() < 1e-9
    return len(a) == len(b) and all(map(same, a, b)) if isinstance(a, list) else a == b


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", default="combiner.json")
    parser.add_argument("--check")
    args = parser.parse_args()
    cases = build()
    if args.check:
        with open(args.check) as fh:
            assert same(json.load(fh)["cases"], cases), "differs"
        print(f"{len(cases)} cases agree")
    else:
        with open(args.out, "w") as fh:
            fh.write('{"cases":[\n' + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]}\n")
        print(f"{len(cases)} cases")
