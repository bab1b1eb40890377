"""The Qwen3 decoder in plain torch, for training.

Where all weights are trained, it is faster than that of transformers: norms are torch's fused ones, and attention gets what the
fused kernel of the CPU takes.
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file


class Norm(torch.nn.Module):
    def __init__(self, features, eps):
        super().__init__()
        self.weight, self.eps = torch.nn.Parameter(torch.ones(features)), eps

    def forward(self, x):
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


def linear(inputs, outputs):
    return torch.nn.Linear(inputs, outputs, bias=False)


def rotate(x, cos, sin):
    a, b = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-b, a], dim=-1) * sin


class Attention(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        width, self.head, eps = config["hidden_size"], config["head_dim"], config["rms_norm_eps"]
        self.heads, self.key_heads = config["num_attention_heads"], config["num_key_value_heads"]
        self.q_proj, self.o_proj = linear(width, self.heads * self.head), linear(self.heads * self.head, width)
        self.k_proj, self.v_proj = (linear(width, self.key_heads * self.head) for _ in range(2))
        self.q_norm, self.k_norm = Norm(self.head, eps), Norm(self.head, eps)

    def forward(self, x, cos, sin):
        batch, length, _ = x.shape
        q = rotate(self.q_norm(self.q_proj(x).view(batch, length, self.heads, self.head)).transpose(1, 2), cos, sin)
        k = rotate(self.k_norm(self.k_proj(x).view(batch, length, self.key_heads, self.head)).transpose(1, 2), cos, sin)
        v = self.v_proj(x).view(batch, length, self.key_heads, self.head).transpose(1, 2)
        # Repeated keys and equal types: the fused CPU kernel takes nothing else.
        q, k = q.to(v.dtype), k.to(v.dtype)
        k, v = (t.repeat_interleave(self.heads // self.key_heads, dim=1) for t in (k, v))
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o_proj(attended.transpose(1, 2).reshape(batch, length, self.heads * self.head))


class FeedForward(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        width, inner = config["hidden_size"], config["intermediate_size"]
        self.gate_proj, self.up_proj, self.down_proj = linear(width, inner), linear(width, inner), linear(inner, width)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        width, eps = config["hidden_size"], config["rms_norm_eps"]
        self.input_layernorm, self.post_attention_layernorm = Norm(width, eps), Norm(width, eps)
        self.self_attn, self.mlp = Attention(config), FeedForward(config)

    def forward(self, x, cos, sin):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(torch.nn.Module):
    """A decoder with a tied head, loaded from a checkpoint folder."""

    def __init__(self, folder, length):
        super().__init__()
        config = json.loads((Path(folder) / "config.json").read_text())
        assert config["tie_word_embeddings"], "the head is the embedding"
        self.embed_tokens = torch.nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = torch.nn.ModuleList(Block(config) for _ in range(config["num_hidden_layers"]))
        self.norm = Norm(config["hidden_size"], config["rms_norm_eps"])
        weights = load_file(Path(folder) / "model.safetensors")
        self.load_state_dict({name.removeprefix("model."): weight.float() for name, weight in weights.items()})
        base = config.get("rope_theta") or config["rope_parameters"]["rope_theta"]
        frequencies = base ** (-torch.arange(0, config["head_dim"], 2) / config["head_dim"])
        angles = torch.outer(torch.arange(length), frequencies).repeat(1, 2)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def loss(self, ids):
        """The mean cross-entropy of all tokens but the first of each sequence."""
        x = self.embed_tokens(ids)
        for block in self.layers:
            x = block(x, self.cos, self.sin)
        logits = F.linear(self.norm(x), self.embed_tokens.weight)
        return F.cross_entropy(logits[:, :-1].float().reshape(-1, logits.shape[-1]), ids[:, 1:].reshape(-1))
