"""Starts `xtask gpu` on a machine with a GPU, and is the side in torch that it is compared with.

    python gpu.py run --part all --out results

The bundle of `cargo xtask gpu --bundle DIR` is this file and the program `xtask`. `run` looks for what the program needs of CUDA, NVRTC
and the headers: in CUDA_PATH, CUDA_HOME and /usr/local/cuda, and in the packages that come with torch. The program starts this file
again as `serve`: each line of the input is a command as JSON, each line of the output its answer. It needs torch, and transformers and
PEFT for training and generation; whatever is missing is absent in the tables.
"""

import argparse
import glob
import json
import os
import re
import site
import subprocess
import sys
import sysconfig
import tempfile
import time
import warnings
from pathlib import Path

# ---------------------------------------------------------------- run


def package_folders():
    """The folders `nvidia` of all installed packages."""
    roots = [*site.getsitepackages(), site.getusersitepackages(), sysconfig.get_paths()["purelib"]]
    return [path for path in dict.fromkeys(Path(root) / "nvidia" for root in roots) if path.is_dir()]


def toolkits():
    named = [os.environ.get(name) for name in ("CUDA_PATH", "CUDA_HOME")]
    found = [*filter(None, named), "/usr/local/cuda", *sorted(glob.glob("/usr/local/cuda-*"), reverse=True)]
    return [Path(path) for path in dict.fromkeys(found) if Path(path).is_dir()]


def first(paths):
    return next((path for path in paths if path.exists()), None)


def libraries(name):
    """Every file of a library, toolkits first."""
    folders = [toolkit / "lib64" for toolkit in toolkits()] + [toolkit / "targets/x86_64-linux/lib" for toolkit in toolkits()]
    folders += [Path(folder) for packages in package_folders() for folder in glob.glob(f"{packages}/*/lib")]
    return [Path(file) for folder in folders for file in sorted(glob.glob(f"{folder}/{name}.so*"))]


def headers():
    """Folders that together have CUDA's headers: those of a toolkit, or of the packages."""
    whole = first([toolkit / "include/cuda_fp16.h" for toolkit in toolkits()])
    if whole:
        return [whole.parent]
    folders = [Path(folder) for packages in package_folders() for folder in sorted(glob.glob(f"{packages}/*/include"))]
    return folders if any((folder / "cuda_fp16.h").exists() for folder in folders) else []


def link_headers(folders, target):
    """Makes one folder with links to the headers of several. The C++ libraries may lie in a folder `cccl`, which is looked for."""
    target.mkdir(parents=True)
    for folder in folders:
        for entry in folder.iterdir():
            link = target / entry.name
            if not link.exists():
                link.symlink_to(entry)
    if not (target / "cccl").exists() and (target / "cuda" / "std").is_dir():
        (target / "cccl").symlink_to(target)


def cuda_version(folder):
    text = (folder / "cuda.h").read_text(errors="replace") if (folder / "cuda.h").exists() else ""
    found = re.search(r"#define\s+CUDA_VERSION\s+(\d+)", text)
    return f"{int(found[1]) // 1000}.{int(found[1]) % 1000 // 10}" if found else "unknown"


def environment(scratch):
    """The environment of the program, and what was found, in words."""
    result = dict(os.environ)
    folders, nvrtc = headers(), libraries("libnvrtc")
    found = []
    if folders:
        link_headers(folders, scratch / "cuda/include")
        result["CUDA_PATH"] = str(scratch / "cuda")
        found.append(f"headers of CUDA {cuda_version(scratch / 'cuda/include')} in {folders[0]}")
    else:
        found.append("no headers of CUDA")
    if nvrtc:
        names = scratch / "lib"
        names.mkdir()
        # The program looks for the name without a version.
        (names / "libnvrtc.so").symlink_to(nvrtc[0])
        paths = [str(names), str(nvrtc[0].parent), result.get("LD_LIBRARY_PATH", "")]
        result["LD_LIBRARY_PATH"] = ":".join(filter(None, paths))
        found.append(str(nvrtc[0]))
    else:
        found.append("no NVRTC")
    result["TN_CUDA_FOUND"] = ", ".join(found)
    return result


def run(arguments):
    program = arguments.program or Path(__file__).resolve().parent / "xtask"
    command = [str(program), "gpu", "--part", arguments.part, "--out", arguments.out, "--device", arguments.device]
    command += ["--seconds", str(arguments.seconds)] + (["--quick"] if arguments.quick else [])
    command += [] if arguments.no_peer else ["--peer", sys.executable]
    with tempfile.TemporaryDirectory() as scratch:
        env = environment(Path(scratch))
        print(f"CUDA: {env['TN_CUDA_FOUND']}", flush=True)
        return subprocess.run(command, env=env).returncode


# ---------------------------------------------------------------- serve

# What is loaded, by name, and tensors of the last product and the last attention, by their sizes.
loaded, operands = {}, {}


def version(name):
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "absent"


def versions(_):
    import torch

    names = ["torch", "transformers", "peft", "flash-attn", "vllm"]
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    found = {name: version(name) for name in names}
    return {"python": sys.version.split()[0], **found, "cuda": torch.version.cuda, "device": device}


def device():
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def sync():
    import torch

    if device() == "cuda":
        torch.cuda.synchronize()


def release():
    """Gives what is cached back to the device, which the other side needs."""
    import gc

    import torch

    gc.collect()
    if device() == "cuda":
        torch.cuda.empty_cache()


def timed(work, repeats):
    """Seconds of a repeat, after one that does not count."""
    work()
    sync()
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    sync()
    return (time.perf_counter() - start) / repeats


def random(*shape):
    import torch

    return torch.randn(shape, device=device(), dtype=torch.bfloat16)


def kept(key, make):
    """The operands of a row, made once; those of the row before are dropped."""
    if key not in operands:
        operands.clear()
        operands[key] = make()
    return operands[key]


def gemm(command):
    rows, inputs, outputs = command["rows"], command["inputs"], command["outputs"]
    make = lambda: (random(rows, inputs), random(outputs, inputs), random(rows, outputs))
    x, weight, dy = kept((rows, inputs, outputs), make)
    import torch

    work = (lambda: torch.matmul(x, weight.t())) if command["pass"] == "forward" else (lambda: torch.matmul(dy, weight))
    return {"seconds": timed(work, command["repeats"])}


def attention(command):
    import torch
    import torch.nn.functional as F
    from torch.nn.attention import SDPBackend, sdpa_kernel

    tokens, heads, key_heads, size = (command[name] for name in ["tokens", "heads", "key_heads", "head_dim"])

    def make():
        q, k, v = (random(1, h, tokens, size).requires_grad_() for h in [heads, key_heads, key_heads])
        return q, k, v, random(1, heads, tokens, size)

    def attend(q, k, v):
        # The flash kernel, and an error where there is none; a processor has it under another name.
        with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
            return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=heads != key_heads)

    if command["pass"] == "memory":
        operands.clear()
        release()
        torch.cuda.reset_peak_memory_stats()
        q, k, v, dout = make()
        torch.autograd.grad(attend(q, k, v), (q, k, v), dout)
        return {"bytes": torch.cuda.max_memory_reserved()}
    q, k, v, dout = kept((tokens, heads, key_heads, size), make)
    if command["pass"] == "forward":
        with torch.no_grad():
            return {"seconds": timed(lambda: attend(q, k, v), command["repeats"])}
    out = attend(q, k, v)
    return {"seconds": timed(lambda: torch.autograd.grad(out, (q, k, v), dout, retain_graph=True), command["repeats"])}


def decoder(config):
    """A decoder of transformers with random weights in bf16, made on the device."""
    import torch
    import transformers

    theta = config["rope_theta"]
    # Newer versions read the second form.
    shape = transformers.Qwen3Config(**config, rope_parameters={"rope_type": "default", "rope_theta": theta}, attn_implementation="sdpa")
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device()):
            return transformers.Qwen3ForCausalLM(shape)
    finally:
        torch.set_default_dtype(before)


PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def load_training(command):
    import peft
    import torch

    operands.clear()
    base = decoder(command["config"])
    rank = command["rank"]
    adapter = peft.LoraConfig(r=rank, lora_alpha=rank, target_modules=PROJECTIONS, lora_dropout=0.0, task_type="CAUSAL_LM")
    model = peft.get_peft_model(base, adapter)
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.enable_input_require_grads()
    model.train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=2e-4, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
    texts = [torch.tensor([text], device=device()) for text in command["sequences"]]
    loaded["training"] = (model, parameters, optimizer, texts)
    release()
    return {}


def training_step(_):
    """A step over all sequences: one after the other, without padding, their gradients added."""
    import torch

    model, parameters, optimizer, texts = loaded["training"]
    if device() == "cuda":
        torch.cuda.reset_peak_memory_stats()
    tokens = sum(text.shape[1] - 1 for text in texts)
    sync()
    start = time.perf_counter()
    total = 0.0
    for text in texts:
        share = (text.shape[1] - 1) / tokens
        loss = model(input_ids=text, labels=text, use_cache=False).loss * share
        loss.backward()
        total += loss.item()
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    sync()
    seconds = time.perf_counter() - start
    peak = torch.cuda.max_memory_reserved() if device() == "cuda" else None
    release()
    return {"seconds": seconds, "loss": total, "bytes": peak}


def load_decoder(command):
    operands.clear()
    loaded["decoder"] = decoder(command["config"]).eval()
    release()
    return {}


def generate(command):
    """Writes cells of a fixed length, and halves the batch until it fits into memory."""
    import torch

    model = loaded["decoder"]
    prompt, samples, tokens = command["prompt"], command["samples"], command["tokens"]
    batch = loaded.setdefault(("batch", samples), command["prompts"])
    sampling = dict(do_sample=True, temperature=0.3, top_k=10, top_p=0.95)
    while True:
        ids = torch.randint(1, command["vocabulary"], (batch, prompt), device=device())
        mask = torch.ones_like(ids)
        try:
            sync()
            start = time.perf_counter()
            with torch.inference_mode():
                out = model.generate(
                    ids, attention_mask=mask, min_new_tokens=tokens, max_new_tokens=tokens, num_return_sequences=samples, pad_token_id=0, **sampling
                )
            sync()
            seconds = time.perf_counter() - start
        except torch.cuda.OutOfMemoryError:
            if batch == 1:
                raise
            batch //= 2
            loaded["batch", samples] = batch
            release()
            continue
        assert out.shape == (batch * samples, prompt + tokens), out.shape
        del out
        release()
        return {"cells_per_second": batch * samples / seconds, "batch": batch}


def forget(_):
    loaded.clear()
    operands.clear()
    release()
    return {}


COMMANDS = {f.__name__: f for f in [versions, gemm, attention, load_training, training_step, load_decoder, generate, forget]}


def serve():
    warnings.simplefilter("ignore")
    # Whatever else prints does not come between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = COMMANDS[command["do"]](command)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="answers commands of the program")
    runs = commands.add_parser("run", help="starts the program")
    runs.add_argument("--part", default="all", choices=["tests", "gemm", "attention", "train", "generate", "all"])
    runs.add_argument("--out", required=True, help="folder of the results")
    runs.add_argument("--device", default="cuda:0")
    runs.add_argument("--seconds", type=int, default=540, help="time of a part")
    runs.add_argument("--quick", action="store_true", help="tiny shapes, in seconds")
    runs.add_argument("--no-peer", action="store_true", help="measures without torch")
    runs.add_argument("--program", type=Path, help="the program; beside this file by default")
    arguments = parser.parse_args()
    if arguments.command == "serve":
        serve()
        return 0
    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
