"""Sliding-window attention: softmax over a position and the ones just before it."""
from .decoder import Attention, DecoderConfig, DecoderForCausalLM, softmax_over


class WindowAttention(Attention):
    """Softmax over position i itself and the window - 1 positions before it."""

    def attend(self, query, past):
        i, j = self.positions(query, past)
        logits = self.scale * query @ past["key"].transpose(-1, -2)
        near = (j <= i) & (i - j < self.options.get("window", 64))
        return softmax_over(logits, near, past["value"])


class WindowForCausalLM(DecoderForCausalLM):
    attention = WindowAttention
