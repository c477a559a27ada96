"""Checks of scripts/peers/check-interop.sh for models that transformers has no class for.

    attentions.py versions
        of the packages that are used
    attentions.py batch CHECKPOINT TEXT
        generate() without a cache, with one, and for two prompts of a batch, of which one is padded
    attentions.py draw CHECKPOINT SCORES REPORT
        the perplexity of every draw that `lm-eval perplexity --json` printed, over the sentences of
        `lm-eval score --per-token`
    attentions.py harness CHECKPOINT SCORES
        word perplexity of EleutherAI's lm-evaluation-harness on the same sentences
"""
import argparse
import importlib.metadata
import json
import math
import os
import tempfile

from common import check, open_model, open_tokenizer, quiet, read_scores


def label(path):
    return path.split("/")[-2 if "step-" in path else -1]


def versions(arguments):
    names = ("torch", "transformers", "tokenizers", "sentencepiece", "lm_eval", "gguf", "kenlm", "xllamacpp")
    found = []
    for name in names:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{name} not there")
    print("interop: " + ", ".join(found))


def batch(arguments):
    import torch

    quiet()
    model = open_model(arguments.checkpoint)
    tokenizer = open_tokenizer(arguments.checkpoint)
    tokenizer.padding_side, tokenizer.pad_token = "left", tokenizer.eos_token
    lines = sorted(open(arguments.text, encoding="utf-8").read().split("\n"), key=len)
    texts = [next(line for line in lines if len(line) > size) for size in (90, 200)]

    def generated(texts, **options):
        inputs = tokenizer(texts, return_tensors="pt", padding=True, return_token_type_ids=False)
        with torch.no_grad():
            found = model.generate(
                **inputs, do_sample=False, max_new_tokens=40, min_new_tokens=40,
                pad_token_id=tokenizer.eos_token_id, **options)
        return [row[inputs["input_ids"].shape[1] :].tolist() for row in found]

    alone = [generated([text])[0] for text in texts]
    for text, with_cache in zip(texts, alone):
        check(generated([text], use_cache=False)[0] == with_cache, "the cache changes what is generated")
    check(generated(texts) == alone, "padding changes what is generated")
    beams = [generated([texts[0]], num_beams=3, use_cache=cached) for cached in (True, False)]
    check(beams[0] == beams[1], "the cache changes what beams find")
    print(f"interop: {label(arguments.checkpoint)}: the same 40 tokens with and without a cache, beams "
          "too, and padded in a batch")


def stored_ids(checkpoint, scores):
    from score import Tokenizer

    own = Tokenizer(checkpoint + "/tokenizer.model")
    for text, ours, column in read_scores(scores):
        ids, is_spelled = own.stored(column, text)
        check(is_spelled, f"{column} does not spell {text!r}")
        yield text, [own.bos] + ids + [own.eos], ours


def draw(arguments):
    import torch

    report = json.load(open(arguments.report))["sampled"]
    sentences = list(stored_ids(arguments.checkpoint, arguments.scores))
    units = sum(len(text.split()) + 1 for text, _, _ in sentences)
    for seed, there in zip(report["seeds"], report["word_perplexities"]):
        model = open_model(arguments.checkpoint, evaluation_seed=seed)
        nats = 0.0
        with torch.no_grad():
            for _, ids, _ in sentences:
                logs = model(torch.tensor([ids[:-1]])).logits[0].double().log_softmax(-1)
                nats -= logs[range(len(ids) - 1), ids[1:]].sum().item()
        here = math.exp(nats / units)
        # A key on a hyperplane within rounding may fall on either side.
        check(abs(here / there - 1) < 1e-4, f"draw {seed}: perplexity {here}, {there} there")
        print(f"interop: {label(arguments.checkpoint)}: draw {seed}: perplexity {here:.6f} here, "
              f"{there:.6f} there")


TASK = """
task: sentences
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
output_type: loglikelihood_rolling
test_split: test
doc_to_text: ""
doc_to_target: "{{{{text}}}}"
metric_list:
  - metric: word_perplexity
  - metric: byte_perplexity
  - metric: bits_per_byte
metadata:
  version: 1.0
"""


def harness(arguments):
    import re

    os.environ["HF_DATASETS_OFFLINE"] = "1"
    import lm_eval
    from lm_eval.tasks import TaskManager

    tokenizer = open_tokenizer(arguments.checkpoint)
    # The harness tokenizes the text itself, and knows no </s>.
    rows = [
        (text, sum(ours[:-1])) for text, ids, ours in stored_ids(arguments.checkpoint, arguments.scores)
        if text and tokenizer(text)["input_ids"] == ids[:-1]
    ]
    words = sum(len(re.split(r"\s+", text)) for text, _ in rows)
    ours = math.exp(-sum(nats for _, nats in rows) / words)
    with tempfile.TemporaryDirectory() as folder:
        with open(folder + "/sentences.jsonl", "w", encoding="utf-8") as file:
            file.writelines(json.dumps({"text": text}) + "\n" for text, _ in rows)
        with open(folder + "/sentences.yaml", "w", encoding="utf-8") as file:
            file.write(TASK.format(data=folder + "/sentences.jsonl"))
        found = lm_eval.simple_evaluate(
            model="hf",
            model_args=f"pretrained={arguments.checkpoint},trust_remote_code=True,dtype=float32,"
            "add_bos_token=False",
            tasks=["sentences"], device="cpu", batch_size=8, verbosity="ERROR",
            task_manager=TaskManager(include_path=folder, include_defaults=False))
    theirs = found["results"]["sentences"]["word_perplexity,none"]
    check(abs(theirs / ours - 1) < 1e-5, f"the harness finds word perplexity {theirs}, expected {ours}")
    print(f"interop: {label(arguments.checkpoint)}: lm-evaluation-harness: word perplexity {theirs:.5f} of "
          f"{len(rows)} sentences without </s>, {ours:.5f} here")


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)
    commands.add_parser("versions").set_defaults(run=versions)
    for run, names in (
        (batch, ["text"]), (draw, ["scores", "report"]), (harness, ["scores"]),
    ):
        command = commands.add_parser(run.__name__)
        command.set_defaults(run=run)
        for name in ["checkpoint"] + names:
            command.add_argument(name)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
