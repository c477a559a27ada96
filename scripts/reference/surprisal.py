"""Computes the surprisal of every word again, without any code of the trainer.

    python3 scripts/reference/surprisal.py CHECKPOINT SCORES.tsv WORDS.tsv [--first 200] [--tolerance 1e-5]

CHECKPOINT is a run folder or one step of it; SCORES.tsv is what `lm-eval score` wrote of a text, WORDS.tsv
what `lm-eval score --per-word` wrote of the same. Three things are checked:

- the words of every sentence are those of its text, and its tokens spell them;
- both columns of nats of WORDS.tsv add up to the sentence's nats in SCORES.tsv within 1e-9, and the bits
  are the nats over ln 2;
- every word has the surprisal that follows from the log-probabilities of all tokens at all positions,
  which numpy computes in float64 with the loops of score.py.

The last is computed as Pimentel and Meister (2024) define it: what a word is worth is p(tokens of the word
and then any token that begins a word or ends the sentence) over p(any such token before it), where nothing
is before the first. Needs numpy and the public package sentencepiece. The exit code is 1 if anything
differs.
"""
import argparse
import math
import os
import re
import sys

import numpy as np

from score import Model, Tokenizer, checkpoint_folder, unescaped

SPACES = b" \t\n\v\f\r"


def log_sum(logits):
    top = np.max(logits)
    return top + math.log(np.sum(np.exp(logits - top)))


def rows(path):
    with open(path, encoding="utf-8", newline="\n") as file:
        return [line.rstrip("\n").split("\t") for line in file if not line.startswith("#")]


def by_sentence(lines):
    """The rows of every sentence, in the order of the file."""
    sentences = []
    for line in lines:
        if line[2] == "1":
            sentences.append([])
        sentences[-1].append(line)
    return sentences


def surprisals(model, tokenizer, ids, starts):
    """(naive, whole) of every word and of </s>: from the logits of all tokens at all positions."""
    logits = model.logits([tokenizer.bos] + ids)
    log_p = logits - np.array([log_sum(row) for row in logits])[:, None]
    targets = ids + [tokenizer.eos]
    solid = [bool(tokenizer.bytes_of.get(i, b"").strip(SPACES)) for i in targets]
    cuts = [0]
    for place in range(1, len(targets)):
        if targets[place] in starts and any(solid[cuts[-1] : place]):
            cuts.append(place)
    members = sorted(starts)
    found = []
    for begin, end in zip(cuts, cuts[1:] + [len(targets)]):
        naive = -sum(log_p[place, targets[place]] for place in range(begin, end))
        with_end = naive
        if end < len(targets):
            with_end -= log_sum(log_p[end, members])
        if begin > 0:
            with_end += log_sum(log_p[begin, members])
        found.append((naive, with_end))
    return cuts, found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("checkpoint")
    parser.add_argument("scores")
    parser.add_argument("words")
    parser.add_argument("--first", type=int, default=200, help="sentences to look at (200)")
    parser.add_argument("--tolerance", type=float, default=1e-5, help="nats, and relative (1e-5)")
    options = parser.parse_args()
    folder = checkpoint_folder(options.checkpoint)
    model = Model(folder)
    tokenizer = Tokenizer(os.path.join(folder, "tokenizer.model"))
    tokenizer.bytes_of = {index: raw for raw, index in tokenizer.by_bytes.items()}
    pieces = tokenizer.pieces
    for index in range(len(pieces)):  # a byte that is also a text of its own
        if pieces.is_byte(index):
            tokenizer.bytes_of[index] = bytes([int(pieces.id_to_piece(index)[3:5], 16)])
    starts = {i for i, raw in tokenizer.bytes_of.items() if raw[:1] and raw[0] in SPACES}
    starts.add(tokenizer.eos)

    sentences = rows(options.scores)
    words = by_sentence(rows(options.words))
    if len(sentences) != len(words):
        sys.exit(f"{len(words)} sentences of words, but {len(sentences)} sentences")
    count = worst = corrected = 0
    for number, (line, own) in enumerate(zip(sentences, words), 1):
        if number > options.first:
            break
        place, text, nats = f"sentence {number}", unescaped(line[3]), float(line[0])
        expected = [word for word in re.split("[ \t\n\v\f\r]+", text) if word] + ["</s>"]
        if [unescaped(row[3]) for row in own] != expected:
            sys.exit(f"{place}: the words are {[row[3] for row in own]}, expected {expected}")
        if [int(row[2]) for row in own] != list(range(1, len(own) + 1)):
            sys.exit(f"{place}: its words are not numbered from 1")
        for column, unit in ((5, 1), (6, math.log(2)), (7, 1), (8, math.log(2))):
            total = math.fsum(float(row[column]) * unit for row in own)
            if abs(total - nats) > 1e-9:
                sys.exit(f"{place}: column {column + 1} adds up to {total!r}, the sentence is {nats!r}")
        ids, spelled = [], b""
        for token in [token for row in own for token in row[4].split(" ")][:-1]:
            index, raw = tokenizer.spelled(token)
            ids.append(index)
            spelled += raw
        if not tokenizer.has_bytes:
            # Whole words are spelled with one space between them, whatever stands there.
            text = " ".join(expected[:-1])
        if spelled != b" " + text.encode() and (ids or text):
            sys.exit(f"{place}: its tokens do not spell it: {text!r}")
        cuts, found = surprisals(model, tokenizer, ids, starts)
        if len(found) != len(own):
            sys.exit(f"{place}: {len(own)} rows, expected {len(found)}")
        for row, (naive, whole), begin, end in zip(own, found, cuts, cuts[1:] + [len(ids) + 1]):
            if len(row[4].split(" ")) != end - begin:
                sys.exit(f"{place}: the word {row[3]!r} has the tokens {row[4]!r}, expected {end - begin}")
            for theirs, ours in ((float(row[5]), naive), (float(row[7]), whole)):
                off = abs(theirs - ours) / max(1.0, abs(ours))
                worst = max(worst, off)
                if off > options.tolerance:
                    sys.exit(f"{place}, word {row[3]!r}: {ours:.7f} nats here, {theirs:.7f} there")
            corrected += abs(naive - whole) > 10 * options.tolerance
            count += 1
    if not corrected:
        sys.exit("no word has another surprisal than its tokens: nothing was compared")
    print(
        f"{model.config.get('attention', {}).get('kind', 'softmax')}: {count} words, at most {worst:.1e} "
        f"nats apart, relative above 1; {corrected} of them differ from the sum of their tokens"
    )


if __name__ == "__main__":
    main()
