"""Causal hierarchical attention: an independent float64 NumPy reference.

Mathematical definition: docs/hierarchical-attention.md (same symbols).  Everything
is per head; arrays are (H, L, d).  `bias` is (H, 2*Nr), indexed by the distance
delta between query row and key row *measured in rows of the level at which the
pair meets*; the same table serves every level.  Any L >= 1 is accepted, no
padding is needed.  Nr must be even.

Four independent routes to the same numbers:
  dense_forward / dense_backward       O(L^2), from the L x L definition
  blocked_forward / blocked_backward   O(L*Nr) (coarse query)
                                       O(L*Nr*log(L/Nr)) (fine query)
  Decoder.step                         one token at a time, O(Nr*log L) memory
  attended_set                         closed form of who attends to what

fine_query=False: every token of a level-l group uses the query of the group's
first token (this is what the published decoder code does).
fine_query=True: every token uses its own query at every level.

Run this file for the self-checks.
"""
import numpy as np

LN2 = float(np.log(2.0))
NEG = -np.inf


# ----------------------------------------------------------------- structure

def level_of(i, j, Nr):
    """Level at which query token i meets key token j <= i."""
    bi, bj, l = i // Nr, j // Nr, 0
    while (bi >> l) - (bj >> l) > 1:
        l += 1
    return l


def attended_set(i, Nr):
    """[(level, first key row, one past last key row)] for query token i."""
    b = i // Nr
    out = [(0, max(0, b - 1) * Nr, i + 1)]
    l = 1
    while (b >> l) >= 1:
        c = b >> l
        n = Nr if (b >> (l - 1)) & 1 else Nr // 2
        out.append((l, (c - 1) * Nr, (c - 1) * Nr + n))
        l += 1
    return out


def top_level(L, Nr):
    """Highest level that any query of a length-L sequence uses."""
    nb = -(-L // Nr)
    return 0 if nb < 2 else (nb - 1).bit_length() - 1


def _check(q, bias, Nr):
    if Nr < 2 or Nr % 2:
        raise ValueError("Nr must be even and >= 2")
    if bias.shape != (q.shape[0], 2 * Nr):
        raise ValueError("bias must be (H, 2*Nr)")


# --------------------------------------------------------- (a) dense, O(L^2)

def _dense_maps(L, Nr):
    i = np.arange(L)
    lev = np.full((L, L), -1)
    for a in range(L):
        for c in range(a + 1):
            lev[a, c] = level_of(a, c, Nr)
    ls = np.maximum(lev, 0)
    rowI = i[:, None] >> ls
    rowJ = i[None, :] >> ls
    return lev, rowI, rowJ, rowI - rowJ


def dense_matrix(q, k, bias, Nr, scale=1.0, fine_query=False):
    """Row-stochastic A (H, L, L), log-sum-exp (H, L), and the maps used."""
    _check(q, bias, Nr)
    H, L, d = q.shape
    lev, rowI, rowJ, delta = _dense_maps(L, Nr)
    S = np.full((H, L, L), NEG)
    for l in range(lev.max() + 1):
        ai, aj = np.nonzero(lev == l)
        if ai.size == 0:
            continue
        n = (L >> l) << l                       # complete groups only
        kbar = k[:, :n].reshape(H, n >> l, 1 << l, d).mean(axis=2)
        qi = ai if fine_query else (ai >> l) << l
        s = np.einsum('hpd,hpd->hp', q[:, qi], kbar[:, aj >> l]) * scale
        S[:, ai, aj] = s + bias[:, delta[ai, aj]]
    m = S.max(axis=2, keepdims=True)
    E = np.exp(S - m)
    Z = E.sum(axis=2, keepdims=True)
    return E / Z, (m + np.log(Z))[..., 0], (lev, rowI, rowJ, delta)


def dense_forward(q, k, v, bias, Nr, scale=1.0, fine_query=False):
    A, lse, _ = dense_matrix(q, k, bias, Nr, scale, fine_query)
    return A @ v, lse


def dense_backward(q, k, v, bias, Nr, dO, scale=1.0, fine_query=False):
    """Gradients through the L x L matrix (plain softmax backward)."""
    H, L, d = q.shape
    A, _, (lev, rowI, rowJ, delta) = dense_matrix(q, k, bias, Nr, scale, fine_query)
    dv = A.transpose(0, 2, 1) @ dO
    dA = dO @ v.transpose(0, 2, 1)
    dS = A * (dA - (A * dA).sum(axis=2, keepdims=True))
    dq, dk, db = np.zeros_like(q), np.zeros_like(k), np.zeros_like(bias)
    for l in range(lev.max() + 1):
        ai, aj = np.nonzero(lev == l)
        if ai.size == 0:
            continue
        n = (L >> l) << l
        kbar = k[:, :n].reshape(H, n >> l, 1 << l, d).mean(axis=2)
        qi = ai if fine_query else (ai >> l) << l
        g = dS[:, ai, aj]
        for h in range(H):
            np.add.at(dq[h], qi, scale * g[h][:, None] * kbar[h, aj >> l])
            dkbar = np.zeros((n >> l, d))
            np.add.at(dkbar, aj >> l, scale * g[h][:, None] * q[h, qi])
            dk[h, :n] += np.repeat(dkbar, 1 << l, axis=0) / (1 << l)
            np.add.at(db[h], delta[ai, aj], g[h])
    return dq, dk, dv, db


# ------------------------------------------------- (b) blocked, O(L) forward

def _pad_rows(x, n, value=0.0):
    """Pad / cut axis 1 to n rows."""
    if x.shape[1] >= n:
        return x[:, :n]
    w = [(0, 0)] * x.ndim
    w[1] = (0, n - x.shape[1])
    return np.pad(x, w, constant_values=value)


def _pyramid(x, top):
    """Level-wise means of complete groups: list of (H, L>>l, d)."""
    out = [x]
    for _ in range(top):
        y = out[-1]
        n = y.shape[1] // 2
        out.append(0.5 * (y[:, 0:2 * n:2] + y[:, 1:2 * n:2]))
    return out


def _merge(a, b):
    """Combine two softmax partials (max, sum, weighted sum)."""
    m = np.maximum(a[0], b[0])
    ms = np.where(np.isfinite(m), m, 0.0)
    ea, eb = np.exp(a[0] - ms), np.exp(b[0] - ms)
    return m, a[1] * ea + b[1] * eb, a[2] * ea[..., None] + b[2] * eb[..., None]


def _partial(S, V):
    m = S.max(axis=-1)
    ms = np.where(np.isfinite(m), m, 0.0)
    P = np.exp(S - ms[..., None])
    return m, P.sum(axis=-1), P @ V


def _level0_scores(q, k, bias, Nr, scale):
    """(H, nb, Nr, 2Nr) scores against [previous block | own block]."""
    H, L, d = q.shape
    nb = -(-L // Nr)
    qb = _pad_rows(q, nb * Nr).reshape(H, nb, Nr, d)
    kb = _pad_rows(k, nb * Nr).reshape(H, nb, Nr, d)
    prev = np.concatenate([np.zeros_like(kb[:, :1]), kb[:, :-1]], axis=1)
    kk = np.concatenate([prev, kb], axis=2)
    r, m = np.arange(Nr)[:, None], np.arange(2 * Nr)[None, :]
    delta = r + Nr - m
    S = scale * (qb @ kk.transpose(0, 1, 3, 2))
    S = S + bias[:, np.maximum(delta, 0)][:, None]
    ok = np.broadcast_to(delta >= 0, (nb, Nr, 2 * Nr)).copy()
    ok[0, :, :Nr] = False
    return np.where(ok[None], S, NEG), qb, kk, delta


def _coarse_scores(qrows, kl, bias, Nr, scale, l, C, reps):
    """Scores of blocks 1..C at level l against their left blocks.

    qrows: (H, rows, d) query rows; `reps` query rows per level-l row
    (1 = coarse query, 2**l = fine query).  Returns (H, C, Nr*reps, Nr),
    log-multiplicity l*ln2 included.
    """
    H, _, d = qrows.shape
    qb = _pad_rows(qrows, (C + 1) * Nr * reps)[:, Nr * reps:]
    qb = qb.reshape(H, C, Nr * reps, d)
    kb = kl[:, :C * Nr].reshape(H, C, Nr, d)
    r, m = (np.arange(Nr * reps) // reps)[:, None], np.arange(Nr)[None, :]
    delta = r + Nr - m
    S = scale * (qb @ kb.transpose(0, 1, 3, 2)) + bias[:, delta][:, None] + l * LN2
    ok = (r >= Nr // 2) | (m < Nr // 2)
    return np.where(ok, S, NEG), qb, kb, delta


def blocked_forward(q, k, v, bias, Nr, scale=1.0, fine_query=False):
    """Returns out (H, L, d) and lse (H, L)."""
    _check(q, bias, Nr)
    H, L, d = q.shape
    nb, top = -(-L // Nr), top_level(L, Nr)
    K, V = _pyramid(k, top), _pyramid(v, top)

    acc = None                                  # partials of levels > l
    for l in range(top, 0, -1):
        C = (nb - 1) >> l                       # number of left blocks in use
        reps = (1 << l) if fine_query else 1
        rows = L if fine_query else ((L - 1) >> l) + 1
        qrows = q if fine_query else q[:, ::1 << l]
        S, _, _, _ = _coarse_scores(qrows, K[l], bias, Nr, scale, l, C, reps)
        vb = V[l][:, :C * Nr].reshape(H, C, Nr, v.shape[2])
        m, z, y = _partial(S, vb)
        skip = Nr * reps                        # rows of block 0 see nothing here
        m = _pad_rows(np.concatenate([np.full((H, skip), NEG), m.reshape(H, -1)], 1), rows, NEG)
        z = _pad_rows(np.concatenate([np.zeros((H, skip)), z.reshape(H, -1)], 1), rows)
        y = _pad_rows(np.concatenate([np.zeros((H, skip, y.shape[3])),
                                      y.reshape(H, -1, y.shape[3])], 1), rows)
        own = (m, z, y)
        if acc is not None:
            up = acc if fine_query else tuple(np.repeat(t, 2, axis=1)[:, :rows] for t in acc)
            own = _merge(own, up)
        acc = own

    S, _, _, _ = _level0_scores(q, k, bias, Nr, scale)
    vb = _pad_rows(v, nb * Nr).reshape(H, nb, Nr, v.shape[2])
    vv = np.concatenate([np.concatenate([np.zeros_like(vb[:, :1]), vb[:, :-1]], 1), vb], 2)
    m, z, y = _partial(S, vv)
    part = (m.reshape(H, -1)[:, :L], z.reshape(H, -1)[:, :L],
            y.reshape(H, nb * Nr, -1)[:, :L])
    if acc is not None:
        up = acc if fine_query else tuple(np.repeat(t, 2, axis=1)[:, :L] for t in acc)
        part = _merge(part, up)
    m, z, y = part
    return y / z[..., None], m + np.log(z)


# ------------------------------------------------ (b') blocked, O(L) backward

def blocked_backward(q, k, v, bias, Nr, out, lse, dO, scale=1.0, fine_query=False):
    """Gradients in the cost of the forward pass; needs only out and lse saved."""
    H, L, d = q.shape
    e = v.shape[2]
    nb, top = -(-L // Nr), top_level(L, Nr)
    K, V = _pyramid(k, top), _pyramid(v, top)
    D = (dO * out).sum(axis=2)
    dq, db = np.zeros_like(q), np.zeros_like(bias)
    dK = [np.zeros_like(x) for x in K]
    dV = [np.zeros_like(x) for x in V]

    def add_bias(dS, delta):
        t = dS.sum(axis=1)
        for h in range(H):
            np.add.at(db[h], delta, t[h])

    # level 0
    S, qb, kk, delta = _level0_scores(q, k, bias, Nr, scale)
    vb = _pad_rows(v, nb * Nr).reshape(H, nb, Nr, e)
    vv = np.concatenate([np.concatenate([np.zeros_like(vb[:, :1]), vb[:, :-1]], 1), vb], 2)
    lb = _pad_rows(lse, nb * Nr).reshape(H, nb, Nr)
    gb = _pad_rows(dO, nb * Nr).reshape(H, nb, Nr, e)
    Db = _pad_rows(D, nb * Nr).reshape(H, nb, Nr)
    P = np.exp(S - lb[..., None])
    dS = P * (gb @ vv.transpose(0, 1, 3, 2) - Db[..., None])
    dq += scale * (dS @ kk).reshape(H, nb * Nr, d)[:, :L]
    for dst, src in ((dK[0], scale * dS.transpose(0, 1, 3, 2) @ qb),
                     (dV[0], P.transpose(0, 1, 3, 2) @ gb)):
        w = src.shape[3]
        buf = src[:, :, Nr:].copy()             # own block
        buf[:, :-1] += src[:, 1:, :Nr]          # left block of the next one
        dst += buf.reshape(H, nb * Nr, w)[:, :L]
    add_bias(np.where(delta >= 0, dS, 0.0), np.maximum(delta, 0))

    # levels >= 1.  R = running minimum of lse over the group,
    # G = sum_i exp(R - lse_i) dO_i,  E = sum_i exp(R - lse_i) D_i.
    R, G, E = lse, dO, D
    for l in range(1, top + 1):
        C = (nb - 1) >> l
        reps = (1 << l) if fine_query else 1
        if not fine_query:
            n = R.shape[1] + (R.shape[1] & 1)
            Rp, Gp, Ep = _pad_rows(R, n, np.inf), _pad_rows(G, n), _pad_rows(E, n)
            R = np.minimum(Rp[:, 0::2], Rp[:, 1::2])
            wa, wb = np.exp(R - Rp[:, 0::2]), np.exp(R - Rp[:, 1::2])
            G = wa[..., None] * Gp[:, 0::2] + wb[..., None] * Gp[:, 1::2]
            E = wa * Ep[:, 0::2] + wb * Ep[:, 1::2]
        qrows = q if fine_query else q[:, ::1 << l]
        S, qb, kb, delta = _coarse_scores(qrows, K[l], bias, Nr, scale, l, C, reps)
        vb = V[l][:, :C * Nr].reshape(H, C, Nr, e)
        tot, skip = (C + 1) * Nr * reps, Nr * reps
        Rb = _pad_rows(R, tot)[:, skip:].reshape(H, C, skip)
        Gb = _pad_rows(G, tot)[:, skip:].reshape(H, C, skip, e)
        Eb = _pad_rows(E, tot)[:, skip:].reshape(H, C, skip)
        live = (np.arange(skip, tot) < R.shape[1]).reshape(1, C, skip, 1)
        P = np.exp(np.where(live, S - Rb[..., None], NEG))      # in [0, 1]
        dS = P * (Gb @ vb.transpose(0, 1, 3, 2) - Eb[..., None])
        dqr = np.zeros((H, tot, d))
        dqr[:, skip:] = scale * (dS @ kb).reshape(H, -1, d)
        if fine_query:
            dq += _pad_rows(dqr, L)
        else:
            dq[:, ::1 << l] += _pad_rows(dqr, qrows.shape[1])
        dK[l][:, :C * Nr] += scale * (dS.transpose(0, 1, 3, 2) @ qb).reshape(H, C * Nr, d)
        dV[l][:, :C * Nr] += (P.transpose(0, 1, 3, 2) @ Gb).reshape(H, C * Nr, e)
        add_bias(dS, delta)

    for t in (dK, dV):                          # adjoint of the mean pyramid
        for l in range(top, 0, -1):
            n = t[l].shape[1]
            t[l - 1][:, :2 * n] += 0.5 * np.repeat(t[l], 2, axis=1)
    return dq, dK[0], dV[0], db


# --------------------------------------------------- (c) incremental decoding

class Decoder:
    """One token at a time.  State: 2*Nr coarse K and V rows per level."""

    def __init__(self, H, d, bias, Nr, scale=1.0, fine_query=False, dv=None):
        self.H, self.d, self.dv = H, d, dv or d
        self.bias, self.Nr, self.scale, self.fine = bias, Nr, scale, fine_query
        self.t = 0
        self.K, self.V = [], []                 # per level (H, 2, Nr, .)
        self.acc = {}                           # level -> merged partial of levels >= it
        self.dots = 0                           # counts query.key products

    def _attend(self, q, l, rowI, lo, hi):
        """Partial of one query against key rows [lo, hi) of level l."""
        J = np.arange(lo, hi)
        slot, m = (J // self.Nr) & 1, J % self.Nr
        kk, vv = self.K[l][:, slot, m], self.V[l][:, slot, m]
        s = self.scale * np.einsum('hd,hmd->hm', q, kk)
        s = s + self.bias[:, rowI - J] + l * LN2
        self.dots += len(J)
        mx = s.max(axis=1)
        p = np.exp(s - mx[:, None])
        return mx, p.sum(axis=1), np.einsum('hm,hme->he', p, vv)

    def step(self, q, k, v):
        """q, k, v: (H, d).  Returns the output row (H, d)."""
        t, Nr = self.t, self.Nr
        l, J, kk, vv = 0, t, k, v
        while True:                             # binary-counter push
            if l == len(self.K):
                self.K.append(np.zeros((self.H, 2, Nr, self.d)))
                self.V.append(np.zeros((self.H, 2, Nr, self.dv)))
            s, m = (J // Nr) & 1, J % Nr
            self.K[l][:, s, m], self.V[l][:, s, m] = kk, vv
            if not J & 1:
                break
            kk = 0.5 * (self.K[l][:, s, m - 1] + kk)    # Nr even: same block
            vv = 0.5 * (self.V[l][:, s, m - 1] + vv)
            J >>= 1
            l += 1

        sets = attended_set(t, Nr)
        _, lo, hi = sets[0]
        part = self._attend(q, 0, t, lo, hi)
        up = None
        for l, lo, hi in reversed(sets[1:]):
            if self.fine or t % (1 << l) == 0:  # first token of its level-l group
                own = self._attend(q, l, t >> l, lo, hi)
                self.acc[l] = own if up is None else _merge(own, up)
            up = self.acc[l]
        if up is not None:
            part = _merge(part, up)
        self.t += 1
        return part[2] / part[1][:, None]


# ------------------------------------------------------------- cost formulas

def pair_counts(L, Nr):
    """Exact numbers of (query row, key row) score evaluations, masked excluded.

    With L = Nr * 2**M they equal L times
      coarse  2.25 Nr + 0.5 - (Nr / 2**M) (0.75 M + 1.75)
      fine    0.75 Nr M + 0.5 + 0.5 Nr / 2**M
    """
    dense = L * (L + 1) // 2
    lev0 = sum(i + 1 - max(0, i // Nr - 1) * Nr for i in range(L))
    coarse = fine = 0
    for i in range(L):
        for l, lo, hi in attended_set(i, Nr)[1:]:
            fine += hi - lo
            if i % (1 << l) == 0:
                coarse += hi - lo
    return dict(dense=dense, level0=lev0, coarse_query=lev0 + coarse, fine_query=lev0 + fine)


# ----------------------------------------------------------------- self-check

def random_case(H, L, d, Nr, seed=0, spread=1.0):
    g = np.random.default_rng(seed)
    q, k, v, dO = (g.standard_normal((H, L, d)) for _ in range(4))
    return q * spread, k, v, dO, 0.3 * g.standard_normal((H, 2 * Nr))


def _max(a, b):
    return float(np.max(np.abs(a - b))) if a.size else 0.0


def _self_check():
    worst = {}

    def note(name, x, tol):
        worst[name] = max(worst.get(name, 0.0), x)
        if not x <= tol:
            raise AssertionError(f"{name}: {x:.3e} > {tol:g}")

    # structure: attended sets partition [0, i] and agree with level_of
    for Nr in (2, 4, 6, 16):
        for i in list(range(0, 300)) + [1023, 1024, 4097]:
            seen = np.full(i + 1, -1)
            for l, lo, hi in attended_set(i, Nr):
                cells = seen[lo << l:hi << l]
                assert (cells == -1).all() and cells.size == (hi - lo) << l
                seen[lo << l:hi << l] = l
            assert (seen >= 0).all()
            if i < 200:
                assert all(seen[j] == level_of(i, j, Nr) for j in range(i + 1))

    shapes = [(1, 1, 3, 2), (2, 5, 3, 4), (2, 16, 4, 16), (1, 33, 4, 16), (2, 32, 4, 4),
              (2, 37, 3, 4), (1, 64, 5, 2), (1, 67, 4, 2), (2, 97, 4, 6), (1, 128, 8, 16),
              (1, 129, 4, 4), (1, 200, 4, 8)]
    for n, (H, L, d, Nr) in enumerate(shapes):
        for spread in (1.0, 12.0):
            q, k, v, dO, bias = random_case(H, L, d, Nr, n, spread)
            sc = 1.0 / np.sqrt(d)
            for fq in (False, True):
                tag = "fine" if fq else "coarse"
                A, lse, _ = dense_matrix(q, k, bias, Nr, sc, fq)
                note("row sums - 1", float(np.max(np.abs(A.sum(2) - 1))), 1e-12)
                note("mass above diagonal", float(np.max(np.triu(A, 1))), 0.0)
                o1 = A @ v
                o2, lse2 = blocked_forward(q, k, v, bias, Nr, sc, fq)
                dec = Decoder(H, d, bias, Nr, sc, fq)
                o3 = np.stack([dec.step(q[:, t], k[:, t], v[:, t]) for t in range(L)], 1)
                note(f"{tag}: blocked vs dense", _max(o1, o2), 1e-12)
                note(f"{tag}: lse blocked vs dense (rel)",
                     float(np.max(np.abs(lse - lse2) / (1 + np.abs(lse)))), 1e-12)
                note(f"{tag}: incremental vs dense", _max(o1, o3), 1e-12)
                ga = dense_backward(q, k, v, bias, Nr, dO, sc, fq)
                gb = blocked_backward(q, k, v, bias, Nr, o2, lse2, dO, sc, fq)
                for nm, x, y in zip(("dq", "dk", "dv", "dbias"), ga, gb):
                    note(f"{tag}: {nm} blocked vs dense", _max(x, y) / (1 + np.max(np.abs(x))), 1e-11)

    # finite differences (central, float64)
    g = np.random.default_rng(7)
    for (H, L, d, Nr) in ((1, 21, 3, 2), (2, 37, 3, 4)):
        for fq in (False, True):
            q, k, v, dO, bias = random_case(H, L, d, Nr, 11)
            sc, h = 0.5, 1e-5
            o, lse = blocked_forward(q, k, v, bias, Nr, sc, fq)
            grads = blocked_backward(q, k, v, bias, Nr, o, lse, dO, sc, fq)
            args = [q, k, v, bias]
            for p, gr in enumerate(grads):
                for _ in range(60):
                    ix = tuple(g.integers(0, s) for s in args[p].shape)
                    f = []
                    for sg in (1, -1):
                        a2 = [x.copy() for x in args]
                        a2[p][ix] += sg * h
                        f.append((blocked_forward(*a2, Nr, sc, fq)[0] * dO).sum())
                    note("finite difference", abs((f[0] - f[1]) / (2 * h) - gr[ix]), 1e-8)

    # strict causality and prefix consistency: bit-identical
    for fq in (False, True):
        q, k, v, _, bias = random_case(2, 150, 4, 8, 5)
        base = blocked_forward(q, k, v, bias, 8, 0.5, fq)[0]
        for t in (0, 1, 7, 8, 31, 64, 127, 149):
            q2, k2, v2 = q.copy(), k.copy(), v.copy()
            for x in (q2, k2, v2):
                x[:, t] += 100.0
            o = blocked_forward(q2, k2, v2, bias, 8, 0.5, fq)[0]
            note("future leak", _max(o[:, :t], base[:, :t]), 0.0)
            note("prefix consistency", _max(
                blocked_forward(q[:, :t + 1], k[:, :t + 1], v[:, :t + 1], bias, 8, 0.5, fq)[0],
                base[:, :t + 1]), 1e-13)

    # special cases: one block = plain causal softmax; constant keys = uniform average
    q, k, v, _, bias = random_case(2, 16, 4, 16, 3)
    S = 0.5 * q @ k.transpose(0, 2, 1)
    dl = np.arange(16)[:, None] - np.arange(16)[None]
    S = np.where(dl >= 0, S + bias[:, np.maximum(dl, 0)], NEG)
    P = np.exp(S - S.max(2, keepdims=True))
    note("single block = softmax attention",
         _max(P / P.sum(2, keepdims=True) @ v, blocked_forward(q, k, v, bias, 16, 0.5)[0]), 1e-13)
    q, k, v, _, bias = random_case(1, 300, 4, 4, 3)
    o = blocked_forward(q, 0 * k, v, 0 * bias, 4)[0]
    note("flat scores = running mean",
         _max(o, np.cumsum(v, 1) / np.arange(1, 301)[None, :, None]), 1e-13)

    # value width != key width; logits of +-1e4 stay finite and exact
    g = np.random.default_rng(8)
    for fq in (False, True):
        q, k = g.standard_normal((2, 75, 3)), g.standard_normal((2, 75, 3))
        v, dO = g.standard_normal((2, 75, 5)), g.standard_normal((2, 75, 5))
        bias = 0.3 * g.standard_normal((2, 8))
        for gain in (1.0, 3e3):
            A, lse, _ = dense_matrix(q * gain, k, bias, 4, 1.0, fq)
            o, lse2 = blocked_forward(q * gain, k, v, bias, 4, 1.0, fq)
            dec = Decoder(2, 3, bias, 4, 1.0, fq, dv=5)
            o3 = np.stack([dec.step(gain * q[:, t], k[:, t], v[:, t]) for t in range(75)], 1)
            tol = 1e-12 * gain          # logits carry relative rounding
            note(f"dv != dk, gain {gain:g}", max(_max(A @ v, o), _max(o, o3)), tol)
            ga = dense_backward(q * gain, k, v, bias, 4, dO, 1.0, fq)
            gb = blocked_backward(q * gain, k, v, bias, 4, o, lse2, dO, 1.0, fq)
            assert all(np.isfinite(x).all() for x in gb)
            note(f"dv != dk, gain {gain:g}: grads (rel)", max(
                _max(x, y) / (1 + np.max(np.abs(x))) for x, y in zip(ga, gb)), tol)

    # decode cost: score evaluations per token
    dec = Decoder(1, 4, np.zeros((1, 32)), 16)
    z = np.zeros((1, 4))
    n = 4096
    for _ in range(n):
        dec.step(z, z, z)
    pc = pair_counts(n, 16)
    assert dec.dots == pc["coarse_query"], (dec.dots, pc)
    for Nr in (4, 16):
        for M in (1, 2, 3, 6):
            L, c = Nr << M, pair_counts(Nr << M, Nr)
            assert c["coarse_query"] == L * (2.25 * Nr + 0.5) - Nr * Nr * (0.75 * M + 1.75)
            assert c["fine_query"] == L * (0.75 * Nr * M + 0.5) + 0.5 * Nr * Nr
    for nm, x in worst.items():
        print(f"{nm:42s} {x:.2e}")
    print(f"decode L={n} Nr=16: {dec.dots / n:.2f} query.key products per token, "
          f"{len(dec.K)} levels cached ({2 * 16 * len(dec.K)} K and V rows); counts {pc}")
    print("all checks passed")


if __name__ == "__main__":
    _self_check()
