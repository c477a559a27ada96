"""Folders of models that scripts/peers/check-interop.sh has transformers write.

    folders.py make DIR TOKENIZER_MODEL [--family Llama|Qwen2|Qwen3] [--tied] [--type bfloat16|float16]
            [--grouped] [--head-dim WIDTH] [--biases] [--shards]
        a tiny model with random weights, written by transformers' save_pretrained, with --shards in
        several files; --grouped has half as many heads of keys, --biases is attention_bias of a Llama
    folders.py bytes FOLDER DIR TEXT
        such a folder with a byte-level tokenizer.json, trained on a text by the package tokenizers, in
        place of tokenizer.model
    folders.py vary FOLDER DIR KIND
        such a folder as others write it (KINDS below)
    folders.py resave CHECKPOINT DIR
        model and tokenizer through from_pretrained and save_pretrained
"""

import argparse
import json

from common import quiet

KINDS = (
    "tied-other-head", "tied-equal-head", "tied-head-only", "buffers", "padded", "rope-scaling",
    "several-ends", "swish",
)


def make(arguments):
    import os
    import shutil

    import sentencepiece
    import torch
    import transformers

    quiet()
    torch.manual_seed(1)
    pieces = sentencepiece.SentencePieceProcessor(model_file=arguments.tokenizer)
    family = arguments.family
    more = {"attention_bias": True} if arguments.biases else {}
    if arguments.head_dim:
        more["head_dim"] = arguments.head_dim
    config = getattr(transformers, family + "Config")(
        vocab_size=len(pieces), hidden_size=48, intermediate_size=100, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=2 if arguments.grouped else 4,
        max_position_embeddings=512, rms_norm_eps=3e-6, tie_word_embeddings=arguments.tied,
        # Larger weights make float32 chaotic: at 0.3 PyTorch's own is 5e-5 nats from float64.
        initializer_range=0.15, bos_token_id=pieces.bos_id(), eos_token_id=pieces.eos_id(),
        rope_parameters={"rope_type": "default", "rope_theta": 5000.0}, **more)
    model = getattr(transformers, family + "ForCausalLM")(config)
    with torch.no_grad():
        # Greedy text is to be readable: bytes and markers have a logit of 0, far from the best.
        for index in range(len(pieces)):
            if pieces.is_byte(index) or pieces.is_control(index) or pieces.is_unknown(index):
                model.get_output_embeddings().weight[index] = 0
        for name, weight in model.named_parameters():
            if name.endswith("norm.weight"):
                weight.uniform_(0.5, 1.5)
            elif name.endswith("bias"):
                weight.normal_(0, 0.3)
    if arguments.type:
        model = model.to(getattr(torch, arguments.type))
    size = {"max_shard_size": "40KB"} if arguments.shards else {}
    model.save_pretrained(arguments.directory, **size)
    shutil.copy(arguments.tokenizer, os.path.join(arguments.directory, "tokenizer.model"))


def vary(arguments):
    import os
    import shutil

    import torch
    from safetensors.torch import load_file, save_file

    os.makedirs(arguments.directory)
    shutil.copy(arguments.folder + "/tokenizer.model", arguments.directory)
    config = json.load(open(arguments.folder + "/config.json"))
    weights = load_file(arguments.folder + "/model.safetensors")
    table, head = "model.embed_tokens.weight", "lm_head.weight"
    torch.manual_seed(2)
    kind = arguments.kind
    if kind.startswith("tied"):
        config["tie_word_embeddings"] = True
    if kind == "tied-equal-head":
        weights[head] = weights[table].clone()
    elif kind == "tied-head-only":
        weights[head] = weights.pop(table)
    elif kind == "buffers":
        for layer in range(config["num_hidden_layers"]):
            weights[f"model.layers.{layer}.self_attn.rotary_emb.inv_freq"] = torch.rand(6)
    elif kind == "padded":
        config["vocab_size"] += 24
        for name in (table, head):
            # As large as the others are, and the same every time.
            draw = torch.Generator().manual_seed(24)
            spare = torch.randn(24, weights[name].shape[1], generator=draw) * weights[name].std()
            weights[name] = torch.cat([weights[name], spare])
    elif kind == "rope-scaling":
        del config["rope_parameters"]
        config["rope_theta"] = 10_000
        config["rope_scaling"] = {"type": "default", "rope_theta": 700.0}
    elif kind == "several-ends":
        config["eos_token_id"] = [500, config["eos_token_id"], 600]
    elif kind == "swish":
        config["hidden_act"] = "swish"
    json.dump(config, open(arguments.directory + "/config.json", "w"))
    save_file(weights, arguments.directory + "/model.safetensors", metadata={"format": "pt"})


def byte_level(arguments):
    import os
    import shutil

    import tokenizers

    shutil.copytree(arguments.folder, arguments.directory)
    os.remove(arguments.directory + "/tokenizer.model")
    tokenizer = tokenizers.ByteLevelBPETokenizer()
    tokenizer.train(arguments.text, vocab_size=500, show_progress=False)
    tokenizer.save(arguments.directory + "/tokenizer.json")


def resave(arguments):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    quiet()
    for kind in AutoModelForCausalLM, AutoTokenizer:
        opened = kind.from_pretrained(arguments.checkpoint, trust_remote_code=True)
        opened.save_pretrained(arguments.directory)


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("make")
    command.set_defaults(run=make)
    command.add_argument("directory")
    command.add_argument("tokenizer")
    command.add_argument("--tied", action="store_true")
    command.add_argument("--family", default="Llama", choices=["Llama", "Qwen2", "Qwen3"])
    command.add_argument("--grouped", action="store_true")
    command.add_argument("--head-dim", type=int)
    command.add_argument("--biases", action="store_true")
    command.add_argument("--type")
    command.add_argument("--shards", action="store_true")
    command = commands.add_parser("vary")
    command.set_defaults(run=vary)
    command.add_argument("folder")
    command.add_argument("directory")
    command.add_argument("kind", choices=KINDS)
    command = commands.add_parser("bytes")
    command.set_defaults(run=byte_level)
    command.add_argument("folder")
    command.add_argument("directory")
    command.add_argument("text")
    command = commands.add_parser("resave")
    command.set_defaults(run=resave)
    command.add_argument("checkpoint")
    command.add_argument("directory")
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
