"""The checks of scripts/peers/check-interop.sh that need Python packages.

    interop.py make DIR TOKENIZER_MODEL [--family Llama|Qwen2|Qwen3] [--tied] [--type bfloat16|float16]
            [--grouped] [--head-dim WIDTH] [--biases] [--shards]
        a tiny model with random weights, written by transformers' save_pretrained, with --shards in
        several files; --grouped has half as many heads of keys, --biases is attention_bias of a Llama
    interop.py bytes FOLDER DIR TEXT
        such a folder with a byte-level tokenizer.json, trained on a text by the package tokenizers, in
        place of tokenizer.model
    interop.py same-class FOLDER CHECKPOINT
        that both are opened as one class of transformers
    interop.py scores CHECKPOINT SCORES [--tokenizer]
        log-probabilities of `lm-eval score --per-token` against AutoModelForCausalLM; with
        --tokenizer also the ids of AutoTokenizer against those of the sentencepiece package
    interop.py vary FOLDER DIR KIND
        such a folder as others write it (KINDS below)
    interop.py resave CHECKPOINT DIR
        model and tokenizer through from_pretrained and save_pretrained
    interop.py ids CHECKPOINT TEXT [--data DATA]
        ids of AutoTokenizer against those of the sentencepiece package for every line of a file, and for
        lines that break tokenizers; with --data also against those of the test split, made from that
        file. Lines may differ only where two segmentations are equally probable; they are counted
    interop.py refused CHECKPOINT
        that AutoTokenizer does not open the folder
    interop.py greedy CHECKPOINT PROMPT TEXT TOKENS [--seed SEED]
        the text of `lm-sample --temperature 0 --max-tokens TOKENS` against generate()
    interop.py snippet MARKDOWN
        runs the Python blocks of a document that mention numpy, in the current folder
"""

import argparse
import json
import re
import sys

TOKEN_BAR = 1e-4  # nats, absolute


def read_scores(path):
    """[(text, [log-probability of every token and </s>], the column they stand in)]."""
    rows = []
    for line in open(path, encoding="utf-8", newline="\n").read().rstrip("\n").split("\n")[1:]:
        *_, text, tokens = line.split("\t")
        escapes = {"t": "\t", "r": "\r", "n": "\n", "\\": "\\"}
        text = re.sub(r"\\(.)", lambda match: escapes[match[1]], text)
        rows.append((text, [float(item.rsplit(":", 1)[1]) for item in tokens.split(" ")], tokens))
    return rows


def quiet():
    from transformers.utils import logging

    logging.disable_progress_bar()


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
        initializer_range=0.3, bos_token_id=pieces.bos_id(), eos_token_id=pieces.eos_id(),
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


KINDS = (
    "tied-other-head", "tied-equal-head", "tied-head-only", "buffers", "padded", "rope-scaling",
    "several-ends", "swish",
)


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


def same_class(arguments):
    found = [type(open_model(path)).__name__ for path in (arguments.folder, arguments.checkpoint)]
    check(found[0] == found[1], f"{arguments.folder} is a {found[0]}, the run from it a {found[1]}")
    print(f"interop: {arguments.folder.split('/')[-1]}: trained on, it is a {found[1]} still")


def resave(arguments):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    quiet()
    for kind in AutoModelForCausalLM, AutoTokenizer:
        opened = kind.from_pretrained(arguments.checkpoint, trust_remote_code=True)
        opened.save_pretrained(arguments.directory)


AWKWARD = """
| a|a | a |  a  b  |a   b|\t|a\tb|\ta|\r|a\r|\0|a\0b|\x01\x02\x7f|</s>|<s>|<unk>|<0xE2>|a </s> b|x<s>y|<<s>>|<pad>|a <pad>b
<UNK>| <UNK>|  <UNK>|a <UNK> b|a<UNK>|<UNK>,|(<UNK>)|, <UNK>.|<UNK>s|<UNK> <UNK>|<UNK><UNK>| <UNK> |<UN|UNK>|<unk> <UNK>
\u2581|\u2581\u2581|a \u2581 b|a\u2581b|\u2581a|a\u2581|\u2585|\u2047| \u2047 |\u65e5\u672c\u8a9e|e\u0301galite\u0301|\U0001F469\u200D\U0001F467 family
\U0001F600|\ufeffmark|\u00a0no break\u00a0|\u3000wide|\ufffd|\uffff|\U0010FFFD|\ufb01 \u00bd|000|0000|00000 000|10,000,000|----------|aaa|''=''
"""


def awkward_lines():
    lines = AWKWARD.encode().decode("unicode_escape").strip("\n").split("\n")
    return [""] + [text for line in lines for text in line.split("|")]


def probability(pieces, ids):
    """Sum of scores; a character spelled by bytes counts once, as what is unknown."""
    total, floor = 0.0, min(
        pieces.get_score(i) for i in range(len(pieces))
        if not (pieces.is_byte(i) or pieces.is_control(i) or pieces.is_unknown(i))
    ) - 10
    for index in ids:
        if not pieces.is_byte(index):
            total += pieces.get_score(index)
        elif int(pieces.id_to_piece(index)[3:5], 16) & 0xC0 != 0x80:
            total += floor
    return total


def read_shards(data, count):
    import subprocess

    import numpy

    manifest = json.load(open(data + "/manifest.json"))
    width = "<u2" if manifest["tokenizer"]["vocabularySize"] <= 65535 else "<u4"
    sentences = []
    for shard in manifest["splits"]["test"]:
        raw = subprocess.run(["zstd", "-dc", data + "/" + shard["file"]], stdout=-1, check=True).stdout
        ids = numpy.frombuffer(raw, width)
        ends = numpy.flatnonzero(ids == manifest["special"]["eos"])
        sentences += [part.tolist()[:-1] for part in numpy.split(ids, ends + 1)[:-1]]
    check(len(sentences) == count, f"{data} has {len(sentences)} sentences, the text {count} lines")
    return sentences


def ids(arguments):
    import sentencepiece
    import tokenizers
    from transformers import AutoTokenizer

    path = arguments.checkpoint
    pieces = sentencepiece.SentencePieceProcessor(model_file=path + "/tokenizer.model")
    theirs = AutoTokenizer.from_pretrained(path)
    bare = tokenizers.Tokenizer.from_file(path + "/tokenizer.json")
    bare.encode_special_tokens = True
    lines = open(arguments.text, encoding="utf-8", newline="\n").read().removesuffix("\n").split("\n")
    shards = read_shards(arguments.data, len(lines)) if arguments.data else [None] * len(lines)
    differ = {"sentencepiece": 0, "tokenizer.json": 0, "the two": 0}
    extra = awkward_lines()
    texts = list(zip(lines, shards)) + [(line, None) for line in extra]
    for text, ours in texts:
        package, json_ids = pieces.encode(text), theirs(text)["input_ids"]
        check(json_ids[:1] == [pieces.bos_id()], f"{text!r} does not begin with <s>")
        check(bare.encode(text).ids == json_ids, f"{text!r}: tokenizers and transformers differ")
        check("\u2581" in text or theirs.decode(json_ids[1:]) == text, f"{text!r} is not decoded")
        for name, pair in {
            "sentencepiece": (ours, package), "tokenizer.json": (ours, json_ids[1:]),
            "the two": (package, json_ids[1:]),
        }.items():
            if None in pair or pair[0] == pair[1] or (name != "the two" and "\u2581" in text):
                continue
            differ[name] += 1
            values = [probability(pieces, answer) for answer in pair]
            check(abs(values[0] - values[1]) < 1e-3,
                  f"{text!r}: {pair[0]} and {pair[1]} of {name}, scores {values}")
            if differ[name] <= 3:
                print(f"interop: {text[:60]!r}: equally probable, {name} differ")
    print(f"interop: {path.split('/')[-2]}: {len(lines)} lines and {len(extra)} awkward ones: "
          f"sentencepiece {sentencepiece.__version__} and tokenizer.json in tokenizers "
          f"{tokenizers.__version__} differ on {differ['the two']}"
          + (f"; from the shards {differ['sentencepiece']} and {differ['tokenizer.json']}"
             if arguments.data else ""))


def refused(arguments):
    from transformers import AutoTokenizer

    try:
        AutoTokenizer.from_pretrained(arguments.checkpoint)
    except Exception as error:
        check("tokenizer.model" in str(error), f"the reason is {error}")
        print(f"interop: AutoTokenizer refuses: {error}")
    else:
        sys.exit("interop: FAILED: AutoTokenizer opens what has other ids there")


def open_model(path, **options):
    import torch
    from transformers import AutoModelForCausalLM

    quiet()
    model = AutoModelForCausalLM.from_pretrained(
        path, dtype=torch.float32, trust_remote_code=True, **options)
    return model.eval()


def open_tokenizer(path):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(path, trust_remote_code=True)


def check(condition, problem):
    if not condition:
        sys.exit("interop: FAILED: " + problem)


def scores(arguments):
    import sentencepiece
    import torch
    from safetensors.numpy import load_file

    from score import Tokenizer

    path = arguments.checkpoint
    model = open_model(path)
    pieces = sentencepiece.SentencePieceProcessor(model_file=path + "/tokenizer.model")
    own = Tokenizer(path + "/tokenizer.model")
    rows = read_scores(arguments.scores)
    tokenizer = open_tokenizer(path) if arguments.tokenizer else None
    worst, worst_sum, count = 0.0, 0.0, 0
    with torch.no_grad():
        for text, ours, column in rows:
            if tokenizer:
                ids = [pieces.bos_id()] + pieces.encode(text) + [pieces.eos_id()]
                check(tokenizer(text)["input_ids"] == ids[:-1], f"AutoTokenizer spells {text!r} "
                      f"{tokenizer(text)['input_ids']}, sentencepiece {ids[:-1]}")
                check(tokenizer.decode(ids, skip_special_tokens=True) == text,
                      f"AutoTokenizer decodes {text!r} otherwise")
            # Releases of sentencepiece cut ties otherwise: what was scored is what is compared.
            stored, is_spelled = own.stored(column, text)
            check(is_spelled, f"{column} does not spell {text!r}")
            ids = [pieces.bos_id()] + stored + [pieces.eos_id()]
            check(len(ours) == len(ids) - 1, f"{len(ours)} scores of {len(ids) - 1} tokens")
            logits = model(torch.tensor([ids[:-1]])).logits[0].double()
            theirs = torch.log_softmax(logits, -1)[range(len(ids) - 1), ids[1:]]
            difference = (theirs - torch.tensor(ours)).abs()
            worst = max(worst, difference.max().item())
            worst_sum = max(worst_sum, abs(theirs.sum().item() - sum(ours)) / abs(sum(ours)))
            count += len(ours)
    weights = load_file(path + "/model.safetensors") if not arguments.narrow else {}
    config = json.load(open(path + "/config.json"))
    if weights and not (config.get("bigram_rows") or config.get("trigram_rows")):
        total = sum(weight.size for weight in weights.values())
        check(total == model.num_parameters(), f"safetensors holds {total} weights")
    check(worst <= TOKEN_BAR, f"log-probabilities differ by {worst}")
    check(bool(count) and any(abs(value) > 1 for _, row, _ in rows for value in row), "nothing scored")
    print(f"interop: {path.split('/')[-2 if 'step-' in path else -1]}: {len(rows)} sentences, "
          f"{count} log-probabilities within {worst:.1e} nats, sums within {worst_sum:.1e}"
          f"{', the same ids' if tokenizer else ''}; {type(model).__name__}, head "
          f"{'tied' if config['tie_word_embeddings'] else 'untied'}")


def greedy(arguments):
    import os

    import sentencepiece
    import torch

    path = arguments.checkpoint
    seed = {} if arguments.seed is None else {"evaluation_seed": arguments.seed}
    model = open_model(path, **seed)
    pieces = sentencepiece.SentencePieceProcessor(model_file=path + "/tokenizer.model")
    ours = open(arguments.text, encoding="utf-8", newline="\n").read().removesuffix("\n")
    ids = [pieces.bos_id()] + pieces.encode(arguments.prompt)
    # lm-sample never draws what would break the line.
    never = [pieces.unk_id(), pieces.bos_id(), pieces.piece_to_id("<0x0A>")]
    never += range(len(pieces), model.config.vocab_size)
    ends = model.config.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    with torch.no_grad():
        found = model.generate(
            torch.tensor([ids]), do_sample=False, max_new_tokens=arguments.tokens,
            suppress_tokens=never, pad_token_id=pieces.eos_id())[0].tolist()
    if found[-1] in ends:
        found.pop()
    text = [index for index in found if index != pieces.bos_id()]
    theirs = pieces.decode(text)
    if os.path.exists(path + "/tokenizer.json"):
        theirs = open_tokenizer(path).decode(found, skip_special_tokens=True)
    check(ours == theirs, f"greedy text\n  {ours!r}\nexpected\n  {theirs!r}")
    check(len(text) > len(ids), "nothing was sampled")
    print(f"interop: {path.split('/')[-2 if 'step-' in path else -1]}: the same greedy text of "
          f"{len(found)} tokens: {ours[:60]!r}")


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
    command.add_argument("--family", default="Llama", choices=["Llama", "Qwen2", "Qwen3"])
    command.add_argument("--grouped", action="store_true")
    command.add_argument("--head-dim", type=int)
    command.add_argument("--biases", action="store_true")
    command.add_argument("--type")
    command.add_argument("--shards", action="store_true")
    command = commands.add_parser("scores")
    command.set_defaults(run=scores)
    command.add_argument("checkpoint")
    command.add_argument("scores")
    command.add_argument("--tokenizer", action="store_true")
    command.add_argument("--narrow", action="store_true", help="weights numpy has no type for")
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
    command = commands.add_parser("same-class")
    command.set_defaults(run=same_class)
    command.add_argument("folder")
    command.add_argument("checkpoint")
    command = commands.add_parser("resave")
    command.set_defaults(run=resave)
    command.add_argument("checkpoint")
    command.add_argument("directory")
    command = commands.add_parser("ids")
    command.set_defaults(run=ids)
    command.add_argument("checkpoint")
    command.add_argument("text")
    command.add_argument("--data")
    command = commands.add_parser("refused")
    command.set_defaults(run=refused)
    command.add_argument("checkpoint")
    command = commands.add_parser("greedy")
    command.set_defaults(run=greedy)
    command.add_argument("checkpoint")
    command.add_argument("prompt")
    command.add_argument("text")
    command.add_argument("tokens", type=int)
    command.add_argument("--seed", type=int, help="draw of an attention that is a random estimate")
    command = commands.add_parser("snippet")
    command.set_defaults(run=snippet)
    command.add_argument("markdown")
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
