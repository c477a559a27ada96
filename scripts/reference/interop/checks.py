"""Checks of scripts/peers/check-interop.sh against transformers, tokenizers and sentencepiece.

    checks.py same-class FOLDER CHECKPOINT
        that both are opened as one class of transformers
    checks.py scores CHECKPOINT SCORES [--tokenizer]
        log-probabilities of `lm-eval score --per-token` against AutoModelForCausalLM; with
        --tokenizer also the ids of AutoTokenizer against those of the sentencepiece package
    checks.py ids CHECKPOINT TEXT [--data DATA]
        ids of AutoTokenizer against those of the sentencepiece package for every line of a file, and for
        lines that break tokenizers; with --data also against those of the test split, made from that
        file. Lines may differ only where two segmentations are equally probable; they are counted
    checks.py refused CHECKPOINT
        that AutoTokenizer does not open the folder
    checks.py greedy CHECKPOINT PROMPT TEXT TOKENS [--seed SEED]
        the text of `lm-sample --temperature 0 --max-tokens TOKENS` against generate()
    checks.py snippet MARKDOWN
        runs the Python blocks of a document that mention numpy, in the current folder
"""

import argparse
import json
import re
import sys

from common import TOKEN_BAR, check, open_model, open_tokenizer, read_scores

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


def same_class(arguments):
    found = [type(open_model(path)).__name__ for path in (arguments.folder, arguments.checkpoint)]
    check(found[0] == found[1], f"{arguments.folder} is a {found[0]}, the run from it a {found[1]}")
    print(f"interop: {arguments.folder.split('/')[-1]}: trained on, it is a {found[1]} still")


def refused(arguments):
    from transformers import AutoTokenizer

    try:
        AutoTokenizer.from_pretrained(arguments.checkpoint)
    except Exception as error:
        check("tokenizer.model" in str(error), f"the reason is {error}")
        print(f"interop: AutoTokenizer refuses: {error}")
    else:
        sys.exit("interop: FAILED: AutoTokenizer opens what has other ids there")


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
    command = commands.add_parser("scores")
    command.set_defaults(run=scores)
    command.add_argument("checkpoint")
    command.add_argument("scores")
    command.add_argument("--tokenizer", action="store_true")
    command.add_argument("--narrow", action="store_true", help="weights numpy has no type for")
    command = commands.add_parser("same-class")
    command.set_defaults(run=same_class)
    command.add_argument("folder")
    command.add_argument("checkpoint")
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
