"""The decoder of this checkpoint in PyTorch, for Hugging Face transformers.

    model = AutoModelForCausalLM.from_pretrained(FOLDER, trust_remote_code=True)
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)

A decoder like Llama's: RMSNorm before each part of a layer, rotary or other positions, SwiGLU. The file beside this one that `auto_map` of config.json names has the attention and says what
it sees. The tensors of model.safetensors are used under their own names.

Shapes: B sequences, L new positions, P positions in all (those in the cache and the new ones), H heads
of width D, model width C.
"""
import math
import os

import torch
from torch import nn
from transformers import DynamicCache, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast


class DecoderConfig(PretrainedConfig):
    """config.json. Beside Llama's keys:

    - attention: its kind and options.
    - position: "rotary", "relativeBias" (learned, [H, relative_bias_length]) or "sinusoidal".
    - qk_norm: whether queries and keys are normalised head by head.
    - qkv_bias, attention_bias: whether the products that make queries, keys and values have biases; with
      attention_bias that of the output has one as well.
    - bigram_rows, trigram_rows: rows of the tables of hashed n-grams that are added to the embeddings.
    - adaptive_cutoffs, adaptive_factor: first ids of the clusters of the vocabulary but the first, and how
      much narrower the embeddings of each are than those of the one before.
    - evaluation_seed: of an attention that is a random estimate (sampled YOSO), the seed of its draw;
      None for its expectation, by which the trainer scores.
    """

    model_type = "billion-word-decoder"

    def __init__(
        self, vocab_size=2, hidden_size=2, num_hidden_layers=1, num_attention_heads=1,
        intermediate_size=2, attention=None, position="rotary", relative_bias_length=32,
        qk_norm=False, qkv_bias=False, attention_bias=False, num_key_value_heads=None, head_dim=None,
        bigram_rows=0, trigram_rows=0, adaptive_cutoffs=(), adaptive_factor=4, rms_norm_eps=1e-5,
        rope_theta=10_000.0,
        initializer_range=0.02, max_position_embeddings=2048, tie_word_embeddings=True,
        evaluation_seed=None, use_cache=True, **others,
    ):
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.attention = attention or {"kind": "softmax"}
        self.position = position
        self.relative_bias_length = relative_bias_length
        self.qk_norm = qk_norm
        self.qkv_bias = qkv_bias
        self.attention_bias = attention_bias
        self.num_key_value_heads = num_key_value_heads or num_attention_heads
        self.head_dim = head_dim or hidden_size // num_attention_heads
        self.bigram_rows = bigram_rows
        self.trigram_rows = trigram_rows
        self.adaptive_cutoffs = list(adaptive_cutoffs)
        self.adaptive_factor = adaptive_factor
        self.rms_norm_eps = rms_norm_eps
        self.rope_theta = rope_theta
        self.initializer_range = initializer_range
        self.max_position_embeddings = max_position_embeddings
        self.evaluation_seed = evaluation_seed
        self.use_cache = use_cache
        super().__init__(tie_word_embeddings=tie_word_embeddings, **others)


def tails(config):
    """Name, first id, end and width of every cluster of the vocabulary but the first."""
    borders = [*config.adaptive_cutoffs, config.vocab_size]
    width, found = config.hidden_size, []
    for number, (start, end) in enumerate(zip(borders, borders[1:]), 1):
        width = max(1, width // config.adaptive_factor)
        found.append((str(number), start, end, width))
    return found


class AdaptiveEmbedding(nn.Module):
    """Embeddings whose width follows the frequency of a token (Baevski and Auli, 2018)."""

    def __init__(self, config):
        super().__init__()
        self.first = config.adaptive_cutoffs[0]
        self.tails = tails(config)
        self.weight = nn.Parameter(torch.zeros(self.first, config.hidden_size))
        self.tables = nn.ModuleDict(
            {name: nn.Embedding(end - start, width) for name, start, end, width in self.tails}
        )
        self.projections = nn.ModuleDict(
            {name: nn.Linear(width, config.hidden_size, bias=False) for name, _, _, width in self.tails}
        )

    def forward(self, ids):
        x = nn.functional.embedding(ids.clamp(max=self.first - 1), self.weight)
        for name, start, end, _ in self.tails:
            inside = (ids >= start) & (ids < end)
            if inside.any():
                x[inside] = self.projections[name](self.tables[name](ids[inside] - start))
        return x


class AdaptiveHead(nn.Module):
    """Logits whose softmax is that over clusters (Grave et al., 2017); `embedding` has the tables if tied."""

    def __init__(self, config, embedding=None):
        super().__init__()
        width, self.tails = config.hidden_size, tails(config)
        self.tied = [embedding] if embedding is not None else []  # in a list it is no part of this
        self.clusters = nn.Linear(width, len(self.tails), bias=False)
        self.projections = nn.ModuleDict(
            {name: nn.Linear(width, narrow, bias=False) for name, _, _, narrow in self.tails}
        )
        if embedding is None:
            self.weight = nn.Parameter(torch.zeros(config.adaptive_cutoffs[0], width))
            self.tables = nn.ModuleDict(
                {name: nn.Linear(narrow, end - start, bias=False) for name, start, end, narrow in self.tails}
            )

    def forward(self, x):
        tables = self.tied[0] if self.tied else self
        entries = self.clusters(x)
        parts = [nn.functional.linear(x, tables.weight)]
        for index, (name, *_) in enumerate(self.tails):
            inside = nn.functional.linear(self.projections[name](x), tables.tables[name].weight)
            inside = inside.float().log_softmax(-1).to(x.dtype)
            parts.append(entries[..., index : index + 1] + inside)
        return torch.cat(parts, -1)


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps), times a gain."""

    def __init__(self, width, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x):
        wide = x.float()
        scaled = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return self.weight * scaled.to(x.dtype)


def rotated(x, positions, theta):
    """Rotary positions, two-halves convention: x [B, H, L, D] at positions [B, L]."""
    half = x.shape[-1] // 2
    rates = theta ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = positions[:, None, :, None].double().cpu() * rates
    cosine, sine = (f(angles).to(x.device, x.dtype) for f in (torch.cos, torch.sin))
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cosine - b * sine, b * cosine + a * sine], -1)


def sinusoids(positions, width, deviation):
    """Fixed positions [B, L, C], as large as embeddings of this deviation."""
    half = width // 2
    rates = 10_000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = positions[..., None].double().cpu() * rates
    table = torch.zeros(*positions.shape, width, dtype=torch.float64)
    table[..., :half], table[..., half : 2 * half] = angles.sin(), angles.cos()
    return math.sqrt(2) * deviation * table


def mix(z):
    """One step of SplitMix64 on integers modulo 2^64, held in int64."""
    z = z + (0x9E3779B97F4A7C15 - 2**64)
    z = (z ^ shifted(z, 30)) * (0xBF58476D1CE4E5B9 - 2**64)
    z = (z ^ shifted(z, 27)) * (0x94D049BB133111EB - 2**64)
    return z ^ shifted(z, 31)


def shifted(z, bits):
    """Shift to the right with zeros from the left."""
    return (z >> bits) & (2 ** (64 - bits) - 1)


class NgramRows(nn.Embedding):
    """Rows that are chosen by a hash of the last `order` tokens."""

    def __init__(self, rows, width, order):
        super().__init__(rows, width)
        self.order = order

    def forward(self, ids, starts):
        """ids [B, P] of whole sequences, the first starts [B] of which are padding."""
        positions = torch.arange(ids.shape[1], device=ids.device)
        ids = torch.where(positions >= starts[:, None], ids, 2**32 - 1)
        key = mix(torch.full_like(ids, self.order))
        for back in reversed(range(self.order)):
            past = nn.functional.pad(ids, (back, 0), value=2**32 - 1)[:, : ids.shape[1]]
            key = mix(key ^ past)
        # floor(key rows / 2^64), in two halves of 32 bits.
        upper = shifted(key, 32) * self.num_embeddings
        lower = (key & (2**32 - 1)) * self.num_embeddings
        return super().forward((upper + (lower >> 32)) >> 32)


class Attention(nn.Module):
    """Projections, positions and cache; a subclass says in `attend` what is looked at."""

    # What the cache keeps of every position beside its value: "key", "query" and "input".
    remembered = ("key",)

    def __init__(self, config, index):
        super().__init__()
        width, head_width = config.hidden_size, config.head_dim
        self.config = config
        self.index = index
        self.options = config.attention
        self.heads = config.num_attention_heads
        # Heads of queries for each of keys and values.
        self.group = self.heads // config.num_key_value_heads
        self.scale = 1 / math.sqrt(head_width)
        bias = config.qkv_bias or config.attention_bias
        for name, heads in (("q", self.heads), ("k", None), ("v", None)):
            rows = (heads or config.num_key_value_heads) * head_width
            self.add_module(name + "_proj", nn.Linear(width, rows, bias=bias))
        self.o_proj = nn.Linear(self.heads * head_width, width, bias=config.attention_bias)
        if config.qk_norm:
            self.q_norm = RMSNorm(head_width, config.rms_norm_eps)
            self.k_norm = RMSNorm(head_width, config.rms_norm_eps)
        if config.position == "relativeBias":
            self.relative_bias = nn.Parameter(torch.zeros(self.heads, config.relative_bias_length))

    def attend(self, query, past):
        """What the last L of P positions see, [B, H, L, D].

        query is [B, H, L, D]; past has "value" and what is remembered, each [B, H, P, D].
        """
        raise NotImplementedError

    def bias(self, distances):
        """The learned bias [H, ...] of distances, or 0; larger ones share the last entry."""
        if self.config.position != "relativeBias":
            return 0
        return self.relative_bias[:, distances.clamp(0, self.relative_bias.shape[1] - 1)]

    def positions(self, query, past):
        """Of queries, [L, 1], and of all that they may look at, [P]."""
        length = past["value"].shape[-2]
        everything = torch.arange(length, device=query.device)
        return everything[length - query.shape[-2] :, None], everything

    def by_head(self, x, width=None):
        """Columns of every head, [B, heads, L, width]; of H heads unless their width is given."""
        heads = x.shape[-1] // width if width else self.heads
        return x.unflatten(-1, (heads, -1)).transpose(1, 2)

    def repeated(self, x):
        """Heads of keys or values, each as often as heads of queries share it."""
        return x.repeat_interleave(self.group, 1) if self.group > 1 else x

    def forward(self, x, positions, starts, cache):
        width = self.config.head_dim
        query, key, value = (self.by_head(p(x), width) for p in (self.q_proj, self.k_proj, self.v_proj))
        if self.config.qk_norm:
            query, key = self.q_norm(query), self.k_norm(key)
        if self.config.position == "rotary":
            query, key = (rotated(t, positions, self.config.rope_theta) for t in (query, key))
        # What has as many heads as queries stands beside keys of as many.
        shares = self.remembered == ("key",)
        if not shares:
            key, value = self.repeated(key), self.repeated(value)
        # Side by side in the place of the keys, so that any cache that grows carries them.
        whole = nn.functional.pad(x, (0, -x.shape[-1] % self.heads))
        own = {"key": key, "query": query, "input": self.by_head(whole)}
        kept = torch.cat([own[name] for name in self.remembered], -1)
        if cache is not None:
            seen = cache.get_seq_length(self.index)
            kept, value = cache.update(kept, value, self.index)
            if value.shape[-2] != seen + x.shape[1]:
                raise ValueError("this model needs a cache that grows by what it is given, a DynamicCache")
        if shares:
            kept, value = self.repeated(kept), self.repeated(value)
        widths = [own[name].shape[-1] for name in self.remembered]
        past = dict(zip(self.remembered, kept.split(widths, -1)), value=value)
        out = self.attended(query, past, starts)
        return self.o_proj(out.transpose(1, 2).flatten(-2).to(x.dtype))

    def attended(self, query, past, starts):
        if not starts.any():
            return self.attend(query, past)
        # Blocks and regions count from the first token, which padding moves.
        rows = []
        for row, start in enumerate(starts.tolist()):
            begin = past["value"].shape[-2] - query.shape[-2]
            padding = max(0, start - begin)
            alone = {name: t[row : row + 1, :, start:] for name, t in past.items()}
            out = torch.zeros_like(query[row : row + 1])
            if padding < query.shape[-2]:
                out[:, :, padding:] = self.attend(query[row : row + 1, :, padding:], alone)
            rows.append(out)
        return torch.cat(rows)


def softmax_over(logits, allowed, values):
    """Softmax in float32 over what is allowed, times the values."""
    weights = logits.float().masked_fill(~allowed, -math.inf).softmax(-1)
    return weights.to(values.dtype) @ values


class SwiGLU(nn.Module):
    def __init__(self, config):
        super().__init__()
        width, hidden = config.hidden_size, config.intermediate_size
        self.gate_proj = nn.Linear(width, hidden, bias=False)
        self.up_proj = nn.Linear(width, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, width, bias=False)

    def forward(self, x):
        return self.down_proj(nn.functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, config, index, attention):
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = attention(config, index)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = SwiGLU(config)

    def forward(self, x, *places):
        x = x + self.self_attn(self.input_layernorm(x), *places)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    def __init__(self, config, attention):
        super().__init__()
        self.config = config
        if config.adaptive_cutoffs:
            self.embed_tokens = AdaptiveEmbedding(config)
        else:
            self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        if config.bigram_rows:
            self.bigram_rows = NgramRows(config.bigram_rows, config.hidden_size, 2)
        if config.trigram_rows:
            self.trigram_rows = NgramRows(config.trigram_rows, config.hidden_size, 3)
        layers = (Layer(config, index, attention) for index in range(config.num_hidden_layers))
        self.layers = nn.ModuleList(layers)
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, ids, mask, cache):
        seen = 0 if cache is None else cache.get_seq_length()
        starts = torch.zeros(len(ids), dtype=torch.long, device=ids.device)
        if mask is not None:
            if mask.dim() != 2:
                raise ValueError(f"attention_mask has {mask.dim()} dimensions, expected 2: [B, P]")
            starts = (mask.cumsum(-1) == 0).sum(-1).to(ids.device)
        positions = torch.arange(seen, seen + ids.shape[1], device=ids.device)
        positions = (positions - starts[:, None]).clamp(min=0)
        x = self.embed_tokens(ids)
        for name in ("bigram_rows", "trigram_rows"):
            if getattr(self.config, name):
                x = x + getattr(self, name)(ids, starts)
        if self.config.position == "sinusoidal":
            table = sinusoids(positions, x.shape[-1], self.config.initializer_range)
            x = x + table.to(x.device, x.dtype)
        for layer in self.layers:
            x = layer(x, positions, starts, cache)
        return self.norm(x)


class DecoderForCausalLM(PreTrainedModel, GenerationMixin):
    """The decoder with its head; a subclass names the attention."""

    config_class = DecoderConfig
    base_model_prefix = "model"
    attention = Attention
    _no_split_modules = ["Layer"]
    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}
    # They have a file of their own.
    _keys_to_ignore_on_load_missing = [r"model\.(bigram|trigram)_rows\.weight"]

    def __init__(self, config):
        super().__init__(config)
        self.model = Decoder(config, self.attention)
        if config.adaptive_cutoffs:
            # Nothing is stored twice: a tied head looks at the tables of the embeddings.
            self._tied_weights_keys = {}
            table = self.model.embed_tokens if config.tie_word_embeddings else None
            self.lm_head = AdaptiveHead(config, table)
        else:
            self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    @classmethod
    def from_pretrained(cls, folder, *arguments, **options):
        loaded = super().from_pretrained(folder, *arguments, **options)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        path = os.path.join(str(folder), "ngrams.safetensors")
        if model.has_ngrams and os.path.exists(path):
            from safetensors import safe_open

            weights = dict(model.named_parameters())
            with safe_open(path, "pt") as file, torch.no_grad():
                for name in ("model.bigram_rows.weight", "model.trigram_rows.weight"):
                    if name in weights:
                        weights[name].copy_(file.get_tensor(name))
        return loaded

    @property
    def has_ngrams(self):
        return bool(self.config.bigram_rows or self.config.trigram_rows)

    def get_input_embeddings(self):
        return self.model.embed_tokens

    def set_input_embeddings(self, table):
        self.model.embed_tokens = table

    def get_output_embeddings(self):
        return self.lm_head

    def set_output_embeddings(self, head):
        self.lm_head = head

    # generate() looks for the name kwargs.
    def prepare_inputs_for_generation(self, input_ids, *arguments, **kwargs):
        if self.has_ngrams:
            # The row of a token depends on tokens before it, which no cache keeps: all are read again.
            mask = kwargs.get("attention_mask")
            return {"input_ids": input_ids, "attention_mask": mask, "use_cache": False}
        return super().prepare_inputs_for_generation(input_ids, *arguments, **kwargs)

    def forward(
        self, input_ids, attention_mask=None, cache=None, past_key_values=None, labels=None,
        use_cache=None, logits_to_keep=0, return_dict=True, **others,
    ):
        # transformers before 5.20 calls the cache past_key_values.
        cache = past_key_values if cache is None else cache
        use_cache = self.config.use_cache if use_cache is None else use_cache
        if self.has_ngrams:
            if cache is not None and cache.get_seq_length() > 0:
                raise ValueError("a model with rows of n-grams reads whole sequences: leave out the cache")
            cache = None
        elif cache is None and use_cache and not self.training:
            cache = DynamicCache()
        x = self.model(input_ids, attention_mask, cache)
        logits = self.lm_head(x[:, -logits_to_keep:] if logits_to_keep else x)
        loss = None
        if labels is not None:
            loss = self.loss_function(logits, labels, self.config.vocab_size)
        if not return_dict:
            return (logits,) if loss is None else (loss, logits)
        return CausalLMOutputWithPast(loss, logits, cache)
