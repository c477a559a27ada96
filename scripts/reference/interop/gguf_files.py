"""Checks of scripts/peers/check-interop.sh for files of `lm-eval export gguf`.

    gguf_files.py fields CHECKPOINT FILE
        every field and tensor, as the package gguf reads them, against config.json, the sentencepiece
        model and the weights
    gguf_files.py scores CHECKPOINT FILE SCORES
        log-probabilities and ids of llama.cpp against `lm-eval score --per-token`, for the first sentences
"""
import argparse
import json
import os
import urllib.request

from common import TOKEN_BAR, check
from attentions import label, stored_ids

SENTENCES = 10

NAMES = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def theirs(name):
    """What llama.cpp calls a tensor."""
    plain = {
        "model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
        "lm_head.weight": "output.weight",
    }
    if name in plain:
        return plain[name]
    _, _, layer, *parts, last = name.split(".")
    return f"blk.{layer}.{NAMES['.'.join(parts)]}.{last}"


def architecture(config):
    """A Qwen2 whose heads are not as wide as the model is a llama with biases there."""
    is_wide = config["head_dim"] * config["num_attention_heads"] != config["hidden_size"]
    return "llama" if config["model_type"] == "qwen2" and is_wide else config["model_type"]


def expected_fields(config, pieces):
    kind = architecture(config)
    width = config["head_dim"]
    types = [
        2 if pieces.is_unknown(i) else 3 if pieces.is_control(i) else 6 if pieces.is_byte(i) else 1
        for i in range(len(pieces))
    ]
    # The package has no name for the type of a model; byte-pair scores are 0, -1, -2 ...
    texts = [pieces.get_score(i) for i in range(len(pieces)) if types[i] == 1]
    is_merges = all(score == -index for index, score in enumerate(texts))
    return {
        "general.architecture": kind, "general.type": "model", "general.file_type": 0,
        f"{kind}.vocab_size": config["vocab_size"], f"{kind}.block_count": config["num_hidden_layers"],
        f"{kind}.context_length": config["max_position_embeddings"],
        f"{kind}.embedding_length": config["hidden_size"],
        f"{kind}.feed_forward_length": config["intermediate_size"],
        f"{kind}.attention.head_count": config["num_attention_heads"],
        f"{kind}.attention.head_count_kv": config["num_key_value_heads"],
        f"{kind}.attention.key_length": width, f"{kind}.attention.value_length": width,
        f"{kind}.attention.layer_norm_rms_epsilon": config["rms_norm_eps"],
        f"{kind}.rope.dimension_count": width, f"{kind}.rope.freq_base": config["rope_theta"],
        "tokenizer.ggml.model": "llama" if is_merges else "t5", "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": [pieces.id_to_piece(i) for i in range(len(pieces))],
        "tokenizer.ggml.scores": [pieces.get_score(i) for i in range(len(pieces))],
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.bos_token_id": pieces.bos_id(), "tokenizer.ggml.eos_token_id": pieces.eos_id(),
        "tokenizer.ggml.unknown_token_id": pieces.unk_id(), "tokenizer.ggml.add_bos_token": True,
        "tokenizer.ggml.add_eos_token": False, "tokenizer.ggml.add_space_prefix": True,
        "tokenizer.ggml.remove_extra_whitespaces": False,
    }


def fields(arguments):
    import gguf
    import numpy
    import sentencepiece
    from safetensors.numpy import load_file

    reader = gguf.GGUFReader(arguments.file)
    config = json.load(open(arguments.checkpoint + "/config.json"))
    pieces = sentencepiece.SentencePieceProcessor(
        model_file=arguments.checkpoint + "/tokenizer.model")
    found = {
        name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")
    }
    check(found.pop("general.name"), "general.name is empty")
    expected = expected_fields(config, pieces)
    check(found.keys() == expected.keys(), f"fields {sorted(found.keys() ^ expected.keys())}")
    for name, value in expected.items():
        same = numpy.allclose(found[name], value, rtol=1e-7) if isinstance(value, float) else \
            found[name] == value
        check(same, f"{name} is {found[name]}, expected {value}")
    weights = load_file(arguments.checkpoint + "/model.safetensors")
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    check(tensors.keys() == {theirs(name) for name in weights}, f"tensors {sorted(tensors)}")
    for name, weight in weights.items():
        if architecture(config) == "llama" and ("q_proj" in name or "k_proj" in name):
            # As convert_hf_to_gguf.py of llama.cpp has it.
            parts = weight.reshape(-1, 2, config["head_dim"] // 2, *weight.shape[1:])
            weight = parts.swapaxes(1, 2).reshape(weight.shape)
        data = tensors[theirs(name)].data
        check(data.dtype == numpy.float32 and data.shape == weight.shape, f"{name} is {data.shape}")
        check(numpy.array_equal(data, weight), f"{name} has other numbers")
    print(f"interop: {label(arguments.checkpoint)}: gguf "
          f"reads {len(expected) + 1} fields and {len(weights)} tensors as they should be")


def scores(arguments):
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = arguments.file
    parameters.n_ctx, parameters.n_parallel = 2048, 1
    parameters.warmup, parameters.verbosity = False, 0
    # It keeps keys and values in float16 unless told otherwise.
    parameters.cache_type_k = parameters.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    parameters.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    server = xllamacpp.Server(parameters)

    def tokenized(text):
        body = {"content": text, "add_special": True, "parse_special": False}
        request = urllib.request.Request(
            server.listening_address + "/tokenize", json.dumps(body).encode(),
            {"Content-Type": "application/json"})
        return json.load(urllib.request.urlopen(request))["tokens"]

    config = json.load(open(arguments.checkpoint + "/config.json"))
    worst = count = differ = 0
    sentences = [
        row for row in stored_ids(arguments.checkpoint, arguments.scores) if 5 < len(row[1]) < 40
    ][:SENTENCES]
    for text, ids, ours in sentences:
        differ += tokenized(text) != ids[:-1]
        for place in range(1, len(ids)):
            answer = server.handle_completions({
                "prompt": ids[:place], "n_predict": 1, "n_probs": config["vocab_size"],
                "temperature": 1.0, "cache_prompt": True,
            })
            first = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
            logs = {entry["id"]: entry["logprob"] for entry in first}
            worst = max(worst, abs(logs[ids[place]] - ours[place - 1]))
            count += 1
    check(worst <= TOKEN_BAR, f"log-probabilities of llama.cpp differ by {worst}")
    check(differ <= len(sentences) // 10, f"llama.cpp spells {differ} of {len(sentences)} otherwise")
    print(f"interop: {label(arguments.checkpoint)}: llama.cpp: {len(sentences)} sentences, {count} "
          f"log-probabilities within {worst:.1e} nats, other ids in {differ}")
    # Its threads do not end by themselves.
    os._exit(0)


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)
    for run, names in (fields, []), (scores, ["scores"]):
        command = commands.add_parser(run.__name__)
        command.set_defaults(run=run)
        for name in ["checkpoint", "file"] + names:
            command.add_argument(name)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
