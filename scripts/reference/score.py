"""Scores sentences with a checkpoint, without any code of the trainer: a second opinion.

    python3 scripts/reference/score.py CHECKPOINT SCORES.tsv [--first 50] [--tolerance 1e-5]
    python3 scripts/reference/score.py CHECKPOINT SCORES.tsv --draw SEED --report REPORT.json

CHECKPOINT is a run folder or one step of it; SCORES.tsv is what `lm-eval score` wrote. Every
sentence is scored again in float64 by loops over its positions, and its nats are compared with those
in the file. Needs numpy and the public package sentencepiece.

With `--per-token` the file has the tokens of every sentence: they are scored, once it is known that
they spell it and are tokens of the tokenizer, and sentences that this release of sentencepiece cuts
otherwise are named: releases since 0.2.2 choose otherwise than 0.1.97 where two segmentations are
equally probable. Without it every sentence is tokenized again; one whose number of tokens differs
cannot be compared, is named, and fails the check.

An attention that is a random estimate (YOSO) is scored by its expectation, as lm-eval does; with
--draw SEED by the hashes of that evaluation seed, and compared with the perplexity over all
sentences that `lm-eval perplexity --json` gives for it. A query or key that lies on a hyperplane
within the rounding of single precision may be hashed either way: then both are tried, and the nearer
perplexity counts. The exit code is 1 if anything differs.
"""
import argparse
import hashlib
import itertools
import json
import math
import os
import re
import sys

import numpy as np
import sentencepiece


def softmax(logits):
    weights = np.exp(logits - np.max(logits))
    return weights / np.sum(weights)


# ---------------------------------------------------------------------------------- attentions
# Each takes a layer (a `Layer`) and q, k, v of shape [H, L, D]; each returns [H, L, D].


def softmax_attention(layer, q, k, v):
    """o_i = sum over j <= i of softmax_j(<q_i, k_j> / sqrt(D) + bias[min(i - j, B - 1)]) v_j."""
    out = np.zeros_like(v)
    for head in range(q.shape[0]):
        for i in range(q.shape[1]):
            logits = k[head, : i + 1] @ q[head, i] / math.sqrt(q.shape[2])
            if layer.bias is not None:
                for j in range(i + 1):
                    logits[j] += layer.bias[head, min(i - j, layer.bias.shape[1] - 1)]
            out[head, i] = softmax(logits) @ v[head, : i + 1]
    return out


def hierarchical_attention(layer, q, k, v):
    """H-Transformer-1D, one query at a time: near keys themselves, far ones by means of 2^l."""
    size = layer.options.get("blockSize", 16)
    is_fine = layer.options.get("query", "coarse") == "fine"
    out = np.zeros_like(v)
    heads, length, width = q.shape
    for head in range(heads):
        bias = layer.bias[head] if layer.bias is not None else np.zeros(2 * size)
        for i in range(length):
            block = i // size
            logits, values = [], []
            for j in range(max(0, block - 1) * size, i + 1):
                logits.append(q[head, i] @ k[head, j] / math.sqrt(width) + bias[i - j])
                values.append(v[head, j])
            level = 1
            while block >> level >= 1:
                own = block >> level
                # The half that the level below has not covered, or the whole block.
                count = size if (block >> (level - 1)) & 1 else size // 2
                query = q[head, i if is_fine else (i >> level) << level]
                for row in range((own - 1) * size, (own - 1) * size + count):
                    group = slice(row << level, (row + 1) << level)
                    score = query @ np.mean(k[head, group], axis=0) / math.sqrt(width)
                    logits.append(score + bias[(i >> level) - row] + level * math.log(2))
                    values.append(np.mean(v[head, group], axis=0))
                level += 1
            out[head, i] = softmax(np.array(logits)) @ np.array(values)
    return out


def mix(z):
    """One step of SplitMix64."""
    z = (z + 0x9E3779B97F4A7C15) % 2**64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
    return z ^ (z >> 31)


def planes(seed, layer, head, hashes, bits, width):
    """Normal vectors [hashes, bits, width] of evaluation: Box-Muller on a counter's numbers."""
    key = mix(seed)
    for word in (0, layer, head, 1):
        key = mix(key ^ word)
    count = hashes * bits * width
    numbers = np.zeros(count + 1)
    for pair in range(0, count, 2):
        first, second = (
            (mix((key + (pair + n) * 0x9E3779B97F4A7C15) % 2**64) >> 41) * 2.0**-23 for n in (0, 1)
        )
        radius = math.sqrt(-2 * math.log(1 - first))
        numbers[pair] = radius * math.cos(2 * math.pi * second)
        numbers[pair + 1] = radius * math.sin(2 * math.pi * second)
    return numbers[:count].astype(np.float32).astype(np.float64).reshape(hashes, bits, width)


def yoso_attention(layer, q, k, v):
    """o_i = X_i / |X_i|, X_i = sum over j <= i of w_ij v_j, w the share of hashes that collide."""
    options = layer.options
    bits, hashes = options.get("bits", 8), options.get("hashes", 16)
    chunk = options.get("chunk", 64)
    estimate = options.get("estimate", "sampled") if layer.draw is not None else "expectation"
    out = np.zeros_like(v)
    heads, length, width = q.shape
    for head in range(heads):
        if estimate != "expectation":
            normals = planes(layer.draw, layer.index, head, hashes, bits, width)
            query_bits, key_bits = (  # [m, bits, L]
                layer.sides(normals, x[head], (layer.index, head, name))
                for name, x in (("query", q), ("key", k))
            )
        for i in range(length):
            total = np.zeros(v.shape[2])
            for j in range(i + 1):
                is_exact = estimate == "expectation" or (
                    estimate == "hybrid" and i // chunk == j // chunk
                )
                if is_exact:
                    norms = max(np.linalg.norm(q[head, i]), 1e-12), max(
                        np.linalg.norm(k[head, j]), 1e-12
                    )
                    cosine = q[head, i] @ k[head, j] / (norms[0] * norms[1])
                    angle = math.acos(min(1.0, max(-1.0, cosine)))
                    weight = (1 - angle / math.pi) ** bits
                else:
                    same = np.all(query_bits[:, :, i] == key_bits[:, :, j], axis=1)
                    weight = np.sum(same) / hashes
                total += weight * v[head, j]
            norm = np.linalg.norm(total)
            out[head, i] = total / norm if norm > 1e-12 else 0
    return out


def combiner_plan(pattern, segment, i):
    """Positions that query i meets directly, and the regions that hold all others before it."""
    if pattern == "logsparse":
        regions, end = [], i
        while end:
            begin = end & (end - 1)
            regions.append(list(range(begin, end)))
            end = begin
        return [i], regions
    row, column = divmod(i, segment)
    own = list(range(row * segment, i + 1))
    rows = [list(range(t * segment, (t + 1) * segment)) for t in range(row)]
    if pattern in ("fixed", "rowmajor"):
        return own, rows
    direct = [t * segment + column for t in range(row)] + own
    regions = []
    if row:
        for other in range(segment):
            if other != column:
                regions.append([t * segment + other for t in range(row)])
    if pattern == "mixture":
        for positions in rows:
            regions += [part for part in (positions[:column], positions[column + 1 :]) if part]
    return direct, regions


def combiner_attention(layer, q, k, v):
    """Direct keys and one pooled key and value per region under one softmax."""
    options = layer.options
    pattern, segment = options.get("pattern", "fixed"), options.get("segment", 64)
    pool = np.mean if options.get("pooling", "max") == "mean" else np.max
    address = options.get("address", "wsum")
    heads, length, width = q.shape
    scale = 1 / math.sqrt(width)
    projected = None
    if pattern == "rowmajor" and address == "proj":
        projected = projected_addresses(layer, q, k, v, segment)
    out = np.zeros_like(v)
    for head in range(heads):
        summaries = {}
        for i in range(length):
            direct, regions = combiner_plan(pattern, segment, i)
            logits = [scale * (q[head, i] @ k[head, j]) for j in direct]
            values = [v[head, j] for j in direct]
            for region in regions:
                column = region[0] + i % segment if pattern == "rowmajor" else None
                name = (region[0], region[-1], len(region), column)
                if name not in summaries:
                    if pattern == "rowmajor":
                        query = q[head, column]
                    else:
                        query = pool(q[head, region], axis=0)
                    inside = softmax(scale * (k[head, region] @ query))
                    if pattern != "rowmajor":
                        key = pool(k[head, region], axis=0)
                    elif address == "proj":
                        key = projected[head, column]
                    else:
                        key = k[head, column] if address == "none" else inside @ k[head, region]
                    summaries[name] = key, inside @ v[head, region]
                key, value = summaries[name]
                logits.append(scale * (q[head, i] @ key))
                values.append(value)
            out[head, i] = softmax(np.array(logits)) @ np.array(values)
    return out


def projected_addresses(layer, q, k, v, segment):
    """A = LN(x + S Wo^T) Wa^T over the heads side by side, for every position of complete rows."""
    heads, length, width = q.shape
    summaries = np.zeros((length, heads * width))
    for position in range(length // segment * segment):
        begin = position // segment * segment
        row = slice(begin, begin + segment)
        for head in range(heads):
            inside = softmax(k[head, row] @ q[head, position] / math.sqrt(width))
            summaries[position, head * width : (head + 1) * width] = inside @ v[head, row]
    summed = layer.input + summaries @ layer.weight("summary_proj.weight").T
    centred = summed - np.mean(summed, axis=1, keepdims=True)
    centred /= np.sqrt(np.mean(centred**2, axis=1, keepdims=True) + 1e-6)
    normed = centred * layer.weight("address_norm.weight") + layer.weight("address_norm.bias")
    addresses = normed @ layer.weight("address_proj.weight").T
    return addresses.reshape(length, heads, width).transpose(1, 0, 2)


def window_attention(layer, q, k, v):
    """Softmax over position i itself and the window - 1 positions before it."""
    window = layer.options.get("window", 64)
    out = np.zeros_like(v)
    for head in range(q.shape[0]):
        for i in range(q.shape[1]):
            near = slice(max(0, i - window + 1), i + 1)
            out[head, i] = softmax(k[head, near] @ q[head, i] / math.sqrt(q.shape[2])) @ v[head, near]
    return out


ATTENTIONS = {
    "softmax": softmax_attention,
    "hierarchical": hierarchical_attention,
    "yoso": yoso_attention,
    "combiner": combiner_attention,
    "window": window_attention,
}


# --------------------------------------------------------------------------------- the decoder


# Share of |normal| |row| below which single precision may give their product either sign: some
# roundings of 6e-8, in the row and in the sum.
ON_PLANE = 5e-7


class Layer:
    """What an attention may look at beside queries, keys and values."""

    def __init__(self, model, index, normed):
        self.index = index
        self.input = normed
        self.options = model.config.get("attention", {"kind": "softmax"})
        self.draw = model.draw
        self.model = model
        self.prefix = f"model.layers.{index}."
        self.weights = model.weights
        self.bias = self.weights.get(self.prefix + "self_attn.relative_bias")

    def weight(self, name):
        return self.weights[self.prefix + "self_attn." + name]

    def sides(self, normals, rows, place):
        """On which side of each hyperplane [m, bits, D] each row [L, D] lies.

        Rows that lie on a plane within rounding are noted in the model, and on the other side where
        it says so.
        """
        products = normals @ rows.T
        sizes = np.linalg.norm(normals, axis=2)[:, :, None] * np.linalg.norm(rows, axis=1)
        sides = products > 0
        for plane in map(tuple, np.argwhere(np.abs(products) < ON_PLANE * sizes)):
            self.model.on_planes.add((*place, *plane))
            if (*place, *plane) in self.model.turned:
                sides[plane] = not sides[plane]
        return sides


def load_weights(path):
    """Tensors of a safetensors file in float64; numpy has no bfloat16, the upper half of a float32."""
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    weights = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        numbers = data[begin:end]
        if entry["dtype"] == "BF16":
            numbers = (np.frombuffer(numbers, "<u2").astype("<u4") << 16).view("<f4")
        elif entry["dtype"] in ("F16", "F32"):
            numbers = np.frombuffer(numbers, {"F16": "<f2", "F32": "<f4"}[entry["dtype"]])
        else:
            sys.exit(f"{path}: tensor {name} has the type {entry['dtype']}, expected F32, BF16 or F16")
        weights[name] = numbers.astype(np.float64).reshape(entry["shape"])
    return weights


class Model:
    def __init__(self, folder, draw=None):
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
            self.config = json.load(file)
        self.weights = load_weights(os.path.join(folder, "model.safetensors"))
        tables = os.path.join(folder, "ngrams.safetensors")
        if os.path.exists(tables):
            self.weights.update(load_weights(tables))
        # transformers 5: the first of the two that says anything, before the key beside them.
        rotary = self.config.get("rope_scaling") or self.config.get("rope_parameters") or {}
        self.theta = rotary.get("rope_theta", self.config.get("rope_theta", 10_000.0))
        # A head of its own counts, whatever is said of it.
        table, head = "model.embed_tokens.weight", "lm_head.weight"
        if self.config.get("tie_word_embeddings", False):
            self.weights.setdefault(table, self.weights.get(head))
            self.weights.setdefault(head, self.weights[table])
        self.draw = draw
        # Of the last sentence: places of hashes that rounding may turn; and those that are turned.
        self.on_planes, self.turned = set(), set()

    def norm(self, x, name):
        """RMSNorm: x / sqrt(mean(x^2) + eps), times a gain."""
        epsilon = self.config.get("rms_norm_eps", 1e-6)
        scaled = x / np.sqrt(np.mean(x**2, axis=1, keepdims=True) + epsilon)
        return scaled * self.weights[name].reshape(-1)

    def rotated(self, x):
        """Rotary positions, two-halves convention; x is [L, D] of one head."""
        half = x.shape[1] // 2
        result = x.copy()
        for position in range(x.shape[0]):
            for j in range(half):
                angle = position * self.theta ** (-j / half)
                a, b = x[position, j], x[position, half + j]
                result[position, j] = a * math.cos(angle) - b * math.sin(angle)
                result[position, half + j] = b * math.cos(angle) + a * math.sin(angle)
        return result

    def sinusoidal(self, length, width):
        half = width // 2
        table = np.zeros((length, width))
        for position in range(length):
            for j in range(half):
                angle = position * 10_000.0 ** (-j / half)
                table[position, j] = math.sin(angle)
                table[position, half + j] = math.cos(angle)
        # As large as the embeddings begin: the mean square of a sine is a half.
        return table * math.sqrt(2) * self.config.get("initializer_range", 0.02)

    def attended(self, index, normed):
        prefix = f"model.layers.{index}.self_attn."
        heads = self.config["num_attention_heads"]
        length = len(normed)

        def projected(x, name):
            rows = x @ self.weights[prefix + name + "_proj.weight"].T
            return rows + self.weights.get(prefix + name + "_proj.bias", np.zeros(1)).reshape(-1)

        head_width = len(self.weights[prefix + "q_proj.weight"]) // heads

        def by_head(name):
            return projected(normed, name).reshape(length, -1, head_width).transpose(1, 0, 2)

        q, k, v = by_head("q"), by_head("k"), by_head("v")
        if self.config.get("qk_norm", self.config.get("model_type") == "qwen3"):
            q = np.array([self.norm(head, prefix + "q_norm.weight") for head in q])
            k = np.array([self.norm(head, prefix + "k_norm.weight") for head in k])
        if self.config.get("position", "rotary") == "rotary":
            q, k = (np.array([self.rotated(head) for head in x]) for x in (q, k))
        # Heads of keys and values, each as often as heads of queries share it.
        k, v = (np.repeat(x, heads // len(x), axis=0) for x in (k, v))
        layer = Layer(self, index, normed)
        out = ATTENTIONS[layer.options["kind"]](layer, q, k, v)
        return projected(out.transpose(1, 0, 2).reshape(length, -1), "o")

    def ngrams(self, order, name, ids):
        """For every position the row that its last tokens are hashed to."""
        table = self.weights.get(f"model.{name}_rows.weight")
        if table is None:
            return 0
        rows = []
        for position in range(len(ids)):
            key = mix(order)
            for place in range(position - order + 1, position + 1):
                key = mix(key ^ (ids[place] if place >= 0 else 2**32 - 1))
            rows.append(key * len(table) >> 64)
        return table[rows]

    def clusters(self):
        """First id of every cluster of the vocabulary, and its end; of one where there are none."""
        borders = [0, *self.config.get("adaptive_cutoffs", []), self.config["vocab_size"]]
        return list(zip(borders, borders[1:]))

    def embeddings(self, ids):
        """Rows of the table; of a rare token, a narrow row times a projection."""
        rows = []
        for index in ids:
            for cluster, (start, end) in enumerate(self.clusters()):
                if not start <= index < end:
                    continue
                if cluster == 0:
                    rows.append(self.weights["model.embed_tokens.weight"][index])
                    continue
                table = self.weights[f"model.embed_tokens.tables.{cluster}.weight"]
                projection = self.weights[f"model.embed_tokens.projections.{cluster}.weight"]
                rows.append(projection @ table[index - start])
        return np.array(rows)

    def head(self, hidden):
        """Logits [L, V], whose softmax is the distribution; of a rare token in a cluster, the logit of the
        cluster and the logarithm of the token's probability in it."""
        first = hidden @ self.weights["lm_head.weight"].T
        parts = [first]
        for cluster, _ in list(enumerate(self.clusters()))[1:]:
            entry = hidden @ self.weights["lm_head.clusters.weight"][cluster - 1]
            narrow = hidden @ self.weights[f"lm_head.projections.{cluster}.weight"].T
            side = "model.embed_tokens" if self.config["tie_word_embeddings"] else "lm_head"
            inside = narrow @ self.weights[f"{side}.tables.{cluster}.weight"].T
            top = np.max(inside, axis=1, keepdims=True)
            inside = inside - top - np.log(np.sum(np.exp(inside - top), axis=1, keepdims=True))
            parts.append(entry[:, None] + inside)
        return np.concatenate(parts, axis=1)

    def logits(self, ids):
        """Of the token that follows each of ids, [L, V]."""
        x = self.embeddings(ids)
        x = x + self.ngrams(2, "bigram", ids) + self.ngrams(3, "trigram", ids)
        if self.config.get("position") == "sinusoidal":
            x = x + self.sinusoidal(*x.shape)
        for index in range(self.config["num_hidden_layers"]):
            prefix = f"model.layers.{index}."
            x = x + self.attended(index, self.norm(x, prefix + "input_layernorm.weight"))
            normed = self.norm(x, prefix + "post_attention_layernorm.weight")
            gate = normed @ self.weights[prefix + "mlp.gate_proj.weight"].T
            up = normed @ self.weights[prefix + "mlp.up_proj.weight"].T
            x = x + (gate / (1 + np.exp(-gate)) * up) @ self.weights[
                prefix + "mlp.down_proj.weight"
            ].T
        return self.head(self.norm(x, "model.norm.weight"))

    def nats(self, ids, targets):
        """-ln p of the targets given <s> and the tokens before them."""
        logits = self.logits(ids)
        total = 0.0
        for position, target in enumerate(targets):
            top = np.max(logits[position])
            total += top + math.log(np.sum(np.exp(logits[position] - top)))
            total -= logits[position, target]
        return total


# -------------------------------------------------------------------------------------- scores


def checkpoint_folder(path):
    """A checkpoint itself, or the newest of a run whose files hold; `latest` may be behind."""
    if os.path.exists(os.path.join(path, "model.safetensors")):
        return path
    steps = [name for name in os.listdir(path) if re.fullmatch(r"step-\d{8,}", name)]
    for name in sorted(steps, key=lambda name: int(name[5:]), reverse=True):
        folder = os.path.join(path, name)
        problem = damage(folder)
        if problem is None:
            return folder
        print(f"passed over a checkpoint: {problem}", file=sys.stderr)
    sys.exit(f"{path} has no checkpoint that is good")


def damage(folder):
    """What is wrong with a checkpoint of a run, or None."""
    sums = os.path.join(folder, "SHA256SUMS")
    if not os.path.exists(sums):
        state = os.path.join(folder, "state.json")
        return f"{sums} is missing" if os.path.exists(state) else None
    with open(sums, encoding="utf-8", errors="replace") as file:
        listed = dict(reversed(line.rstrip("\n").split("  ", 1)) for line in file if "  " in line)
    for name in ("config.json", "model.safetensors", "tokenizer.model"):
        whole = os.path.join(folder, name)
        if not os.path.exists(whole):
            return f"{whole} is missing"
        with open(whole, "rb") as file:
            if hashlib.sha256(file.read()).hexdigest() != listed.get(name):
                return f"{whole} is damaged: its SHA-256 is not that of SHA256SUMS"
    return None


def unescaped(text):
    out, characters = [], iter(text)
    for character in characters:
        if character == "\\":
            character = {"t": "\t", "r": "\r", "n": "\n", "\\": "\\"}[next(characters)]
        out.append(character)
    return "".join(out)


class Tokenizer:
    def __init__(self, path):
        self.pieces = sentencepiece.SentencePieceProcessor()
        self.pieces.Load(path)
        self.bos, self.eos = self.pieces.bos_id(), self.pieces.eos_id()
        # The tokens may be the words of a list, of which the unknown ones are one token.
        self.has_bytes = any(map(self.pieces.is_byte, range(len(self.pieces))))
        self.by_bytes = {} if self.has_bytes else {b" <UNK>": self.pieces.unk_id()}
        for index in range(len(self.pieces)):
            if self.pieces.is_control(index) or self.pieces.is_unknown(index):
                continue
            text = self.pieces.id_to_piece(index)
            if self.pieces.is_byte(index):
                # Where a token has the same byte as text, that one is meant.
                self.by_bytes.setdefault(bytes([int(text[3:5], 16)]), index)
            elif self.has_bytes:
                self.by_bytes[text.replace("\u2581", " ").encode()] = index
            else:
                self.by_bytes[b" " + text[1:].encode()] = index

    def ids(self, text):
        """The package's ids, but U+2581 by its bytes: the package takes it for a space."""
        if not self.has_bytes:
            # White space only separates words, and U+2581 is a letter.
            unknown = self.pieces.unk_id()
            words = re.findall(r"[^ \t\n\v\f\r]+", text)
            return [self.by_bytes.get(b" " + word.encode(), unknown) for word in words]
        if "\u2581" not in text:
            return self.pieces.EncodeAsIds(text)
        stand = next(
            character for character in map(chr, range(0x10FFFD, 0x100000, -1))
            if character not in text and self.pieces.piece_to_id(character) == self.pieces.unk_id()
        )
        there, here = ([self.by_bytes[bytes([b])] for b in c.encode()] for c in (stand, "\u2581"))
        ids = self.pieces.EncodeAsIds(text.replace("\u2581", stand))
        place = 0
        while place < len(ids):
            if ids[place : place + len(there)] == there:
                ids[place : place + len(there)] = here
            place += 1
        return ids

    def spelled(self, token):
        """The id and the bytes of a token as score files write it."""
        if token.startswith("\\x"):
            raw = bytes.fromhex(token.replace("\\x", ""))
        else:
            raw = unescaped(token).replace("\u2581", " ").encode()
        if raw not in self.by_bytes:
            sys.exit(f"{token!r} is no token of the tokenizer")
        return self.by_bytes[raw], raw

    def stored(self, column, text):
        """Ids of the column token:logprob, and whether they spell the text."""
        ids, spelled = [], b""
        for item in column.split(" ")[:-1]:
            index, raw = self.spelled(item.rsplit(":", 1)[0])
            ids.append(index)
            spelled += raw
        # Whole words are spelled with one space between them, whatever stands there.
        is_spelled = spelled == b" " + text.encode() if self.has_bytes else ids == self.ids(text)
        return ids, is_spelled or not (ids or text)


def sentence_ids(tokenizer, line, number, path, other):
    """The ids of a sentence of the file; `other` collects those that sentencepiece cuts otherwise."""
    text = unescaped(line[3])
    ours = tokenizer.ids(text)
    if len(line) < 5:
        if len(ours) != int(line[1]):
            other.append((number, text))
            return None
        return ours
    ids, is_spelled = tokenizer.stored(line[4], text)
    if not is_spelled or len(ids) != int(line[1]):
        sys.exit(f"sentence {number} of {path}: its tokens do not spell it: {text!r}")
    if ids != ours:
        other.append((number, text))
    return ids


def name_others(other, are_scored):
    for number, text in other:
        print(f"sentence {number} is cut otherwise by sentencepiece {sentencepiece.__version__}: {text!r}")
    if other and not are_scored:
        print("they cannot be compared; write the file with lm-eval score --per-token")


def compare_draw(model, tokenizer, lines, options):
    """Compares the perplexity of one draw of the hashes; the file has only that of the mean."""
    with open(options.report, encoding="utf-8") as file:
        sampled = json.load(file)["sampled"]
    there = sampled["word_perplexities"][sampled["seeds"].index(options.draw)]
    bos, eos = tokenizer.bos, tokenizer.eos
    nats = units = 0
    other = []
    turns = []
    for number, line in enumerate(lines, 1):
        ids = sentence_ids(tokenizer, line, number, options.scores, other)
        if ids is None:
            name_others(other, are_scored=False)
            return "the perplexity of all sentences needs the tokens of each"
        model.on_planes = set()
        own = model.nats([bos] + ids, ids + [eos])
        nats += own
        units += int(line[2]) + 1
        for place in sorted(model.on_planes):
            model.turned = {place}
            turns.append(model.nats([bos] + ids, ids + [eos]) - own)
        model.turned = set()
    if len(turns) > 10:
        return f"{len(turns)} hashes lie on their plane, more than can be tried both ways"
    # How much each changes is the same whatever the others do, but for those of one sentence.
    ways = itertools.product((0, 1), repeat=len(turns))
    ends = [nats + sum(t for t, is_turned in zip(turns, way) if is_turned) for way in ways]
    nats = min(ends, key=lambda end: abs(end - units * math.log(there)))
    difference = abs(nats - units * math.log(there)) / nats
    print(
        f"{model.config['attention']['kind']}, draw {options.draw}: {len(lines)} sentences, "
        f"perplexity {math.exp(nats / units):.6f} here, {there:.6f} there: nats differ by "
        f"{difference:.1e} relative; {len(turns)} hashes lie on their plane"
    )
    return 0 if difference <= options.tolerance else "they differ by more than the tolerance"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("checkpoint")
    parser.add_argument("scores")
    parser.add_argument("--first", type=int, default=50, help="sentences to score (50)")
    parser.add_argument("--tolerance", type=float, default=1e-5, help="relative (1e-5)")
    parser.add_argument("--draw", type=int, help="evaluation seed of a random attention")
    parser.add_argument("--report", help="what lm-eval perplexity --json printed, for --draw")
    options = parser.parse_args()
    folder = checkpoint_folder(options.checkpoint)
    model = Model(folder, options.draw)
    tokenizer = Tokenizer(os.path.join(folder, "tokenizer.model"))
    bos, eos = tokenizer.bos, tokenizer.eos
    with open(options.scores, encoding="utf-8", newline="\n") as file:
        lines = [line.rstrip("\n").split("\t") for line in file if not line.startswith("#")]
    if options.draw is not None:
        sys.exit(compare_draw(model, tokenizer, lines, options))
    lines = lines[: options.first]
    ours = theirs = worst = 0.0
    other = []
    for number, line in enumerate(lines, 1):
        ids = sentence_ids(tokenizer, line, number, options.scores, other)
        if ids is None:
            continue
        nats = model.nats([bos] + ids, ids + [eos])
        ours += nats
        theirs += float(line[0])
        off = abs(nats - float(line[0])) / max(abs(nats), 1e-3)
        worst = max(worst, off)
        if off > 10 * options.tolerance:
            print(
                f"sentence {number}: {nats:.6f} nats here, {float(line[0]):.6f} there"
                + ("" if len(line) > 4 else f", perhaps cut otherwise by sentencepiece "
                   f"{sentencepiece.__version__} (lm-eval score --per-token tells)")
                + f": {unescaped(line[3])!r}"
            )
    are_scored = all(len(line) > 4 for line in lines)
    name_others(other, are_scored)
    difference = abs(ours - theirs) / max(abs(ours), 1e-300)
    print(
        f"{model.config.get('attention', {}).get('kind', 'softmax')}: {len(lines)} sentences, "
        f"{ours:.6f} nats here, {theirs:.6f} there: {difference:.1e} relative in total, "
        f"{worst:.1e} in the worst sentence; sentencepiece {sentencepiece.__version__} cuts "
        f"{len(other)} of them otherwise"
    )
    if other and not are_scored:
        sys.exit(f"{len(other)} sentences could not be compared")
    if not lines or not (difference <= options.tolerance and worst <= 10 * options.tolerance):
        sys.exit(f"they differ by more than {options.tolerance:g}")


if __name__ == "__main__":
    main()
