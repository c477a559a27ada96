#!/usr/bin/env bash
set -euo pipefail
# transformers 5.24.0 writes a Llama configuration's rotary base into "rope_parameters" and no longer
# into "rope_theta"; transformers 4.57.6 reads such a folder with its default base of 10000 and says nothing.
# One expects the base to survive (500000 in Llama 3), or an error about a configuration of a later release.
# A model that goes once through save_pretrained of version 5 is then run and scored with wrong
# positions by every program that still has version 4: it gets worse, the more the longer the text.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for version in 5.24.0 4.57.6; do
  python3 -m venv "$work/$version"
  "$work/$version/bin/pip" install -q --no-compile --disable-pip-version-check "transformers==$version"
done
export HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=warning

cd "$work"
mkdir original
cat >original/config.json <<'JSON'
{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 1000, "hidden_size": 64,
 "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "rope_theta": 500000.0}
JSON
cat >theta.py <<'PYTHON'
import sys
import transformers
from transformers import AutoConfig

config = AutoConfig.from_pretrained(sys.argv[1])
if len(sys.argv) > 2:
    config.save_pretrained(sys.argv[2])
# What the model of either version takes as its base.
five = transformers.__version__.startswith("5.")
print(config.rope_parameters["rope_theta"] if five else config.rope_theta)
PYTHON
four=$(4.57.6/bin/python theta.py original 2>log-4) || { cat log-4 >&2; exit 1; }
five=$(5.24.0/bin/python theta.py original saved-by-5 2>log-5) || { cat log-5 >&2; exit 1; }
back=$(4.57.6/bin/python theta.py saved-by-5 2>log-back) || { cat log-back >&2; exit 1; }
echo "the folder's base: $four in 4.57.6, $five in 5.24.0; saved by 5.24.0 and read by 4.57.6: $back"
grep -i rope saved-by-5/config.json
echo "said while reading it: $(grep -ci rope log-back || true) lines about rope"
if [[ $four != 500000.0 || $five != 500000.0 || $back != 10000.0 ]] || grep -qi rope log-back; then
  echo "no longer so: the rotary base survives or is complained about" >&2
  exit 1
fi
