"""Causal softmax attention, with a learned bias by distance or with positions in the embeddings."""
from .decoder import Attention, DecoderConfig, DecoderForCausalLM, softmax_over


class SoftmaxAttention(Attention):
    """o_i = sum over j <= i of softmax_j(<q_i, k_j> / sqrt(D) + bias[min(i - j, length - 1)]) v_j."""

    def attend(self, query, past):
        i, j = self.positions(query, past)
        logits = self.scale * query @ past["key"].transpose(-1, -2) + self.bias(i - j)
        return softmax_over(logits, j <= i, past["value"])


class SoftmaxForCausalLM(DecoderForCausalLM):
    attention = SoftmaxAttention
