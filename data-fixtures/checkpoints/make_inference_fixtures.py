"""Writes logits after long inputs, sampling rules and learning rates of transformers, beside make_fixtures.py's folders.

Run:  python make_inference_fixtures.py   (seconds on one CPU core; it changes none of the other folders)
Made with: see VERSIONS, which the script checks and writes into every expected.json.

    long-inputs/   the last rows of logits of the four checkpoints after 127 and 1,000 tokens; what bf16 changes in the last one
    sampling/      which tokens the logits processors of `generate` keep, and with which probabilities; ties included
    schedules/     the learning rate of every step of transformers' schedules with warm-up

Last bits of sums differ between kinds of processors, so the same versions give the same bytes on one kind only.
"""

import itertools
import json
import math

import torch
import transformers
from safetensors.torch import save_file

import make_fixtures as base

VERSIONS = {**base.VERSIONS, "transformers": "5.24.0"}
LENGTHS = [127, 1000]
SAMPLED_VOCABULARY = 24


def write_json(folder, content):
    content = {"script": "make_inference_fixtures.py", "versions": VERSIONS, **content}
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in content.items()]
    (folder / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def bf16_error(model, inputs, logits):
    """The root mean square of what the model in bf16 is off, in the last row of each input."""
    model = model.to(torch.bfloat16)
    errors = {}
    with torch.no_grad():
        for row in inputs:
            found = model(torch.tensor([row["ids"]])).logits[0, -1].float()
            errors[row["length"]] = (found - logits[f"logits.{row['length']}"][-1]).square().mean().sqrt().item()
    return errors


def make_long_inputs():
    """The inputs are the same for all checkpoints."""
    folder = base.fresh("long-inputs")
    content, arrays = {"bf16_error": {}}, {}
    for name in ["tied", "tied-lora", "untied", "wide"]:
        generator = torch.Generator().manual_seed(base.SEED + 8)
        logits = {}
        model = base.load(name)
        inputs = base.expected_logits(model, LENGTHS, generator, logits)
        content["bf16_error"][name] = bf16_error(model, inputs, logits)
        content["inputs"] = [{key: row[key] for key in ["length", "ids", "first_position"]} for row in inputs]
        arrays |= {f"{name}.{key}": array for key, array in logits.items()}
    save_file({key: array.contiguous() for key, array in sorted(arrays.items())}, folder / "expected.safetensors")
    (folder / "expected.safetensors").chmod(0o644)
    write_json(folder, content)


def sampled_logits():
    """Rows of logits by name: without ties, with many, and with tokens that are not allowed (null)."""
    generator = torch.Generator().manual_seed(base.SEED + 9)

    def distinct(width):
        while True:
            row = base.representable_in_bf16(width * torch.randn(SAMPLED_VOCABULARY, generator=generator))
            if len(row.unique()) == len(row):
                return row

    forbidden = distinct(2.0)
    forbidden[torch.randperm(SAMPLED_VOCABULARY, generator=generator)[:15]] = -torch.inf
    tied = torch.randint(-3, 3, (SAMPLED_VOCABULARY,), generator=generator).float()
    return {"flat": distinct(0.5), "steep": distinct(4.0), "forbidden": forbidden, "tied": tied,
            "all equal": torch.zeros(SAMPLED_VOCABULARY)}


def kept(model, logits, options):
    """What `generate` would draw from: its own list of processors, in its own order."""
    generation = transformers.GenerationConfig(do_sample=True, **options)
    processors = model._get_logits_processor(generation, input_ids_seq_length=1, device="cpu")
    probabilities = processors(torch.zeros(1, 1, dtype=torch.long), logits[None].clone()).softmax(-1)[0]
    ids = probabilities.nonzero()[:, 0]
    return {"kept": ids.tolist(), "probabilities": probabilities[ids].tolist()}


def make_sampling():
    folder = base.fresh("sampling")
    model = base.load("tied")
    rows, cases = sampled_logits(), []
    choices = [
        dict(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0),
        dict(temperature=0.3, top_k=0, top_p=1.0, min_p=0.0),
        dict(temperature=1.7, top_k=5, top_p=1.0, min_p=0.0),
        dict(temperature=1.0, top_k=40, top_p=1.0, min_p=0.0),
        dict(temperature=1.0, top_k=0, top_p=0.63, min_p=0.0),
        dict(temperature=1.3, top_k=0, top_p=0.01, min_p=0.0),
        dict(temperature=1.0, top_k=0, top_p=1.0, min_p=0.21),
        dict(temperature=0.3, top_k=10, top_p=0.95, min_p=0.0),
        dict(temperature=2.5, top_k=9, top_p=0.71, min_p=0.13),
        dict(temperature=0.8, top_k=3, top_p=0.42, min_p=0.6),
    ]
    for (name, logits), options in itertools.product(rows.items(), choices):
        cases.append({"logits": name, **options, **kept(model, logits, options)})
    as_json = {name: [None if value == -torch.inf else value for value in row.tolist()] for name, row in rows.items()}
    write_json(folder, {"logits": as_json, "cases": cases})


def make_schedules():
    """The rate of step i is what the optimizer uses then, relative to its largest."""
    folder = base.fresh("schedules")
    makers = {
        "Cosine": transformers.get_cosine_schedule_with_warmup,
        "Linear": transformers.get_linear_schedule_with_warmup,
        "Constant": lambda optimizer, warmup, _: transformers.get_constant_schedule_with_warmup(optimizer, warmup),
    }
    cases = []
    runs = [(40, 0.1), (30, 0.01), (7, 0.5), (20, 0.0), (9, 0.95)]
    for (schedule, maker), (steps, share) in itertools.product(makers.items(), runs):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        warmup = math.ceil(steps * share)  # as transformers.TrainingArguments
        scheduler, rates = maker(optimizer, warmup, steps), []
        for _ in range(steps + 1):
            rates.append(scheduler.get_last_lr()[0])
            optimizer.step()
            scheduler.step()
        cases.append({"schedule": schedule, "steps": steps, "warmup_share": share, "warmup_steps": warmup,
                      "rates": rates})
    write_json(folder, {"cases": cases})


def main():
    assert base.found_versions() == VERSIONS, f"made with {VERSIONS}, found {base.found_versions()}"
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    make_long_inputs()
    make_sampling()
    make_schedules()


if __name__ == "__main__":
    main()
