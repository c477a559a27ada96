#!/usr/bin/env bash
set -euo pipefail
# jax 0.10.2: jax.random.categorical draws its Gumbel noise in the type of the logits, and in bfloat16 that noise
# has 128 different values, the largest 4.84. Of many words that share the largest sum the first wins: of 32,000
# equally probable words only the first thousand or so are ever drawn. Of a Zipf distribution the rare words,
# a tenth of the text together, never come. With mode="high" they come four times too often.
# One expects the noise not to depend on the type: rounding a logit to bfloat16 moves its probability by 1% or so, and
# torch.multinomial draws rightly from bfloat16. The manual speaks of probabilities below 1e-7, in float32.
# Samples of a model that runs in bfloat16 look plausible and too plain, and measures from samples (their entropy,
# a data set made of them, rewards) are of another distribution. logits.astype(float32) is the way out.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check jax==0.10.2 numpy==2.4.6

cd "$work"
JAX_PLATFORMS=cpu venv/bin/python - <<'PYTHON'
import sys
import jax
import jax.numpy as jnp
import numpy as np

print("jax", jax.__version__)
words, draws, rare = 32_000, 1_000, 10_000
key = jax.random.key(1)
zipf = -np.log(np.arange(1, words + 1))
weights = np.exp(zipf)
truth = weights[rare:].sum() / weights.sum()

def drawn(logits, dtype, mode):
    return np.asarray(jax.random.categorical(key, jnp.asarray(logits, dtype), shape=(draws,), mode=mode))

for dtype, mode in ((jnp.float32, None), (jnp.bfloat16, None), (jnp.bfloat16, "high")):
    name = f"{jnp.dtype(dtype)}{', mode high' if mode else ''}"
    equal = drawn(np.zeros(words), dtype, mode)
    share = np.mean(drawn(zipf, dtype, mode) >= rare)
    print(f"{name}: {draws} draws from {words} equal words give {len(set(equal.tolist()))} different ones, "
          f"the last is word {equal.max()}; Zipf: {share:.3f} of the draws are words after the {rare} commonest, "
          f"{truth:.3f} expected")
    right = equal.max() > 0.9 * words and abs(share - truth) < 0.04
    wrong = share > 2 * truth if mode else equal.max() < 0.1 * words and share < truth / 10
    if not (right if dtype == jnp.float32 else wrong):
        sys.exit(f"no longer so: {name}")
PYTHON
