#!/usr/bin/env python3
"""Trains a LoRA adapter on a table of `tn tokenize`, with transformers and PEFT: on one device, or sharded over many with FSDP.

    python fsdp_train.py --base DIR --tokens TOKENS.parquet --output ADAPTER
    torchrun --nproc-per-node 8 fsdp_train.py --base DIR --tokens TOKENS.parquet --output ADAPTER
    torchrun --nnodes 4 --nproc-per-node 8 --rdzv-backend c10d --rdzv-endpoint HOST:29500 fsdp_train.py ...

Needs torch >= 2.6, transformers, peft, pyarrow. The rows are read in their order, `--batch` of them a step, divided among the
processes; the loss, the clipping, AdamW and the learning rate are those of `tn train`, so that the same start gives the same curve up to
rounding. The adapter is one of PEFT, for `tn merge`, `tn generate --adapter` and vLLM.
"""

import argparse
import json
import math
import os
from pathlib import Path

import peft
import pyarrow.parquet
import torch
import torch.distributed
import torch.distributed.checkpoint.state_dict as sharded
import torch.distributed.fsdp
import transformers

NO_LOSS = -100
PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True, help="checkpoint: config.json, safetensors, tokenizer.json")
    parser.add_argument("--tokens", type=Path, required=True, help="table of tn tokenize")
    parser.add_argument("--output", type=Path, required=True, help="folder of the adapter")
    parser.add_argument("--adapter", type=Path, help="adapter to go on with, instead of a new one")
    parser.add_argument("--steps", type=int, help="optimizer steps [default: as many as the table has batches]")
    parser.add_argument("--batch", type=int, default=8, help="rows of an optimizer step, over all processes")
    parser.add_argument("--lora-rank", type=int, default=32)
    parser.add_argument("--lora-alpha", type=float, default=32.0)
    parser.add_argument("--lr", type=float, default=2e-4)
    parser.add_argument("--warmup", type=float, default=0.01, help="share of the steps over which the learning rate rises")
    parser.add_argument("--schedule", choices=["cosine", "linear", "constant"], default="cosine")
    parser.add_argument("--weight-decay", type=float, default=0.01)
    parser.add_argument("--clip-norm", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=42, help="seed of a new adapter")
    parser.add_argument("--dtype", choices=["auto", "float32", "bfloat16"], default="auto",
                        help="numbers of the base [default: bfloat16 on GPUs, float32 on the processor]")
    parser.add_argument("--recompute", action="store_true", help="recompute activations instead of storing them")
    return parser.parse_args()


def join():
    """Joins the processes that torchrun started. Returns rank, processes and device."""
    ranks = int(os.environ.get("WORLD_SIZE", 1))
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(device)
    if ranks > 1:
        torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return int(os.environ.get("RANK", 0)), ranks, device


def content_hash(path):
    """The hash of the file as tn computes it: FNV's basis and prime over words of eight bytes, rotated by 23 bits."""
    mask = (1 << 64) - 1
    value, data = 0xCBF29CE484222325, path.read_bytes()
    padded = data + bytes(-len(data) % 8)
    words = [int.from_bytes(padded[i : i + 8], "little") for i in range(0, len(padded), 8)]
    for word in [*words, len(data)]:
        value = ((value ^ word) * 0x100000001B3) & mask
        value = ((value << 23) | (value >> 41)) & mask
    return f"{value:016x}"


def check_table(table, path, base):
    """Refuses tables of another kind, and tokens of another tokenizer."""
    for column in ["input_ids", "labels", "weights"]:
        if column not in table.schema_arrow.names:
            raise SystemExit(f"{path} has no column {column!r}; is it a table of tn tokenize?")
    written = (table.schema_arrow.metadata or {}).get(b"tn.tokenizer", b"").decode()
    found = content_hash(base / "tokenizer.json")
    if written != found:
        raise SystemExit(f"{path} was made with another tokenizer ({written}) than that of {base} ({found})")


def batches(table, size):
    """Yields rows in their order, `size` at a time; what is left over is a batch, too."""
    batch = []
    for rows in table.iter_batches(batch_size=256, columns=["input_ids", "labels", "weights"]):
        for row in rows.to_pylist():
            if any(label != NO_LOSS and weight > 0 for label, weight in zip(row["labels"][1:], row["weights"][1:])):
                batch.append(row)
            if len(batch) == size:
                yield batch
                batch = []
    if batch:
        yield batch


def endless(table, size):
    while True:
        yield from batches(table, size)


def learning_rate(args, step, steps):
    warmup = math.ceil(args.warmup * steps)
    if step < warmup:
        return args.lr * (step + 1) / warmup
    share = (step - warmup) / max(steps - warmup, 1)
    return args.lr * {"cosine": 0.5 * (1 + math.cos(math.pi * share)), "linear": 1 - share, "constant": 1.0}[args.schedule]


def load(args, device):
    dtype = {"auto": torch.bfloat16 if device.type == "cuda" else torch.float32}.get(args.dtype)
    model = transformers.AutoModelForCausalLM.from_pretrained(args.base, dtype=dtype or getattr(torch, args.dtype))
    model.config.use_cache = False
    if args.recompute:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.enable_input_require_grads()
    if args.adapter:
        model = peft.PeftModel.from_pretrained(model, args.adapter, is_trainable=True)
    else:
        torch.manual_seed(args.seed)  # the same start in every process
        alpha = int(args.lora_alpha) if args.lora_alpha.is_integer() else args.lora_alpha
        config = peft.LoraConfig(r=args.lora_rank, lora_alpha=alpha, lora_dropout=0.0, bias="none", target_modules=PROJECTIONS,
                                 task_type="CAUSAL_LM")
        model = peft.get_peft_model(model, config)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return model.to(device)


def shard(model, device):
    """Shards each block, then the rest. Frozen weights and adapters differ in their numbers, which FSDP2 shards one by one."""
    mesh = torch.distributed.device_mesh.init_device_mesh(device.type, (torch.distributed.get_world_size(),))
    for block in model.base_model.model.model.layers:
        torch.distributed.fsdp.fully_shard(block, mesh=mesh)
    torch.distributed.fsdp.fully_shard(model, mesh=mesh)


def weighted_loss(model, row, device):
    """The sum of the cross-entropies of a row, each by its weight."""
    ids = torch.tensor([row["input_ids"]], device=device)
    labels, weights = torch.tensor(row["labels"][1:], device=device), torch.tensor(row["weights"][1:], device=device)
    with torch.autocast(device.type, torch.bfloat16, enabled=model.dtype == torch.bfloat16):
        logits = model(input_ids=ids).logits[0, :-1]
    losses = torch.nn.functional.cross_entropy(logits.float(), labels, ignore_index=NO_LOSS, reduction="none")
    return (losses * weights).sum()


def total_weight(batch):
    pairs = [pair for row in batch for pair in zip(row["labels"][1:], row["weights"][1:])]
    return sum(weight for label, weight in pairs if label != NO_LOSS)


def step(args, model, optimizer, batch, rank, ranks, device):
    """One optimizer step over a batch, of which every process has its part. Returns the loss and the norm of the gradients.

    FSDP takes the mean over the processes, and all of them have to call the model equally often: who has fewer rows than others
    repeats its last one with weight 0."""
    share = batch[len(batch) * rank // ranks : len(batch) * (rank + 1) // ranks]
    rounds = max(len(batch) * (r + 1) // ranks - len(batch) * r // ranks for r in range(ranks))
    scale, loss = ranks / total_weight(batch), torch.zeros((), dtype=torch.float64)
    for i in range(rounds):
        row, counts = (share[i], 1.0) if i < len(share) else (batch[0], 0.0)
        term = weighted_loss(model, row, device) * (scale * counts)
        term.backward()
        loss += term.detach().double().cpu() / ranks
    if ranks > 1:
        summed = loss.to(device)
        torch.distributed.all_reduce(summed)
        loss = summed.cpu()
    norm = torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], args.clip_norm)
    norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
    optimizer.step()
    optimizer.zero_grad()
    return loss.item(), norm.item()


def save(model, args, rank, ranks):
    state = None
    if ranks > 1:
        options = sharded.StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)
        state = sharded.get_model_state_dict(model, options=options)
    if rank == 0:
        model.save_pretrained(args.output, state_dict=state)


def main():
    args = arguments()
    rank, ranks, device = join()
    table = pyarrow.parquet.ParquetFile(args.tokens)
    check_table(table, args.tokens, args.base)
    steps = args.steps or sum(1 for _ in batches(table, args.batch))
    if steps == 0:
        raise SystemExit(f"{args.tokens} has nothing to learn from")
    if args.batch < ranks:
        raise SystemExit(f"{ranks} processes cannot divide batches of {args.batch} rows among themselves")
    model = load(args, device)
    if ranks > 1:
        shard(model, device)
    model.train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=args.lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=args.weight_decay)
    for number, batch in zip(range(steps), endless(table, args.batch)):
        rate = learning_rate(args, number, steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss, norm = step(args, model, optimizer, batch, rank, ranks, device)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise SystemExit(f"loss or gradients are not finite in step {number}; try a smaller --lr")
        if rank == 0:
            print(json.dumps({"step": number, "loss": loss, "gradient_norm": norm, "learning_rate": rate}), flush=True)
    save(model, args, rank, ranks)
    if ranks > 1:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
