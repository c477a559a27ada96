"""Causal YOSO attention (Zeng et al., 2021, arXiv 2111.09714): keys count as often as they collide.

Hashes are signs of products with random hyperplanes. The weight of a key is the share of hashes in which
all its bits are those of the query: by estimate "sampled" counted, by "expectation" the probability
(1 - angle / pi)^bits, by "hybrid" the probability inside a chunk of positions and counted across.

The trainer scores by the expectation, and so does this file unless config.evaluation_seed is set:

    AutoModelForCausalLM.from_pretrained(FOLDER, trust_remote_code=True, evaluation_seed=0)

draws the hyperplanes that lm-eval draws for that seed, and computes the estimate that was trained.
"""
import math

import torch

from .decoder import Attention, DecoderConfig, DecoderForCausalLM, mix, shifted


def hyperplanes(seed, layer, head, hashes, bits, width):
    """Normal vectors [hashes, bits, width]: Box-Muller on the numbers of a counter."""
    key = mix(torch.tensor(seed - 2**64 if seed >= 2**63 else seed))
    for word in (0, layer, head, 1):
        key = mix(key ^ word)
    count = hashes * bits * width
    places = torch.arange(count + count % 2) * (0x9E3779B97F4A7C15 - 2**64)
    uniform = shifted(mix(key + places), 41).double() * 2.0**-23
    first, second = uniform[0::2], uniform[1::2]
    radius = torch.sqrt(-2 * torch.log1p(-first))
    angle = 2 * math.pi * second
    pairs = torch.stack([radius * torch.cos(angle), radius * torch.sin(angle)], -1)
    return pairs.flatten()[:count].float().view(hashes, bits, width)


class YosoAttention(Attention):
    """o_i = X_i / |X_i|, X_i = sum over j <= i of w_ij v_j, w the share of hashes that collide."""

    def attend(self, query, past):
        i, j = self.positions(query, past)
        key, value = past["key"], past["value"]
        estimate = self.options.get("estimate", "sampled")
        if self.config.evaluation_seed is None or estimate == "expectation":
            weights = self.probabilities(query, key)
        elif estimate == "sampled":
            weights = self.shares(query, key)
        else:
            chunk = self.options.get("chunk", 64)
            is_near = i // chunk == j // chunk
            weights = torch.where(is_near, self.probabilities(query, key), self.shares(query, key))
        total = weights.masked_fill(j > i, 0) @ value.float()
        norm = total.norm(dim=-1, keepdim=True)
        return torch.where(norm > 1e-12, total / norm, 0)

    def probabilities(self, query, key):
        """Of a collision; in float64, since the angle of near vectors has few digits in float32."""
        query, key = (normalized(x.double()) for x in (query, key))
        cosine = (query @ key.transpose(-1, -2)).clamp(-1, 1)
        return ((1 - torch.acos(cosine) / math.pi) ** self.options.get("bits", 8)).float()

    def shares(self, query, key):
        """The share of hashes in which a query [B, H, L, D] and a key [B, H, P, D] collide."""
        queries, keys = self.codes(query), self.codes(key)
        hits = 0
        for m in range(queries.shape[-1]):
            hits = hits + (queries[..., m][..., None] == keys[..., m][..., None, :])
        return hits.float() / queries.shape[-1]

    def codes(self, x):
        """Every hash of x [B, H, L, D] as one number, [B, H, L, hashes]."""
        planes = self.planes(x.shape[-1]).to(x.device)
        sides = torch.einsum("hmtd,bhld->bhlmt", planes, x.float()) > 0
        return (sides * 2 ** torch.arange(planes.shape[2], device=x.device)).sum(-1)

    def planes(self, width):
        """Of every head, [H, hashes, bits, D], drawn once."""
        seed = self.config.evaluation_seed
        if getattr(self, "drawn", (None,))[0] != seed:
            hashes, bits = self.options.get("hashes", 16), self.options.get("bits", 8)
            heads = [
                hyperplanes(seed, self.index, head, hashes, bits, width) for head in range(self.heads)
            ]
            self.drawn = seed, torch.stack(heads)
        return self.drawn[1]


def normalized(x):
    return x / x.norm(dim=-1, keepdim=True).clamp(min=1e-12)


class YosoForCausalLM(DecoderForCausalLM):
    attention = YosoAttention
