"""A BERT classifier's forward pass, written for training throughput; the same function as Hugging Face's.

    fast = FastBertClassifier(model)        # shares the parameters of a BertForSequenceClassification
    logits = fast(input_ids, attention_mask, token_type_ids)
    loss.backward()                         # gradients arrive in `model`'s own parameters

What differs from the stock forward is only the order of the work, never the result (tests compare logits and gradients,
in fp32, to 1e-5). What each brings is measured in the chapter `bench_training`:

1. *Last layer, first token only.* The classifier reads the hidden state of [CLS] alone, so in the last layer only keys
   and values are needed at every token. Of a layer's 12 d² multiplications per token, 2 d² remain.
2. *One matrix product for query, key and value*, with the weights concatenated on the fly.
3. *bf16 from end to end* where the CPU or GPU computes it: weights are cast once a step, and activations stay bf16
   between operators. Autocast casts back and forth at each LayerNorm, softmax and residual.
4. *Dropout from random bytes.* `bernoulli_` is 19% of a stock training step on a CPU. Dropping where a 16-bit random
   integer lies below round(p · 65536) has the same distribution to 2^-17 and costs a fraction of that.
5. *Few distinct shapes.* Sequences are padded to a multiple of 8 tokens: oneDNN compiles and caches a kernel for each
   shape. In one trial on a busy machine memory was 1.7 GB and not 2.8; speed was not resolved.
6. *Frozen word table* (chosen in the configuration, not here): no dense 11.9 M-parameter gradient.
"""

import contextlib
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from seo_core.machine import onednn_capped


class ByteDropout:
    """Inverted dropout whose masks come from NumPy's SFC64, whose state a checkpoint holds: an element is dropped where
    a uniform 16-bit integer is below round(p · 2^16), and the rest is scaled by 1 / (1 − p')."""

    def __init__(self, seed: int = 0):
        self.generator = np.random.Generator(np.random.SFC64(seed))

    def __call__(self, x: torch.Tensor, p: float) -> torch.Tensor:
        """`x` of any shape with elements dropped with probability p; x itself where p is 0."""
        threshold = round(p * 65536)
        if not threshold:
            return x
        words = self.generator.integers(0, 2**64, size=(x.numel() + 3) // 4, dtype=np.uint64, endpoint=False)
        draws = torch.from_numpy(words).view(torch.int16)[: x.numel()].view(x.shape)
        kept = draws >= threshold - 32768  # int16 is uniform on [-32768, 32767]
        return x * kept.to(x.dtype).mul_(65536 / (65536 - threshold)).to(x.device)

    @contextlib.contextmanager
    def again(self, state: dict):
        """Draws what was drawn from `state` on, and then goes on as if nothing had been: for a recomputed layer."""
        now = self.generator.bit_generator.state
        self.generator.bit_generator.state = state
        try:
            yield
        finally:
            self.generator.bit_generator.state = now

    def state_dict(self) -> dict:
        """The generator's state as plain integers and lists (JSON can hold it)."""
        state = self.generator.bit_generator.state
        return {**state, "state": {"state": [int(v) for v in state["state"]["state"]]}}

    def load_state_dict(self, state: dict) -> None:
        """Restores what `state_dict` returned."""
        self.generator.bit_generator.state = {
            **state, "state": {"state": np.array(state["state"]["state"], dtype=np.uint64)}}


@dataclass(frozen=True)
class Collect:
    """Which inner states a forward pass keeps. Layers are counted from 1; 0 is what the embeddings give."""

    hidden: tuple[int, ...] = ()  # hidden states after these layers
    relations: tuple[int, ...] = ()  # queries, keys and values of these layers

    @property
    def top(self) -> int:
        """The last layer that has to be computed."""
        return max((*self.hidden, *self.relations), default=0)


@dataclass
class States:
    """What `Collect` asked for. T may be a little more than the batch's, see `multiple`; `mask` says what is real."""

    mask: torch.Tensor  # (B, T) bool: True where there is a token
    hidden: dict[int, torch.Tensor] = field(default_factory=dict)  # (B, T, d)
    relations: dict[int, tuple[torch.Tensor, ...]] = field(default_factory=dict)  # q, k, v: (B, T, nh·hs) each


class FastBertClassifier(nn.Module):
    """The forward pass of a `BertForSequenceClassification` (stock or compact), sharing its parameters. `dtype` is the
    compute type (torch.float32, bfloat16 or float16); parameters and their gradients stay in the model's own type.
    checkpointing: a layer keeps its input alone for the backward pass, which computes the layer again, with the same
    dropout (Chen et al. 2016); layers whose inner states are collected stay as they are. Raises ValueError for an
    architecture it does not know: use the model itself then."""

    def __init__(self, model, *, dtype: torch.dtype = torch.float32, seed: int = 0, first_token_only: bool = True,
                 byte_dropout: bool = True, multiple: int = 8, checkpointing: bool = False):
        super().__init__()
        if not supports(model):
            raise ValueError(f"the fast path knows BertForSequenceClassification with absolute positions and GELU, "
                             f"not {type(model).__name__}: train the model itself (fast=False)")
        self.model, self.dtype, self.multiple = model, dtype, multiple
        self.first_token_only, self.byte_dropout, self.random = first_token_only, byte_dropout, ByteDropout(seed)
        self.checkpointing = checkpointing

    def forward(self, input_ids, attention_mask=None, token_type_ids=None, *, collect: Collect | None = None, **_):
        """Token ids, mask and segment ids, each (B, T) -> logits (B, k) in fp32; with `collect`: (logits, States)."""
        x, states = self._encode(input_ids, attention_mask, token_type_ids, collect or Collect())
        logits = self._classify(x)[0]
        return logits if collect is None else (logits, states)

    def with_pooled(self, input_ids, attention_mask=None, token_type_ids=None, **_):
        """As `forward`, with what the classifier read: (logits (B, k) in fp32, pooled (B, d) after dropout)."""
        return self._classify(self._encode(input_ids, attention_mask, token_type_ids, Collect())[0])

    def states(self, collect: Collect, input_ids, attention_mask=None, token_type_ids=None, **_) -> States:
        """What `collect` asks for, without logits: layers above the last one needed are not computed."""
        return self._encode(input_ids, attention_mask, token_type_ids, collect, upto=collect.top)[1]

    def _classify(self, x):
        pooled = torch.tanh(self._linear(self.model.bert.pooler.dense, x[:, 0]))  # (B, d)
        pooled = self._dropout(pooled, self.model.dropout.p)
        return self._linear(self.model.classifier, pooled).float(), pooled

    def _encode(self, input_ids, attention_mask, token_type_ids, collect: Collect, upto: int | None = None):
        """-> (x (B, T or 1, d) after the last layer, or after `upto` layers; States)."""
        bert, layers = self.model.bert, self.model.bert.encoder.layer
        if collect.top > len(layers):
            raise ValueError(f"layer {collect.top} was asked for and the network has {len(layers)}")
        attention_mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        extra = -input_ids.shape[1] % self.multiple
        if 0 < extra <= self.model.config.max_position_embeddings - input_ids.shape[1]:
            input_ids, attention_mask, token_type_ids = (
                None if t is None else F.pad(t, (0, extra)) for t in (input_ids, attention_mask, token_type_ids))
        x = self._embed(bert.embeddings, input_ids, token_type_ids)  # (B, T, d)
        states = States(attention_mask != 0, {0: x} if 0 in collect.hidden else {})
        bias = None
        if not bool(attention_mask.all()):
            # added to the scores: 0 where there is a token, −∞ where there is padding; (B, 1, 1, T)
            bias = torch.zeros(attention_mask.shape, dtype=self.dtype, device=x.device)
            bias = bias.masked_fill_(attention_mask == 0, float("-inf"))[:, None, None, :]
        for number, layer in enumerate(layers[:upto], start=1):
            first = self.first_token_only and number == len(layers) and number not in collect.hidden
            relations = states.relations if number in collect.relations else None
            forward = self._again if self.checkpointing and relations is None else self._layer
            x = forward(layer, x, bias, first, relations, number)
            if number in collect.hidden:
                states.hidden[number] = x
        return x, states

    def _embed(self, embeddings, input_ids, token_type_ids):
        positions = embeddings.position_embeddings.weight[: input_ids.shape[1]]  # (T, d)
        x = self._words(embeddings, input_ids) + positions
        segments = embeddings.token_type_embeddings.weight
        x = x + (segments[0] if token_type_ids is None else F.embedding(token_type_ids, segments))
        x = self._norm(embeddings.LayerNorm, x.to(self.dtype))
        return self._dropout(x, embeddings.dropout.p)

    def _words(self, embeddings, input_ids):
        return embeddings.word_embeddings(input_ids)  # (B, T, d)

    def _again(self, *given):
        """As `_layer`, which the backward pass calls again in place of what it would have kept."""
        state = self.random.generator.bit_generator.state
        return checkpoint(self._layer, *given, use_reentrant=False, determinism_check="none",
                          context_fn=lambda: (contextlib.nullcontext(), self.random.again(state)))

    def _layer(self, layer, x, bias, first: bool, relations: dict | None, number: int):
        """x (B, T, d) -> (B, T, d), or (B, 1, d) if `first`; q, k and v go into `relations` where there is one."""
        attention, output = layer.attention.self, layer.attention.output
        heads = attention.num_attention_heads
        queries = x[:, :1] if first else x  # (B, Q, d)
        if first and relations is None:
            q = self._linear(attention.query, queries)
            k, v = self._joint(x, attention.key, attention.value)
        else:
            q, k, v = self._joint(x, attention.query, attention.key, attention.value)
            if relations is not None:
                relations[number] = q, k, v
            q = q[:, :1] if first else q
        q, k, v = (t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in (q, k, v))  # (B, nh, T, hs)
        y = self._attend(q, k, v, bias, attention.dropout.p).transpose(1, 2).flatten(2)  # (B, Q, nh·hs)
        y = self._dropout(self._linear(output.dense, y), output.dropout.p)
        x = self._norm(output.LayerNorm, y + queries)
        y = F.gelu(self._linear(layer.intermediate.dense, x))  # (B, Q, neurons)
        y = self._dropout(self._linear(layer.output.dense, y), layer.output.dropout.p)
        return self._norm(layer.output.LayerNorm, y + x)

    def _attend(self, q, k, v, bias, p):
        """softmax(q kᵀ / √hs + bias) v, with dropout on the probabilities in training. One fused kernel, but where its
        backward pass took seven times as long: in bf16 on a CPU (32 pairs of 40 tokens: 62 ms against 8)."""
        slow = q.device.type == "cpu" and q.dtype == torch.bfloat16 and torch.is_grad_enabled() and q.requires_grad
        if not (slow or self.training and p > 0):
            return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        scores = (q * (q.shape[-1] ** -0.5)) @ k.transpose(-1, -2)  # (B, nh, Q, T)
        probabilities = torch.softmax(scores if bias is None else scores + bias, dim=-1)
        return self._dropout(probabilities, p) @ v

    def _joint(self, x, *linears):
        """Several linear maps of the same x as one matrix product."""
        weight = torch.cat([m.weight.to(self.dtype) for m in linears])
        y = F.linear(x, weight, torch.cat([m.bias.to(self.dtype) for m in linears]))
        return y.split([m.out_features for m in linears], dim=-1)

    def _linear(self, module, x):
        return F.linear(x, module.weight.to(self.dtype), module.bias.to(self.dtype))

    def _norm(self, module, x):
        return F.layer_norm(x, module.normalized_shape, module.weight.to(self.dtype), module.bias.to(self.dtype),
                            module.eps)

    def _dropout(self, x, p):
        if not self.training or p == 0:
            return x
        return self.random(x, p) if self.byte_dropout else F.dropout(x, p)


def supports(model) -> bool:
    """Whether the fast path computes what this model computes."""
    config = getattr(model, "config", None)
    return (type(model).__name__ in ("BertForSequenceClassification", "CompactBertForSequenceClassification")
            and config.hidden_act == "gelu"
            and getattr(config, "position_embedding_type", "absolute") in (None, "absolute")
            and not getattr(config, "add_cross_attention", False))


def compute_dtype(precision: str, device) -> torch.dtype:
    """torch.bfloat16, float16 or float32 for "auto", "bf16", "fp16" or "fp32" on this device."""
    if precision == "fp16":
        return torch.float16
    return torch.bfloat16 if precision == "bf16" or precision == "auto" and has_bf16(device) else torch.float32


def has_bf16(device) -> bool:
    """Whether matrix products in bf16 run natively: AVX512-BF16 or AMX on a CPU, Ampere or later on a GPU."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu" or onednn_capped():
        return False
    return any(torch.cpu.get_capabilities().get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def forward_module(model, dtype: torch.dtype, *, fast: bool = True, **options):
    """The module to call: the fast forward pass over `model`'s parameters where it is known, else `model`; of a network
    with step sizes (`quantization.qat.attach`) that of its quantizer, in integers. options: `FastBertClassifier`'s."""
    quantizer = getattr(model, "quantizer", None)  # of quantization-aware training
    if quantizer is not None and not fast:
        raise ValueError("a network with step sizes computes in integers on the fast path alone: use fast=True")
    if fast and supports(model):
        make = FastBertClassifier if quantizer is None else quantizer.forward_module
        return make(model, dtype=dtype, **options).train(model.training)
    return model


def call(network, inputs: dict, dtype: torch.dtype, stock: bool):
    """What `network` (of `forward_module`) makes of a batch: logits (B, k) in fp32, of tags (B, T, k), of the start and
    the end of an answer (B, 2, T), −∞ at padding; or a tuple as it is. stock: it is the model itself, which computes in
    `dtype` under autocast."""
    with torch.autocast(inputs["input_ids"].device.type, dtype, enabled=stock and dtype != torch.float32):
        out = network(**inputs)
    if hasattr(out, "start_logits"):
        ends = torch.stack([out.start_logits, out.end_logits], dim=1).float()
        return ends.masked_fill(inputs["attention_mask"][:, None] == 0, float("-inf"))
    return out if isinstance(out, tuple) else (out.logits if hasattr(out, "logits") else out).float()
