"""Writes what long greedy runs, an adapter on some projections and 8-bit AdamW give, beside the folders of make_fixtures.py.

Run:  python make_training_fixtures.py   (a minute on one CPU core; it changes none of the other folders)
Made with: see VERSIONS, which the script checks and writes into every expected.json.

    greedy-256/     256 greedy tokens of transformers' `generate` for the checkpoints and prompts of make_fixtures.py
    tied-lora-qv/   a PEFT adapter for tied/ on q_proj and v_proj alone, r 3, alpha 5: gradients, 20 steps of AdamW
    adamw-8bit/     the code maps of bitsandbytes, and 20 steps of its AdamW8bit on a vector

Last bits of sums differ between kinds of processors, so the same versions give the same bytes on one kind only.
"""

import json

import bitsandbytes
import numpy
import peft
import torch
import transformers
from safetensors.torch import save_file

import make_fixtures as base

VERSIONS = {**base.VERSIONS, "bitsandbytes": "0.50.2"}
TOKENS = 256
STEPS = 20
LENGTH = 5_000  # nineteen blocks of 256 and a part of one
STEP_SIZES = dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)


def write_json(folder, content):
    content = {"script": "make_training_fixtures.py", "versions": VERSIONS, **content}
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in content.items()]
    (folder / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def write_arrays(folder, name, arrays):
    save_file({key: array.contiguous() for key, array in sorted(arrays.items())}, folder / name)
    (folder / name).chmod(0o644)


def make_greedy():
    """Continues the prompts of make_fixtures.py; the first 64 tokens are those that it found."""
    folder = base.fresh("greedy-256")
    content = {}
    for name in ["tied", "tied-lora", "untied", "wide"]:
        short = json.loads((base.HERE / name / "expected.json").read_text())["greedy"]
        model, prompt = base.load(name), torch.tensor(short["prompt"])
        generation = transformers.GenerationConfig(do_sample=False, max_new_tokens=TOKENS, eos_token_id=None,
                                                   pad_token_id=0)
        model.generation_config = generation
        with torch.no_grad():
            out = model.generate(prompt[None], generation_config=generation)[0]
            top = model(out[None]).logits[0, len(prompt) - 1 : -1].topk(2).values
        tokens = out[len(prompt) :].tolist()
        assert len(tokens) == TOKENS and tokens[: len(short["tokens"])] == short["tokens"]
        content[name] = {"prompt": short["prompt"], "tokens": tokens,
                         "smallest_margin": (top[:, 0] - top[:, 1]).min().item()}
    write_json(folder, content)


def make_adapter_on_some():
    folder = base.fresh("tied-lora-qv")
    torch.manual_seed(base.SEED + 7)
    config = peft.LoraConfig(r=3, lora_alpha=5, lora_dropout=0.0, bias="none", target_modules=["q_proj", "v_proj"],
                             task_type="CAUSAL_LM")
    adapted = peft.get_peft_model(base.load("tied"), config)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.copy_(0.1 * torch.randn_like(parameter))
            if "lora_" in name:
                parameter.copy_(base.representable_in_bf16(parameter))
    adapted.save_pretrained(folder)
    (folder / "adapter_model.safetensors").chmod(0o644)
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    written = json.loads(path.read_text())
    written["base_model_name_or_path"] = "tied"
    written["target_modules"] = sorted(written["target_modules"])
    path.write_text(json.dumps(written, indent=2, sort_keys=True) + "\n")

    batches = json.loads((base.HERE / "tied" / "expected.json").read_text())["batches"]
    batches = [[(torch.tensor(row["ids"]), torch.tensor(row["labels"])) for row in batch] for batch in batches]
    names = [name for name, parameter in adapted.named_parameters() if parameter.requires_grad]
    loss, count, grads = base.gradients(adapted, batches[0], names)
    arrays = {f"grad.{name.replace('.default', '')}": grad for name, grad in grads.items()}
    losses = base.train(adapted, batches)
    parameters = dict(adapted.named_parameters())
    arrays |= {f"trained.{name.replace('.default', '')}": parameters[name].detach() for name in names}
    write_arrays(folder, "expected.safetensors", arrays)
    write_json(folder, {"batches": "those of ../tied/expected.json", "loss": loss, "labelled_tokens": count,
                        "training_losses": losses})


def gradient(step):
    """Exact in 32 bits up to one division, so that the test can make the same: another size in each block.

    Sizes differ by no more than five within a block: on the CPU, bitsandbytes finds codes in a table of 65,536 entries, which
    has no nearest code for values far below the largest.
    """
    i = numpy.arange(LENGTH, dtype=numpy.int64)
    mixed = i * 7919 + step * 104_729
    whole = ((200 + mixed % 801) * (1 - 2 * (mixed // 801 % 2))).astype(numpy.float32)
    scale = numpy.array([1e3, 1e4, 1e5, 1e6, 1e7], dtype=numpy.float32)[i // 256 % 5]
    return torch.from_numpy(whole / scale)


def make_eight_bits():
    folder = base.fresh("adamw-8bit")
    parameter = torch.nn.Parameter(gradient(99) * 10)
    optimizer = bitsandbytes.optim.AdamW8bit([parameter], **STEP_SIZES)
    for step in range(STEPS):
        parameter.grad = gradient(step)
        optimizer.step()
    state = optimizer.state[parameter]
    assert state["state1"].dtype == torch.uint8
    exact = torch.nn.Parameter(gradient(99) * 10)
    plain = torch.optim.AdamW([exact], **STEP_SIZES)
    for step in range(STEPS):
        exact.grad = gradient(step)
        plain.step()
    signed = bitsandbytes.functional.create_dynamic_map(signed=True)
    unsigned = bitsandbytes.functional.create_dynamic_map(signed=False)
    arrays = {"code.signed": signed, "code.unsigned": unsigned, "parameter": parameter.detach(),
              "parameter.f32": exact.detach(),
              "first": signed[state["state1"].long()] * state["absmax1"].repeat_interleave(256)[:LENGTH],
              "second": unsigned[state["state2"].long()] * state["absmax2"].repeat_interleave(256)[:LENGTH]}
    write_arrays(folder, "expected.safetensors", arrays)
    write_json(folder, {"steps": STEPS, "length": LENGTH, "optimizer": {**STEP_SIZES, "name": "AdamW8bit"}})


def main():
    found = {**base.found_versions(), "bitsandbytes": bitsandbytes.__version__}
    assert found == VERSIONS, f"made with {VERSIONS}, found {found}"
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    make_greedy()
    make_adapter_on_some()
    make_eight_bits()


if __name__ == "__main__":
    main()
