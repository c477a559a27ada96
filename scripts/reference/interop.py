"""The checks of scripts/check-interop.sh that need Python packages.

    interop.py make DIR TOKENIZER_MODEL [--tied] [--type bfloat16|float16] [--grouped]
        a tiny Llama with random weights, written by transformers' save_pretrained
    interop.py scores CHECKPOINT SCORES [--tokenizer]
        log-probabilities of `lm-eval --score --per-piece` against AutoModelForCausalLM; with
        --tokenizer also the ids of AutoTokenizer against those of the sentencepiece package
    interop.py greedy CHECKPOINT PROMPT TEXT PIECES
        the text of `lm-sample --temperature 0 --max-pieces PIECES` against generate()
    interop.py snippet MARKDOWN
        runs the Python blocks of a document that mention numpy, in the current folder
"""

import argparse
import json
import re
import sys

PIECE_BAR = 1e-4  # nats, absolute


def read_scores(path):
    """[(text, [log-probability of every piece and </s>])]."""
    rows = []
    for line in open(path, encoding="utf-8", newline="\n").read().rstrip("\n").split("\n")[1:]:
        *_, text, pieces = line.split("\t")
        escapes = {"t": "\t", "r": "\r", "n": "\n", "\\": "\\"}
        text = re.sub(r"\\(.)", lambda match: escapes[match[1]], text)
        rows.append((text, [float(item.rsplit(":", 1)[1]) for item in pieces.split(" ")]))
    return rows


def quiet():
    from transformers.utils import logging

    logging.disable_progress_bar()


def make(arguments):
    import os
    import shutil

    import sentencepiece
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    quiet()
    torch.manual_seed(1)
    pieces = sentencepiece.SentencePieceProcessor(model_file=arguments.tokenizer)
    config = LlamaConfig(
        vocab_size=len(pieces), hidden_size=48, intermediate_size=100, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=2 if arguments.grouped else 4,
        max_position_embeddings=512, rms_norm_eps=3e-6, tie_word_embeddings=arguments.tied,
        initializer_range=0.3, bos_token_id=pieces.bos_id(), eos_token_id=pieces.eos_id(),
        rope_parameters={"rope_type": "default", "rope_theta": 5000.0})
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        # Greedy text is to be readable: bytes and markers have a logit of 0, far from the best.
        for index in range(len(pieces)):
            if pieces.is_byte(index) or pieces.is_control(index) or pieces.is_unknown(index):
                model.get_output_embeddings().weight[index] = 0
        for name, weight in model.named_parameters():
            if name.endswith("norm.weight"):
                weight.uniform_(0.5, 1.5)
    if arguments.type:
        model = model.to(getattr(torch, arguments.type))
    model.save_pretrained(arguments.directory)
    shutil.copy(arguments.tokenizer, os.path.join(arguments.directory, "tokenizer.model"))


def open_model(path):
    import torch
    from transformers import AutoModelForCausalLM

    quiet()
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()


def check(condition, problem):
    if not condition:
        sys.exit("interop: FAILED: " + problem)


def scores(arguments):
    import sentencepiece
    import torch
    from safetensors.numpy import load_file
    from transformers import AutoTokenizer

    path = arguments.checkpoint
    model = open_model(path)
    pieces = sentencepiece.SentencePieceProcessor(model_file=path + "/tokenizer.model")
    rows = read_scores(arguments.scores)
    tokenizer = AutoTokenizer.from_pretrained(path) if arguments.tokenizer else None
    worst, worst_sum, count = 0.0, 0.0, 0
    with torch.no_grad():
        for text, ours in rows:
            ids = [pieces.bos_id()] + pieces.encode(text) + [pieces.eos_id()]
            if tokenizer:
                check(tokenizer(text)["input_ids"] == ids[:-1], f"AutoTokenizer spells {text!r} "
                      f"{tokenizer(text)['input_ids']}, sentencepiece {ids[:-1]}")
                check(tokenizer.decode(ids, skip_special_tokens=True) == text,
                      f"AutoTokenizer decodes {text!r} otherwise")
            check(len(ours) == len(ids) - 1, f"{len(ours)} scores of {len(ids) - 1} pieces")
            logits = model(torch.tensor([ids[:-1]])).logits[0].double()
            theirs = torch.log_softmax(logits, -1)[range(len(ids) - 1), ids[1:]]
            difference = (theirs - torch.tensor(ours)).abs()
            worst = max(worst, difference.max().item())
            worst_sum = max(worst_sum, abs(theirs.sum().item() - sum(ours)) / abs(sum(ours)))
            count += len(ours)
    weights = load_file(path + "/model.safetensors") if not arguments.narrow else {}
    config = json.load(open(path + "/config.json"))
    if weights:
        total = sum(weight.size for weight in weights.values())
        check(total == model.num_parameters(), f"safetensors holds {total} weights")
    check(worst <= PIECE_BAR, f"log-probabilities differ by {worst}")
    check(bool(count) and any(abs(value) > 1 for _, row in rows for value in row), "nothing scored")
    print(f"interop: {path.split('/')[-2 if 'step-' in path else -1]}: {len(rows)} sentences, "
          f"{count} log-probabilities within {worst:.1e} nats, sums within {worst_sum:.1e}"
          f"{', the same ids' if tokenizer else ''}; head "
          f"{'tied' if config['tie_word_embeddings'] else 'untied'}")


def greedy(arguments):
    import sentencepiece
    import torch
    from transformers import AutoTokenizer

    path = arguments.checkpoint
    model = open_model(path)
    pieces = sentencepiece.SentencePieceProcessor(model_file=path + "/tokenizer.model")
    ours = open(arguments.text, encoding="utf-8", newline="\n").read().removesuffix("\n")
    ids = [pieces.bos_id()] + pieces.encode(arguments.prompt)
    # lm-sample never draws what would break the line.
    never = [pieces.unk_id(), pieces.bos_id(), pieces.piece_to_id("<0x0A>")]
    with torch.no_grad():
        found = model.generate(
            torch.tensor([ids]), do_sample=False, max_new_tokens=arguments.pieces,
            suppress_tokens=never, pad_token_id=pieces.eos_id())[0].tolist()
    text = [index for index in found if index not in (pieces.bos_id(), pieces.eos_id())]
    theirs = pieces.decode(text)
    try:
        theirs = AutoTokenizer.from_pretrained(path).decode(found, skip_special_tokens=True)
    except (ValueError, OSError):
        pass  # a folder without the files of a fast tokenizer
    check(ours == theirs, f"greedy text\n  {ours!r}\nexpected\n  {theirs!r}")
    check(len(text) > len(ids), "nothing was sampled")
    print(f"interop: {path.split('/')[-2 if 'step-' in path else -1]}: the same greedy text of "
          f"{len(found)} pieces: {ours[:60]!r}")


def snippet(arguments):
    text = open(arguments.markdown, encoding="utf-8").read()
    blocks = [b for b in re.findall(r"```python\n(.*?)```", text, re.S) if "numpy" in b]
    check(bool(blocks), f"{arguments.markdown} has no Python that reads shards")
    for block in blocks:
        print(f"interop: {len(block.strip().splitlines())} lines of {arguments.markdown} read the "
              "shards:")
        exec(compile(block, arguments.markdown, "exec"), {})


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("make")
    command.set_defaults(run=make)
    command.add_argument("directory")
    command.add_argument("tokenizer")
    command.add_argument("--tied", action="store_true")
    command.add_argument("--grouped", action="store_true")
    command.add_argument("--type")
    command = commands.add_parser("scores")
    command.set_defaults(run=scores)
    command.add_argument("checkpoint")
    command.add_argument("scores")
    command.add_argument("--tokenizer", action="store_true")
    command.add_argument("--narrow", action="store_true", help="weights numpy has no type for")
    command = commands.add_parser("greedy")
    command.set_defaults(run=greedy)
    command.add_argument("checkpoint")
    command.add_argument("prompt")
    command.add_argument("text")
    command.add_argument("pieces", type=int)
    command = commands.add_parser("snippet")
    command.set_defaults(run=snippet)
    command.add_argument("markdown")
    arguments = parser.parse_args()
    arguments.run(arguments)


main()
