"""Makes docs/attention.md and its two plots from what scripts/compare-attention.sh has measured.

    python3 scripts/reference/compare_attention.py RESULTS DOCS

Only the standard library. In attention.md the text between the two marker lines is replaced; what
stands around it is kept.
"""
import hashlib
import json
import math
import os
import statistics
import sys

BEGIN, END = "<!-- begin of what compare-attention.sh writes -->", "<!-- end -->"
FAMILIES = {"softmax": "#1f5fa8", "hierarchical": "#c2410c", "yoso": "#15803d", "combiner": "#7e22ce"}
DASHES = ["", "7 4", "2 3", "10 3 2 3", "1 5"]
NAMES = [
    "softmax-rotary", "softmax-bias", "softmax-sinusoidal", "hierarchical-coarse", "hierarchical-fine", "yoso-expectation",
    "yoso-sampled", "yoso-hybrid", "combiner-fixed", "combiner-rowmajor", "combiner-logsparse",
    "combiner-vertical", "combiner-mixture",
]


def today(fields):
    """Keys that earlier versions wrote, under the names of today."""
    return {
        name.replace("piece", "token").replace("Piece", "Token"): value for name, value in fields.items()
    }


def load(path):
    with open(path) as file:
        return json.load(file, object_hook=today)


def style(name):
    family = name.split("-")[0]
    order = [n for n in NAMES if n.startswith(family)].index(name)
    return FAMILIES[family], DASHES[order % len(DASHES)]


class Results:
    """Everything under the results folder, read once."""

    def __init__(self, root):
        self.root = root
        self.timed = []
        if os.path.exists(f"{root}/names.txt"):
            self.timed = open(f"{root}/names.txt").read().split()

    def reports(self, part, name, file="result"):
        """Result files of every seed that has one."""
        folder = f"{self.root}/{part}/{name}"
        paths = [f"{folder}/{seed}/{file}.json" for seed in sorted(os.listdir(folder))] if os.path.isdir(folder) else []
        return [path for path in paths if os.path.exists(path)]

    def lengths(self):
        found = {int(p.split("-")[1].split(".")[0]) for p in os.listdir(self.root) if p.startswith("train-")}
        return sorted(found - {32})

    def measured(self, file, name):
        """Rows of a bench file for one variant, by length."""
        path = f"{self.root}/{file}.json"
        if name.startswith("softmax") and name not in self.timed:
            name = "softmax-rotary"  # positions take no time worth telling
        if name not in self.timed or not os.path.exists(path):
            return {}
        rows, index = load(path), self.timed.index(name)
        return {row["length"]: row for i, row in enumerate(rows) if i % len(self.timed) == index}

    def speed(self, kind, name, length):
        return self.measured(f"{kind}-{length}", name).get(length)

    def parameters(self, name):
        """As lm-train printed them."""
        for part in ("sentences", "documents"):
            for path in self.reports(part, name) + self.reports(part, name, "result-4096"):
                for line in open(os.path.dirname(path) + ".log"):
                    if line.startswith("parameters"):
                        return line.split()[1]
        return "–"

    def curve(self, folder):
        points = []
        with open(f"{folder}/metrics.jsonl") as file:
            for line in file:
                head, key, sum_of_head = line.rpartition(',"sum":"')
                if key and hashlib.sha256(head.encode()).hexdigest()[:16] != sum_of_head[:16]:
                    sys.exit(f"{folder}/metrics.jsonl is damaged: a sum does not hold: {line}")
                row = json.loads(line, object_hook=today)
                if row["kind"] == "valid":
                    points.append((row["tokens"], row["wordPerplexity"], row.get("trainedSeconds")))
        return points


def spread(values, digits=1):
    if not values:
        return "–"
    text = f"{statistics.mean(values):,.{digits}f}"
    return text + (f" ± {statistics.stdev(values):,.{digits}f}" if len(values) > 1 else "")


def perplexities(paths):
    """Of the expectation, and of the draws of a sampled attention."""
    reports = [load(path) for path in paths]
    plain = [r["word_perplexity"] for r in reports]
    drawn = [r["sampled"]["mean"] for r in reports if "sampled" in r]
    inner = [r["sampled"]["deviation"] for r in reports if "sampled" in r]
    return plain, drawn, inner


def quality_cell(paths):
    plain, drawn, inner = perplexities(paths)
    if not drawn:
        return spread(plain)
    return f"{spread(drawn)} (draws ± {statistics.mean(inner):.1f}); expectation {spread(plain)}"


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return lines + ["| " + " | ".join(r) + " |" for r in rows]


def quality(results):
    lengths = results.lengths()
    header = ["attention", "parameters", "sentences"] + [f"documents, windows of {n:,}" for n in lengths]
    rows = []
    for name in NAMES:
        cells = [quality_cell(results.reports("sentences", name))]
        cells += [quality_cell(results.reports("documents", name, f"result-{n}")) for n in lengths]
        if all(c == "–" for c in cells):
            continue
        rows.append([name, results.parameters(name)] + cells)
    return table(header, rows)


def number(value, digits=0):
    return f"{value:,.{digits}f}"


def cost(results):
    lengths = results.lengths()
    ends = sorted({lengths[0], lengths[-1]}) if lengths else []
    header = ["attention"]
    for n in [32] + ends:
        header += [f"scoring, tokens/s at {n:,}", f"training, tokens/s at {n:,}"]
    header += [f"training, MFLOP a token at {n:,}" for n in ends] + ["activations, kB a token"]
    decoded = sorted(results.measured("decode", results.timed[0])) if results.timed else []
    header += [f"decoding state at {n:,}, kB a layer" for n in decoded]
    rows = []
    for name in results.timed:
        cells = []
        for n in [32] + ends:
            for kind in ("forward", "train"):
                row = results.speed(kind, name, n)
                cells.append(number(row["tokensPerSecond"]) if row else "–")
        for n in ends:
            row = results.speed("train", name, n)
            cells.append(number(row["flopsPerToken"] / 1e6, 1) if row else "–")
        row = results.speed("train", name, ends[0]) if ends else None
        cells.append(number(row["activationBytesPerToken"] / 1e3, 1) if row else "–")
        decode = results.measured("decode", name)
        cells += [number(decode[n]["stateBytes"] / 1e3) if n in decode else "–" for n in decoded]
        rows.append([name] + cells)
    return table(header, rows)


def attention_time(results):
    every = {}
    for name in results.timed:
        every[name] = results.measured("attention", name)
    lengths = sorted({n for rows in every.values() for n in rows})
    out = []
    for kind, title in (("forward", "Forward"), ("training", "Forward and backward")):
        rows = [
            [name] + [number(rows[n][f"{kind}Microseconds"], 2) if n in rows else "–" for n in lengths]
            for name, rows in every.items()
        ]
        out += ["", f"{title}, µs a position of one layer (8 heads of 64):", ""]
        out += table(["attention"] + [f"{n:,}" for n in lengths], rows)
    return out


# Plots: plain SVG with a white ground, so that they read on light and dark pages.


class Axis:
    def __init__(self, low, high, start, end):
        self.low, self.high, self.start, self.end = math.log(low), math.log(high), start, end

    def __call__(self, value):
        return self.start + (math.log(value) - self.low) / (self.high - self.low) * (self.end - self.start)


def ticks(low, high):
    """1, 2, 5 times powers of ten inside the range."""
    values = [m * 10.0**e for e in range(-4, 9) for m in (1, 2, 5)]
    return [v for v in values if low <= v <= high]


def label(value):
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def plot(path, title, x_title, y_title, series, x_ticks=None):
    """series: name → [(x, y)]; both axes logarithmic; a legend on the right, in order of the ends."""
    points = [p for line in series.values() for p in line]
    if not points:
        return False
    width, height, left, right, top, bottom = 860, 480, 70, 210, 44, 56
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    x = Axis(min(xs) / 1.05, max(xs) * 1.05, left, width - right)
    y = Axis(min(ys) / 1.08, max(ys) * 1.08, height - bottom, top)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="sans-serif" font-size="12" fill="#222">',
        f"<title>{title}</title>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="{left}" y="24" font-size="15" font-weight="bold">{title}</text>',
    ]
    for v in x_ticks or ticks(min(xs) / 1.05, max(xs) * 1.05):
        out.append(f'<path d="M{x(v):.1f} {top}V{height - bottom}" stroke="#e5e5e5"/>')
        out.append(f'<text x="{x(v):.1f}" y="{height - bottom + 17}" text-anchor="middle">{label(v)}</text>')
    for v in ticks(min(ys) / 1.08, max(ys) * 1.08):
        out.append(f'<path d="M{left} {y(v):.1f}H{width - right}" stroke="#e5e5e5"/>')
        out.append(f'<text x="{left - 7}" y="{y(v) + 4:.1f}" text-anchor="end">{label(v)}</text>')
    out.append(f'<text x="{(left + width - right) / 2}" y="{height - 14}" text-anchor="middle">{x_title}</text>')
    out.append(
        f'<text x="18" y="{(top + height - bottom) / 2}" text-anchor="middle" '
        f'transform="rotate(-90 18 {(top + height - bottom) / 2})">{y_title}</text>'
    )
    ordered = sorted((n for n in series if series[n]), key=lambda n: -series[n][-1][1])
    for index, name in enumerate(ordered):
        colour, dash = style(name)
        path_data = "M" + "L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in series[name])
        stroke = f'fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"'
        out.append(f'<path d="{path_data}" {stroke}><title>{name}</title></path>')
        row = top + 14 + 22 * index
        out.append(f'<path d="M{width - right + 16} {row - 4}h34" {stroke}/>')
        out.append(f'<text x="{width - right + 58}" y="{row}">{name}</text>')
    out.append("</svg>")
    with open(path, "w") as file:
        file.write("\n".join(out) + "\n")
    return True


def mean_curve(results, name):
    """Validation perplexity by seconds, mean of the seeds.

    Tokens over the measured training speed, or where that was not measured the run's own seconds.
    """
    row = results.speed("train", name, 32)
    curves = [results.curve(os.path.dirname(path)) for path in results.reports("sentences", name)]
    if not curves or not row and any(point[2] is None for curve in curves for point in curve):
        return []
    count = min(len(c) for c in curves)
    return [
        (
            statistics.mean(c[i][0] for c in curves) / row["tokensPerSecond"]
            if row
            else statistics.mean(c[i][2] for c in curves),
            statistics.mean(c[i][1] for c in curves),
        )
        for i in range(count)
    ]


def main():
    root, docs = sys.argv[1:3]
    results = Results(root)
    seeds = {name: len(results.reports("sentences", name)) for name in NAMES}
    lines = [
        "",
        "### Word perplexity",
        "",
        f"Test text; mean ± standard deviation over up to {max(seeds.values(), default=0)} training seeds on sentences, "
        "one on documents. A sampled attention is given as it was trained, with the deviation over the draws of its "
        "hashes, and by its expectation.",
        "",
        *quality(results),
        "",
    ]
    names = [n for n in NAMES if mean_curve(results, n)]
    if plot(
        f"{docs}/attention-loss.svg", "Validation perplexity against training time, sentences",
        "seconds of training on this machine (tokens over measured tokens/s)", "word perplexity",
        {n: mean_curve(results, n) for n in names},
    ):
        lines += ["![Validation perplexity against time](attention-loss.svg)", ""]
    if results.timed:
        lines += ["### Cost", "", "The whole model, both threads, alternating runs, medians.", "", *cost(results)]
        lines += attention_time(results) + [""]
        rows = {n: results.measured("attention", n) for n in results.timed}
        series = {
            n: [(length, row["trainingMicroseconds"]) for length, row in sorted(rows[n].items())] for n in rows
        }
        lengths = sorted({length for line in series.values() for length, _ in line})
        if plot(
            f"{docs}/attention-time.svg", "Time of attention, forward and backward",
            "positions of the sequence", "µs a position (one layer, 8 heads of 64)", series, lengths,
        ):
            lines += ["![Time against length](attention-time.svg)", ""]
    path = f"{docs}/attention.md"
    text = open(path).read() if os.path.exists(path) else f"# Attentions compared\n\n{BEGIN}\n{END}\n"
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    with open(path, "w") as file:
        file.write(before + BEGIN + "\n" + "\n".join(lines) + END + after)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
