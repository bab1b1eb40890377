"""The work of `cargo xtask bench model` in torch, transformers and PEFT on the CPU.

    pip install torch==2.15.0 transformers==5.24.0 peft==0.21.2
    cargo xtask bench model --peer --python PATH_OF_PYTHON

Made with Python 3.11. The benchmark starts this program and asks it for one thing after another, so that both sides are measured
in turns: each line of the input is a command as JSON, each line of the output its answer. Models stay loaded between commands.
Types are `f32` and `bf16`.
"""

import argparse
import json
import sys
import time
import warnings

STARTED = time.perf_counter()

import torch
import transformers

IMPORTED = time.perf_counter()

# One in so many logits is sent for comparison.
STRIDE = 997

TYPES = {"f32": torch.float32, "bf16": torch.bfloat16}

# What is loaded: decoders and the prompts that they have read by number type, models in training by library and number type.
decoders, readings, trainings = {}, {}, {}


class Reading:
    """Prompts of one length that a decoder has read."""

    def __init__(self, decoder, prompts):
        self.decoder, self.ids = decoder, torch.tensor(prompts)
        self.cache = self.next = None

    def read(self):
        out = self.decoder(self.ids, use_cache=True, logits_to_keep=1)
        self.cache, self.next = out.past_key_values, out.logits[:, -1]

    def decode(self, tokens):
        excess = self.cache.get_seq_length() - self.ids.shape[1]
        if excess > 0:
            self.cache.crop(-excess)
        logits, found = self.next, []
        start = time.perf_counter()
        for _ in range(tokens):
            token = logits.argmax(-1, keepdim=True)
            found.append(token)
            logits = self.decoder(token, past_key_values=self.cache, use_cache=True).logits[:, -1]
        seconds = time.perf_counter() - start
        return seconds, torch.cat(found, 1).tolist()


class Training:
    """A model with sequences that it is trained on: whole, or through the adapter of a PEFT folder. `library` is torch or transformers."""

    def __init__(self, folder, adapter, library, number, sequences, recompute):
        self.ids = torch.tensor(sequences)
        # A base that is frozen can be in 16 bits; weights that are trained stay in 32, and products are in 16 (autocast).
        self.autocast = number == "bf16" and not adapter
        if library == "torch":
            from decoder import Decoder

            self.model = Decoder(folder, self.ids.shape[1])
            self.loss = self.model.loss
            return
        self.model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=TYPES[number] if adapter else torch.float32)
        if adapter:
            from peft import PeftModel

            self.model = PeftModel.from_pretrained(self.model, adapter, is_trainable=True)
        if recompute:
            self.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            self.model.enable_input_require_grads()
        self.model.train()
        self.loss = lambda ids: self.model(input_ids=ids, labels=ids, use_cache=False).loss

    def step(self, learning_rate, weight_decay, clip_norm):
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(parameters, lr=learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=weight_decay)
        start = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.autocast):
            loss = self.loss(self.ids)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, clip_norm)
        optimizer.step()
        seconds = time.perf_counter() - start
        for parameter in parameters:
            parameter.grad = None
        return seconds, loss.item()


def load_decoder(folder, number):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=TYPES[number]).eval()


def peak_memory():
    """The largest resident set that this process had, in MiB."""
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def versions(_):
    import peft

    python = ".".join(map(str, sys.version_info[:3]))
    return {"python": python, "torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__}


def load(command):
    decoders[command["type"]] = load_decoder(command["folder"], command["type"])
    return {}


@torch.inference_mode()
def read(command):
    reading = Reading(decoders[command["type"]], command["prompts"])
    start = time.perf_counter()
    reading.read()
    seconds = time.perf_counter() - start
    readings[command["type"]] = reading
    return {"seconds": seconds, "logits": reading.next[:, ::STRIDE].float().tolist()}


@torch.inference_mode()
def decode(command):
    seconds, tokens = readings[command["type"]].decode(command["tokens"])
    return {"seconds": seconds, "tokens": tokens}


def training(command):
    arguments = (command[name] for name in ["folder", "adapter", "library", "type", "sequences", "recompute"])
    trainings[command["library"], command["type"]] = Training(*arguments)
    return {}


def step(command):
    training = trainings[command["library"], command["type"]]
    seconds, loss = training.step(command["learning_rate"], command["weight_decay"], command["clip_norm"])
    return {"seconds": seconds, "loss": loss, "peak_mib": peak_memory()}


@torch.inference_mode()
def first_token(command):
    decoder = load_decoder(command["folder"], command["type"])
    reading = Reading(decoder, [command["prompt"]])
    reading.read()
    return {"token": reading.next.argmax(-1).item(), "import_seconds": IMPORTED - STARTED}


def forget(_):
    decoders.clear()
    readings.clear()
    trainings.clear()
    return {}


COMMANDS = {f.__name__: f for f in [versions, load, read, decode, training, step, first_token, forget]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    torch.set_num_threads(parser.parse_args().threads)
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    # Whatever else prints does not come between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = COMMANDS[command["do"]](command)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
