#!/usr/bin/env bash
set -euo pipefail
# optax 0.2.8: the global norm of gradients in bfloat16 adds up the squares tensor by tensor in bfloat16, where
# 512 + 1 is 512. With tensors of about one size the sum stands still at some 512 times that of one: the norm of 1152
# tensors (96 layers of 12) is two thirds of the truth, and clip_by_global_norm(1) leaves a norm of 1.5.
# One expects as many good digits from many tensors as from one: each tensor's own sum is right, as it is made in
# float32. Up to a few hundred tensors all is well, so a test on a small model passes.
# Nothing is said. The deeper the model, the less it is clipped, its logged norm stops growing with it,
# and the same gradients in one array or in float32 are clipped otherwise.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check optax==0.2.8 jax==0.10.2 numpy==2.4.6

cd "$work"
JAX_PLATFORMS=cpu venv/bin/python - <<'PYTHON'
import sys
import jax
import jax.numpy as jnp
import numpy as np
import optax

print("optax", optax.__version__, "jax", jax.__version__)
random = np.random.default_rng(1)
whole = random.standard_normal((1152, 1024)).astype(jnp.bfloat16)

def norm(tensors):
    return float(np.sqrt(sum(np.sum(np.square(np.asarray(t, np.float64))) for t in tensors)))

clip = optax.clip_by_global_norm(1.0)
for count in (1, 288, 1152):  # the same 1.2 million numbers, as so many tensors
    for dtype in (jnp.float32, jnp.bfloat16):
        gradients = [jnp.asarray(part, dtype) for part in np.split(whole, count)]
        found = float(optax.tree.norm(gradients)) / norm(gradients)
        clipped = norm(clip.update(gradients, clip.init(gradients))[0])
        print(f"{count} tensors in {jnp.dtype(dtype)}: the norm is {found:.3f} of the truth, "
              f"clipped to 1 it is {clipped:.3f}")
        low, high = (0.6, 0.75) if dtype == jnp.bfloat16 and count == 1152 else (0.98, 1.02)
        if not low < found < high or abs(clipped * found - 1) > 0.02:
            sys.exit("no longer so")
PYTHON
