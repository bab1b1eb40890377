"""Writes the tiny Qwen3 checkpoints of this folder and what transformers and PEFT compute with them.

Run:  python make_fixtures.py            (seconds on one CPU core)
Made with: see VERSIONS, which the script checks and writes into every expected.json.

    tied/        3 layers, hidden 64, 4 query heads and 2 key heads of 32 (so heads * head_dim != hidden), tied head, f32
    tied-lora/   a PEFT adapter for it, r 4, alpha 8, all seven projections
    untied/      2 layers, head_dim 16, hidden 48, untied head, two shards: the first bf16, the second f32
    wide/        1 layer, 16 query heads and 8 key heads of 128, hidden 16, tied head

All weights are values that bf16 can hold (they compress, and a bf16 copy loses nothing); norm weights are random
around 1. Expected values are computed in f32 with eager attention on one thread. Arrays are in expected.safetensors,
everything else in expected.json. Labels are aligned with the ids as in Hugging Face (the model shifts); -100 is no loss.
"""

import json
import pathlib
import shutil

import peft
import safetensors
import tokenizers
import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import save_file
from transformers import Qwen3Config, Qwen3ForCausalLM

VERSIONS = {
    "torch": "2.15.0+cu132",
    "transformers": "5.23.0",
    "peft": "0.21.2",
    "tokenizers": "0.23.3",
    "safetensors": "0.8.0",
}
HERE = pathlib.Path(__file__).parent
VOCAB = 512
SEED = 20
LENGTHS = [1, 2, 63, 64, 65, 129, 300]
KEPT_POSITIONS = 3  # logits are kept for the last positions of each input only
GREEDY_TOKENS = 64
STEPS = 20
PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def found_versions():
    return {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "peft": peft.__version__,
        "tokenizers": tokenizers.__version__,
        "safetensors": safetensors.__version__,
    }


def load(name):
    """A checkpoint of this folder, or an adapter on its base."""
    model = Qwen3ForCausalLM.from_pretrained(HERE / name.removesuffix("-lora"), dtype=torch.float32,
                                             attn_implementation="eager")
    if name.endswith("-lora"):
        model = peft.PeftModel.from_pretrained(model, HERE / name)
    return model.eval()


def representable_in_bf16(tensor):
    return tensor.to(torch.bfloat16).to(torch.float32)


def build(seed, std, **shape):
    config = Qwen3Config(
        vocab_size=VOCAB,
        max_position_embeddings=2048,
        rms_norm_eps=1e-6,
        attention_dropout=0.0,
        bos_token_id=0,
        eos_token_id=0,
        attn_implementation="eager",
        **shape,
    )
    torch.manual_seed(seed)
    model = Qwen3ForCausalLM(config).eval()
    assert model.config._attn_implementation == "eager"
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                values = 1.0 + 0.25 * torch.randn_like(parameter)
            else:
                values = std * torch.randn_like(parameter)
            parameter.copy_(representable_in_bf16(values))
    return model


def random_ids(generator, length):
    return torch.randint(1, VOCAB, (length,), generator=generator)


def expected_logits(model, lengths, generator, arrays):
    inputs = []
    for length in lengths:
        ids = random_ids(generator, length)
        with torch.no_grad():
            logits = model(ids[None]).logits[0]
        arrays[f"logits.{length}"] = logits[-KEPT_POSITIONS:].clone()
        inputs.append({"length": length, "ids": ids.tolist(), "logits": f"logits.{length}",
                       "first_position": max(0, length - KEPT_POSITIONS)})
    return inputs


def expected_greedy(model, generator):
    """Greedy continuation; end tokens do not stop it. The margin says how safe the choice was."""
    prompt = random_ids(generator, 12)
    generation = transformers.GenerationConfig(do_sample=False, max_new_tokens=GREEDY_TOKENS, eos_token_id=None,
                                               pad_token_id=0)
    model.generation_config = generation
    with torch.no_grad():
        out = model.generate(prompt[None], generation_config=generation)[0]
        top = model(out[None]).logits[0, len(prompt) - 1 : -1].topk(2).values
    assert len(out) == len(prompt) + GREEDY_TOKENS
    return {"prompt": prompt.tolist(), "tokens": out[len(prompt) :].tolist(),
            "smallest_margin": (top[:, 0] - top[:, 1]).min().item()}


def make_batches(generator):
    """Four batches of two sequences, each with a hidden stretch."""
    batches = []
    for _ in range(4):
        sequences = []
        for low, high in [(20, 30), (33, 48)]:
            length = int(torch.randint(low, high, (1,), generator=generator))
            ids = random_ids(generator, length)
            labels = ids.clone()
            labels[3:9] = -100
            labels[-4] = -100
            sequences.append((ids, labels))
        batches.append(sequences)
    return batches


def batch_loss(model, batch):
    """Mean over all labelled tokens of the batch; every sequence by itself, positions from 0."""
    total, count = 0.0, 0
    for ids, labels in batch:
        logits = model(ids[None]).logits[0, :-1]
        total = total + F.cross_entropy(logits, labels[1:], ignore_index=-100, reduction="sum")
        count += int((labels[1:] != -100).sum())
    return total / count, count


def check_against_builtin_loss(model, batch):
    """The same number from the model's own loss, on the right-padded batch."""
    width = max(len(ids) for ids, _ in batch)
    ids = torch.stack([F.pad(i, (0, width - len(i))) for i, _ in batch])
    labels = torch.stack([F.pad(l, (0, width - len(l)), value=-100) for _, l in batch])
    mask = torch.stack([(torch.arange(width) < len(i)).long() for i, _ in batch])
    with torch.no_grad():
        builtin = model(input_ids=ids, labels=labels, attention_mask=mask).loss
        ours, _ = batch_loss(model, batch)
    assert abs(builtin - ours) < 1e-5, (builtin, ours)


def gradients(model, batch, names):
    model.zero_grad()
    loss, count = batch_loss(model, batch)
    loss.backward()
    parameters = dict(model.named_parameters())
    return loss.item(), count, {name: parameters[name].grad.clone() for name in names}


def train(model, batches):
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
    losses = []
    for step in range(STEPS):
        optimizer.zero_grad()
        loss, _ = batch_loss(model, batches[step % len(batches)])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def batches_json(batches):
    return [[{"ids": ids.tolist(), "labels": labels.tolist()} for ids, labels in batch] for batch in batches]


def write_expected(folder, description, arrays, content):
    save_file({name: array.contiguous() for name, array in sorted(arrays.items())}, folder / "expected.safetensors")
    (folder / "expected.safetensors").chmod(0o644)
    content = {"description": description, "script": "make_fixtures.py", "versions": VERSIONS, **content}
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in content.items()]
    (folder / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def fresh(name):
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def save(model, folder):
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    for file in folder.iterdir():
        file.chmod(0o644)


def make_tied():
    folder = fresh("tied")
    shape = dict(num_hidden_layers=3, hidden_size=64, num_attention_heads=4, num_key_value_heads=2, head_dim=32,
                 intermediate_size=160, tie_word_embeddings=True, rope_theta=1_000_000.0)
    model = build(SEED, 0.15, **shape)
    save(model, folder)
    generator = torch.Generator().manual_seed(SEED + 1)
    arrays = {}
    inputs = expected_logits(model, LENGTHS, generator, arrays)
    greedy = expected_greedy(model, generator)
    batches = make_batches(generator)
    check_against_builtin_loss(model, batches[0])

    names = ["model.embed_tokens.weight", "model.layers.1.self_attn.q_proj.weight",
             "model.layers.1.self_attn.q_norm.weight", "model.layers.1.self_attn.k_norm.weight",
             "model.layers.2.mlp.down_proj.weight", "model.layers.0.input_layernorm.weight", "model.norm.weight"]
    loss, count, grads = gradients(model, batches[0], names)
    for name, grad in grads.items():
        arrays[f"grad.{name}"] = grad[:128]  # of the embedding: its first 128 rows
    # What only the input side of the tied embedding, or only its head, would give differs; both sums are kept.
    norms = {name: p.grad.double().norm().item() for name, p in model.named_parameters()}
    adapter = make_adapter(model, batches, generator, shape)
    model = build(SEED, 0.15, **shape)  # training starts from the saved weights
    losses = train(model, batches)
    parameters = dict(model.named_parameters())
    trained = ["model.layers.1.self_attn.q_norm.weight", "model.layers.1.self_attn.k_proj.weight", "model.norm.weight"]
    for name in trained:
        arrays[f"trained.{name}"] = parameters[name].detach()
    write_expected(folder, "base model, f32, eager attention", arrays, {
        "inputs": inputs, "greedy": greedy, "batches": batches_json(batches),
        "loss": loss, "labelled_tokens": count, "gradient_norms": norms,
        "gradients": {name: f"grad.{name}" for name in names},
        "optimizer": {"name": "AdamW", "lr": 1e-3, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.01,
                      "decayed": "all parameters", "clipping": None, "batch_of_step": "step % 4"},
        "training_losses": losses,
    })
    return adapter


def make_adapter(model, batches, generator, shape):
    folder = fresh("tied-lora")
    torch.manual_seed(SEED + 2)
    config = peft.LoraConfig(r=4, lora_alpha=8, lora_dropout=0.0, bias="none", target_modules=PROJECTIONS,
                             task_type="CAUSAL_LM")
    adapted = peft.get_peft_model(build(SEED, 0.15, **shape), config)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.copy_(0.1 * torch.randn_like(parameter))
            if "lora_" in name:
                parameter.copy_(representable_in_bf16(parameter))
    adapted.save_pretrained(folder)
    (folder / "adapter_model.safetensors").chmod(0o644)
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    written = json.loads(path.read_text())
    written["base_model_name_or_path"] = "tied"
    written["target_modules"] = sorted(written["target_modules"])  # PEFT writes a set in any order
    path.write_text(json.dumps(written, indent=2, sort_keys=True) + "\n")

    def key(name):
        return name.replace(".default", "")

    arrays = {}
    inputs = expected_logits(adapted, [2, 65, 129], generator, arrays)
    greedy = expected_greedy(adapted, generator)
    names = [name for name, parameter in adapted.named_parameters() if parameter.requires_grad]
    loss, count, grads = gradients(adapted, batches[0], names)
    for name, grad in grads.items():
        arrays[f"grad.{key(name)}"] = grad
    losses = train(adapted, batches)
    parameters = dict(adapted.named_parameters())
    for name in names:
        if ".layers.1." in name:
            arrays[f"trained.{key(name)}"] = parameters[name].detach()
    write_expected(folder, "base model `tied` with this adapter; gradients of every lora_A and lora_B; base frozen",
                   arrays, {
        "inputs": inputs, "greedy": greedy, "batches": "those of ../tied/expected.json",
        "loss": loss, "labelled_tokens": count, "training_losses": losses,
    })


def make_untied():
    folder = fresh("untied")
    model = build(SEED + 10, 0.2, num_hidden_layers=2, hidden_size=48, num_attention_heads=4, num_key_value_heads=2,
                  head_dim=16, intermediate_size=96, tie_word_embeddings=False, rope_theta=10_000.0)
    save(model, folder)
    (folder / "model.safetensors").unlink()
    shards = [{}, {}]
    for name, tensor in model.state_dict().items():
        second = name.startswith(("model.layers.1.", "model.norm", "lm_head"))
        shards[second][name] = tensor.contiguous() if second else tensor.to(torch.bfloat16).contiguous()
    weight_map, total = {}, 0
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05}-of-00002.safetensors"
        save_file(shard, folder / file, metadata={"format": "pt"})
        (folder / file).chmod(0o644)
        weight_map |= {name: file for name in shard}
        total += sum(t.numel() * t.element_size() for t in shard.values())
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")
    generator = torch.Generator().manual_seed(SEED + 4)
    arrays = {}
    inputs = expected_logits(model, LENGTHS, generator, arrays)
    write_expected(folder, "untied head, rope_theta 10,000, two shards (bf16 and f32)", arrays,
                   {"inputs": inputs, "greedy": expected_greedy(model, generator)})


def make_wide():
    folder = fresh("wide")
    model = build(SEED + 5, 0.25, num_hidden_layers=1, hidden_size=16, num_attention_heads=16, num_key_value_heads=8,
                  head_dim=128, intermediate_size=32, tie_word_embeddings=True, rope_theta=1_000_000.0)
    save(model, folder)
    generator = torch.Generator().manual_seed(SEED + 6)
    arrays = {}
    inputs = expected_logits(model, [1, 65, 300], generator, arrays)
    write_expected(folder, "head_dim 128, 8 key heads", arrays,
                   {"inputs": inputs, "greedy": expected_greedy(model, generator)})


def main():
    assert found_versions() == VERSIONS, f"made with {VERSIONS}, found {found_versions()}"
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    make_tied()
    make_untied()
    make_wide()


if __name__ == "__main__":
    main()
