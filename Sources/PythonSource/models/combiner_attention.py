"""Causal Combiner attention (Ren et al., 2021, arXiv 2107.05768).

A query looks at some keys directly and at all others in regions, each by one pooled key and one value
that the region itself has attended to; all stand under one softmax. Which positions make a region is the
pattern's: with rows of `segment` positions,

- fixed: the own row directly, every row before it as a region;
- rowmajor: the same, a region being pooled by the query of the asking column;
- logsparse: the position itself, and before it regions of the powers of two that its number is made of;
- vertical: the own row and the own column directly, every other column down to the own row as a region;
- mixture: as vertical, and the rows before it in two parts, left and right of the own column.
"""
import torch
from torch import nn

from .decoder import Attention, DecoderConfig, DecoderForCausalLM, softmax_over


class CombinerAttention(Attention):
    def __init__(self, config, index):
        super().__init__(config, index)
        self.pattern = self.options.get("pattern", "fixed")
        self.segment = self.options.get("segment", 64)
        self.address = self.options.get("address", "wsum")
        self.is_mean = self.options.get("pooling", "max") == "mean"
        self.remembered = ("key", "query")
        if self.pattern == "rowmajor" and self.address == "proj":
            width = config.hidden_size
            self.remembered = ("key", "query", "input")
            heads_width = self.heads * config.head_dim
            self.summary_proj = nn.Linear(heads_width, width, bias=False)
            self.address_proj = nn.Linear(width, heads_width, bias=False)
            self.address_norm = nn.LayerNorm(width, eps=1e-6)

    def attend(self, query, past):
        i, j = self.positions(query, past)
        row, column = i // self.segment, i % self.segment
        other_row, other_column = j // self.segment, j % self.segment
        if self.pattern == "logsparse":
            direct = j == i
        elif self.pattern in ("fixed", "rowmajor"):
            direct = (j <= i) & (other_row == row)
        else:
            direct = (j <= i) & ((other_row == row) | (other_column == column))
        seen = [(past["key"], past["value"], direct)] + list(self.regions(i, past))
        keys, values, allowed = zip(*seen)
        logits = self.scale * query @ torch.cat(keys, -2).transpose(-1, -2)
        return softmax_over(logits, torch.cat(allowed, -1), torch.cat(values, -2))

    def regions(self, i, past):
        """Pooled keys and values [B, H, R, D], and which query sees which, [L, R]."""
        row, column = i // self.segment, i % self.segment
        if self.pattern == "logsparse":
            level = 0
            while int(i[-1]) >> level:
                parts = self.cut(past, 2**level)
                number = torch.arange(parts["key"].shape[2], device=i.device)
                sees = ((i >> level) & 1 == 1) & (number == (i >> level) - 1)
                yield *self.pooled(parts), sees
                level += 1
            return
        rows = self.cut(past, self.segment)
        count = rows["key"].shape[2]
        number = torch.arange(count, device=i.device)
        columns = torch.arange(self.segment, device=i.device)
        if self.pattern == "fixed":
            yield *self.pooled(rows), number < row
        elif self.pattern == "rowmajor":
            sees = (number < row)[..., None] & (columns == column)[:, None]
            yield *self.pooled_by_column(rows), sees.flatten(-2)
        else:
            for length in range(1, int(row[-1]) + 1):
                above = {name: x[:, :, :length].transpose(2, 3) for name, x in rows.items()}
                yield *self.pooled(above), (row == length) & (columns != column)
        if self.pattern == "mixture":
            for middle in range(self.segment):
                sees = (number < row) & (column == middle)
                for part in (slice(0, middle), slice(middle + 1, self.segment)):
                    if part.start < part.stop:
                        yield *self.pooled({n: x[..., part, :] for n, x in rows.items()}), sees

    def cut(self, past, size):
        """Complete parts of `size` positions, [B, H, parts, size, D] each."""
        whole = past["key"].shape[-2] // size * size
        return {name: x[..., :whole, :].unflatten(-2, (-1, size)) for name, x in past.items()}

    def pooled(self, regions):
        """Keys and values [B, H, R, D] of regions [B, H, R, positions, D]."""
        pool = torch.mean if self.is_mean else torch.amax
        query, key = (pool(regions[name], -2) for name in ("query", "key"))
        logits = self.scale * regions["key"] @ query[..., None]
        inside = logits.float().softmax(-2).to(query.dtype)
        return key, (inside * regions["value"]).sum(-2)

    def pooled_by_column(self, rows):
        """Keys and values of every row for every column, whose query it is that pools the row."""
        logits = self.scale * rows["query"] @ rows["key"].transpose(-1, -2)
        inside = logits.float().softmax(-1).to(logits.dtype)
        values = (inside @ rows["value"]).flatten(2, 3)
        if self.address == "none":
            return rows["key"].flatten(2, 3), values
        if self.address == "wsum":
            return (inside @ rows["key"]).flatten(2, 3), values
        # A = LN(x + S Wo^T) Wa^T over the heads side by side.
        x, summary = (t.transpose(1, 2).flatten(-2) for t in (rows["input"].flatten(2, 3), values))
        x = x[..., : self.config.hidden_size]
        return self.by_head(self.address_proj(self.address_norm(x + self.summary_proj(summary)))), values


class CombinerForCausalLM(DecoderForCausalLM):
    attention = CombinerAttention
