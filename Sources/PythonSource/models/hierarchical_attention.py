"""Causal hierarchical attention, H-Transformer-1D (Zhu and Soricut, 2021, arXiv 2107.11906).

Positions are cut into blocks. A query looks at every key of its own block and of the one before. What
is farther it sees in groups of 2, 4, 8 ... positions, the farther the larger, each by the mean of its
keys and of its values, which counts as often as it has members.
"""
import math

import torch

from .decoder import Attention, DecoderConfig, DecoderForCausalLM, softmax_over


def halved(x):
    """Means of neighbours, [..., P, D] to [..., P / 2, D]; a last odd row is left out."""
    whole = x.shape[-2] // 2 * 2
    return x[..., :whole, :].unflatten(-2, (-1, 2)).mean(-2)


class HierarchicalAttention(Attention):
    """One softmax over near keys and over the means of groups on every level l, of 2^l positions."""

    # The groups of a level share the query of their first position.
    remembered = ("key", "query")

    def attend(self, query, past):
        i, j = self.positions(query, past)
        size = self.options.get("blockSize", 16)
        is_fine = self.options.get("query", "coarse") == "fine"
        key, value = past["key"], past["value"]
        block = i // size
        allowed = [(j <= i) & (j // size >= block - 1)]
        logits = [self.scale * query @ key.transpose(-1, -2) + self.bias(i - j)]
        values = [value]
        level = 1
        while int(block[-1]) >> level >= 1:
            key, value = halved(key), halved(value)
            row = torch.arange(key.shape[-2], device=key.device)
            # Of the block before its own on this level, the half that the level below has not
            # covered, or all of it.
            first = ((block >> level) - 1) * size
            count = torch.where((block >> (level - 1)) & 1 == 1, size, size // 2)
            allowed.append((first >= 0) & (row >= first) & (row < first + count))
            asking = query if is_fine else past["query"][..., (i[:, 0] >> level) << level, :]
            scores = self.scale * asking @ key.transpose(-1, -2)
            logits.append(scores + self.bias((i >> level) - row) + level * math.log(2))
            values.append(value)
            level += 1
        return softmax_over(torch.cat(logits, -1), torch.cat(allowed, -1), torch.cat(values, -2))


class HierarchicalForCausalLM(DecoderForCausalLM):
    attention = HierarchicalAttention
