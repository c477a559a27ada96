"""Checks of scripts/peers/check-interop.sh for n-gram models.

    ngrams.py make TEXT MODEL
        an interpolated trigram model of a text as an ARPA file
    ngrams.py compare MODEL TEXT FIGURES
        nats and word perplexity of a text by KenLM against what `lm-eval perplexity --mix MODEL --json` printed
"""

import collections
import json
import math
import sys

import kenlm

from common import check

ORDER = 3
DISCOUNT = 0.75
MARKERS = ("<s>", "</s>", "<unk>")


def sentences(path):
    """The words of every line, cut at ASCII white space alone."""
    for line in open(path, "rb").read().rstrip(b"\n").split(b"\n"):
        yield [word.decode() for word in line.split()]


def counts(path):
    """Counts of n-grams by order, from 1; the beginning of a sentence is no event of its own.

    Words that are markers of the format are left out, as by `lmplz --skip_symbols`.
    """
    found = [collections.Counter() for _ in range(ORDER)]
    for words in sentences(path):
        words = ["<s>", *(word for word in words if word not in MARKERS), "</s>"]
        for order in range(1, ORDER + 1):
            for end in range(1, len(words)):
                if end + 1 >= order:
                    found[order - 1][tuple(words[end + 1 - order : end + 1])] += 1
    return found


def make(text, path):
    """Absolute discounting, interpolated: a weight of backing off is the mass that was taken away."""
    found = counts(text)
    total = sum(found[0].values())
    kinds = len(found[0]) + 1  # and <unk>
    probabilities = [{("<unk>",): DISCOUNT * len(found[0]) / total / kinds}]
    for gram, count in found[0].items():
        probabilities[0][gram] = (count - DISCOUNT) / total + probabilities[0][("<unk>",)]
    weights = {}
    for order in range(2, ORDER + 1):
        sums, followers = collections.Counter(), collections.Counter()
        for gram, count in found[order - 1].items():
            sums[gram[:-1]] += count
            followers[gram[:-1]] += 1
        for context in sums:
            weights[context] = DISCOUNT * followers[context] / sums[context]
        probabilities.append(
            {
                gram: (count - DISCOUNT) / sums[gram[:-1]]
                + weights[gram[:-1]] * probabilities[order - 2][gram[1:]]
                for gram, count in found[order - 1].items()
            }
        )
    with open(path, "w", encoding="utf-8") as out:
        print("\\data\\", file=out)
        for order, table in enumerate(probabilities, 1):
            print(f"ngram {order}={len(table) + (order == 1)}", file=out)
        for order, table in enumerate(probabilities, 1):
            print(f"\n\\{order}-grams:", file=out)
            if order == 1:
                print(f"-99\t<s>\t{math.log10(weights[('<s>',)]):.7f}", file=out)
            for gram, probability in table.items():
                line = f"{math.log10(probability):.7f}\t{' '.join(gram)}"
                if gram in weights:
                    line += f"\t{math.log10(weights[gram]):.7f}"
                print(line, file=out)
        print("\n\\end\\", file=out)


def compare(path, text, figures):
    model = kenlm.Model(path)
    nats, words, unknown = 0.0, 0, 0
    for sentence in sentences(text):
        for log10, _, is_unknown in model.full_scores(" ".join(sentence), bos=True, eos=True):
            nats -= log10 * math.log(10)
            words += 1
            unknown += is_unknown
    printed = json.load(open(figures))["mixture"]["ngram"]
    perplexity = math.exp(nats / words)
    check(
        abs(printed["nats"] - nats) < 1e-5 * nats
        and abs(printed["word_perplexity"] - perplexity) < 1e-4 * perplexity,
        f"KenLM: {nats} nats, {perplexity} a word, {printed} here")
    check(0 < unknown < words and model.order == ORDER, f"{unknown} of {words} words unknown")
    print(
        f"interop: KenLM: {words} words, {unknown} unknown, {nats:.4f} nats, {printed['nats']:.4f} here; "
        f"word perplexity {perplexity:.4f}"
    )


if __name__ == "__main__":
    {"make": make, "compare": compare}[sys.argv[1]](*sys.argv[2:])
