#!/usr/bin/env bash
set -euo pipefail
# A Llama folder with a tokenizer.model, no tokenizer.json and nothing about "add_bos_token": AutoTokenizer of
# transformers 4.57.6 puts the marker <s> before every text, that of transformers 5.24.0 does not, with
# "tokenizer_class" named or not. "add_bos_token": true in tokenizer_config.json brings it back.
# One expects the same folder to give the same input, or a word about it: the pieces are the same.
# A Llama model was trained with the marker. Without it the first token of a text is neither scored
# rightly nor seen as a beginning, so perplexities of short sentences change with an upgrade of the library.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for version in 4.57.6 5.24.0; do
  python3 -m venv "$work/$version"
  "$work/$version/bin/pip" install -q --no-compile --disable-pip-version-check \
    "transformers==$version" sentencepiece==0.2.3 protobuf==7.36.1
done
export HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=warning

cd "$work"
mkdir folder
echo '{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}' >folder/config.json
5.24.0/bin/python - <<'PYTHON'
from pydoc_data.topics import topics
import sentencepiece

# As Llama's: byte pairs, bytes for unknown letters, <s> has id 1.
sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter(topics["exprlists"].splitlines() + topics["lambda"].splitlines()),
    model_prefix="folder/tokenizer", vocab_size=330, model_type="bpe", byte_fallback=True, minloglevel=2)
PYTHON
cat >ids.py <<'PYTHON'
import transformers

tokenizer = transformers.AutoTokenizer.from_pretrained("folder")
print(*tokenizer.convert_ids_to_tokens(tokenizer("in the language")["input_ids"]))
PYTHON
tokens() { # tokens VERSION: what the release makes of a text, in `found`; what it says about it, in `said`
  found=$("$1/bin/python" ids.py 2>log) || { cat log >&2; exit 1; }
  said=$(grep -ciE 'bos|<s>' log || true)
  echo "  transformers $1: $found ($said lines said about the marker)"
}
for config in '{}' '{"tokenizer_class": "LlamaTokenizer"}' '{"add_bos_token": true}'; do
  echo "$config" >folder/tokenizer_config.json
  echo "tokenizer_config.json: $config"
  tokens 4.57.6
  four=$found
  tokens 5.24.0
  expected="<s> $found"
  if [[ $config == *bos* ]]; then expected=$found; fi
  if [[ $four != "<s> "* || $four != "$expected" || $said != 0 ]]; then
    echo "no longer so: both versions begin a text alike, or cut it differently" >&2
    exit 1
  fi
done
