"""One training step, forward and backward, of the shape of `training/step/8x1100_tokens`, in torch on the CPU.

Run by hand, on an idle machine, beside the benchmark of the workspace:

    pip install torch==2.15.0
    python benches/peers/training_step.py
    cargo xtask bench -- training/step

Made with Python 3.11 and torch 2.15.0. It prints the best of six steps, after one for warming up, in f32 and with bf16
autocast; the loss of fresh weights is close to ln 168 = 5.124, as in the benchmark.

The model is the Qwen3 decoder of `Qwen3Config::tiny(168)`: 4 layers, width 128, 4 query and 2 key heads of 32, norms of
queries and keys, rotate-half RoPE, SwiGLU of 384, tied head; 8 sequences of 1,100 tokens. Attention is torch's fused one.
"""

import argparse
import time

import torch
import torch.nn.functional as F

LAYERS, WIDTH, HEADS, KEY_HEADS, HEAD, FEED_FORWARD, VOCABULARY = 4, 128, 4, 2, 32, 384, 168


class Norm(torch.nn.Module):
    def __init__(self, features):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(features))

    def forward(self, x):
        return F.rms_norm(x, self.weight.shape, self.weight, 1e-6)


def linear(inputs, outputs):
    layer = torch.nn.Linear(inputs, outputs, bias=False)
    torch.nn.init.normal_(layer.weight, std=0.02)
    return layer


def rotate(x, cos, sin):
    a, b = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-b, a], dim=-1) * sin


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.input_norm, self.middle_norm = Norm(WIDTH), Norm(WIDTH)
        self.q_norm, self.k_norm = Norm(HEAD), Norm(HEAD)
        self.q, self.k, self.v = linear(WIDTH, HEADS * HEAD), linear(WIDTH, KEY_HEADS * HEAD), linear(WIDTH, KEY_HEADS * HEAD)
        self.o = linear(HEADS * HEAD, WIDTH)
        self.gate, self.up, self.down = linear(WIDTH, FEED_FORWARD), linear(WIDTH, FEED_FORWARD), linear(FEED_FORWARD, WIDTH)

    def forward(self, x, cos, sin):
        batch, length, _ = x.shape
        h = self.input_norm(x)
        q = rotate(self.q_norm(self.q(h).view(batch, length, HEADS, HEAD)).transpose(1, 2), cos, sin)
        k = rotate(self.k_norm(self.k(h).view(batch, length, KEY_HEADS, HEAD)).transpose(1, 2), cos, sin)
        v = self.v(h).view(batch, length, KEY_HEADS, HEAD).transpose(1, 2)
        # Repeated keys and equal types: the fused CPU kernel takes nothing else.
        q, k = q.to(v.dtype), k.to(v.dtype)
        k, v = (t.repeat_interleave(HEADS // KEY_HEADS, dim=1) for t in (k, v))
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.o(attended.transpose(1, 2).reshape(batch, length, HEADS * HEAD))
        h = self.middle_norm(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Decoder(torch.nn.Module):
    def __init__(self, length):
        super().__init__()
        self.embedding = torch.nn.Embedding(VOCABULARY, WIDTH)
        torch.nn.init.normal_(self.embedding.weight, std=0.02)
        self.blocks = torch.nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = Norm(WIDTH)
        frequencies = 10_000.0 ** (-torch.arange(0, HEAD, 2) / HEAD)
        angles = torch.outer(torch.arange(length), frequencies).repeat(1, 2)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, ids):
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        return F.linear(self.norm(x), self.embedding.weight)


def measure(name, model, ids, autocast):
    best, loss = float("inf"), None
    for step in range(7):
        model.zero_grad(set_to_none=True)
        start = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            logits = model(ids)
        loss = F.cross_entropy(logits[:, :-1].float().reshape(-1, VOCABULARY), ids[:, 1:].reshape(-1))
        loss.backward()
        if step > 0:
            best = min(best, time.perf_counter() - start)
    print(f"{name}: {ids.numel() / best:,.0f} tokens per second, loss {loss.item():.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--length", type=int, default=1_100)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    place, sequence = torch.arange(arguments.length), torch.arange(8)[:, None]
    ids = (place * 7919 + sequence * 31 + place * place) % VOCABULARY
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, 8 x {arguments.length} tokens")
    model = Decoder(arguments.length)
    measure("f32", model, ids, autocast=False)
    measure("bf16 autocast", model, ids, autocast=True)


if __name__ == "__main__":
    main()
