"""Checkpoints as trainers write them, and what torch.load(weights_only=True) makes of them.

    checkpoints.py FOLDER

Writes the files into FOLDER and prints a JSON line for each: its name, and the SHA-256 of the backbone in it as
StateDict::digest defines it, or the error of torch.load. Most tensors are constants that are expanded from one element,
each with its own value, so that the files are small.
"""
import argparse
import collections
import datetime
import hashlib
import json
import struct
import sys
from pathlib import Path

import numpy as np
import torch
import torchvision

folder = Path(sys.argv[1])
RESNET34 = torchvision.models.resnet34(weights=None)
NAMES = sorted(name for name in RESNET34.state_dict() if not name.startswith("fc.") and not name.endswith("tracked"))


def constants(base):
    """A state dict whose n-th tensor is base + n everywhere."""
    state = collections.OrderedDict()
    for number, (name, tensor) in enumerate(RESNET34.state_dict().items()):
        if name.endswith("tracked"):
            state[name] = torch.tensor(number)
        else:
            state[name] = torch.full((1,), base + number / 512).expand(tensor.shape)
    return state


def prefixed(prefix, state):
    return collections.OrderedDict((prefix + name, tensor) for name, tensor in state.items())


def digest(state):
    total = hashlib.sha256()
    for name in NAMES:
        tensor = state[name].float().contiguous()
        total.update(name.encode() + b"\0" + b"".join(struct.pack("<q", size) for size in tensor.shape))
        total.update(tensor.detach().numpy().tobytes())
    return total.hexdigest()


def save_safetensors(state, path):
    """Writes tensors of bfloat16 or int64 (header: 8-byte length, then JSON)."""
    header, body = {}, bytearray()
    for name, tensor in state.items():
        floating = tensor.dtype == torch.bfloat16
        data = (tensor.contiguous().view(torch.int16) if floating else tensor).numpy().tobytes()
        header[name] = {
            "dtype": "BF16" if floating else "I64", "shape": list(tensor.shape), "data_offsets": [len(body), len(body) + len(data)]
        }
        body += data
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def report(name, **what):
    print(json.dumps({"file": name, **what}), flush=True)


known = {}


def write(name, value, *path, prefix="", note=None, **how):
    """Writes a checkpoint whose backbone is at `path`, and reports what torch.load reads there."""
    torch.save(value, folder / name, **how)
    try:
        state = torch.load(folder / name, weights_only=True)
    except Exception as error:
        return report(name, refused=str(error).splitlines()[0])
    for key in path:
        state = state[key]
    state = {key.replace("_orig_mod.", "").removeprefix(prefix): value for key, value in state.items()}
    # Equal constants have equal digests, and hashing takes a while.
    cheap = tuple((state[key].dtype, state[key].flatten()[0].item(), state[key].stride()) for key in NAMES)
    if cheap not in known:
        known[cheap] = digest(state)
    report(name, digest=known[cheap])


base, other = constants(1), constants(3)
write("base.pth", base)

# What trainers store beside the weights, and where they store these.
model = torch.nn.Linear(3, 2)
adam = torch.optim.AdamW(model.parameters(), lr=1e-3)
model(torch.ones(1, 3)).sum().backward()
adam.step()
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, 10)
extras = {
    "epoch": 3, "global_step": 70_000, "arch": "resnet34", "best_acc1": 71.5, "amp": True, "nothing": None, "big": 1 << 90,
    "negative": -5, "loss": [0.5, float("nan"), float("inf")], "name": "modèle \udcff", "classes": {1, 2}, "raw": b"\0\xff",
    "shape": torch.Size([3, 224]), "dtype": torch.bfloat16, "device": torch.device("cuda", 0), "complex": 1 + 2j,
    "counts": collections.Counter("aab"), "bytes": bytearray(b"ab"), "nested": {"a": ({"b": [1.0]}, ())},
    "optimizer": adam.state_dict(), "lr_scheduler": schedule.state_dict(), "rng_state": torch.get_rng_state(),
    "scaler": {"scale": 65536.0, "growth_interval": 2000}, "flags": torch.tensor([True, False]),
    "sparse": torch.eye(2).to_sparse(), "parameter": torch.nn.Parameter(torch.ones(2)), "ints": torch.arange(3, dtype=torch.int8),
    "uint16": torch.zeros(3, dtype=torch.uint16), "meta": torch.empty(2, device="meta"), "complex_tensor": torch.ones(2) * 1j,
}
for key in ("state_dict", "model_state_dict", "model", "net", "module", "network", "weights", "ema"):
    write(f"under-{key}.pth", {**extras, key: base}, key)
write("beside-the-layers.pth", {**base, "epoch": 3, "mean": 0.5, "seen": torch.tensor(3), "frozen": torch.tensor(True)})
write("nested.pth", {"state": {"model": prefixed("module.", base)}, "epoch": 1}, "state", "model", prefix="module.")
write("averaged-too.pth", {"model": base, "model_ema": prefixed("module.", other), **extras}, "model")
write("swa.pth", {"n_averaged": torch.tensor(5), **prefixed("module.", base)}, prefix="module.")
lightning = {
    "epoch": 1, "pytorch-lightning_version": "2.5", "callbacks": {"EarlyStopping{'monitor': 'loss'}": {"best": torch.tensor(0.5)}},
    "hyper_parameters": {"lr": 1e-3, "layers": [1, 2]}, "optimizer_states": [adam.state_dict()], "hparams_name": "kwargs",
}
for prefix in ("model.", "net.", "backbone.", "model.backbone."):
    state = {**prefixed(prefix, base), "criterion.weight": torch.ones(3), "head.bias": torch.ones(1)}
    write(f"lightning-{prefix.replace('.', '-')}.ckpt", {**lightning, "state_dict": state}, "state_dict", prefix=prefix)
for prefix in ("module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."):
    write(f"prefix-{prefix.replace('.', '-')}.pth", prefixed(prefix, base), prefix=prefix.replace("_orig_mod.", ""))
write("compiled-in-part.pth", {name.replace("layer2.", "layer2._orig_mod."): tensor for name, tensor in base.items()})
write("registered-twice.pth", {**prefixed("model.", base), **prefixed("compiled._orig_mod.", base)}, prefix="model.")
write("another-head.pth", {**base, "fc.weight": torch.ones(7, 512), "fc.bias": torch.ones(7)})
write("without-head.pth", {name: tensor for name, tensor in base.items() if not name.startswith("fc.")})
write("parameters.pth", {name: torch.nn.Parameter(t) if t.is_floating_point() else t for name, t in base.items()})
write("protocol-4.pth", base, pickle_protocol=4)

# Tensors that are not a plain block of float32.
changed = dict(base)
kernel = torch.arange(64 * 3 * 49, dtype=torch.float32).reshape(64, 3, 7, 7)
changed["conv1.weight"] = kernel.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0)
flat = torch.arange(200, dtype=torch.float32)
changed["bn1.weight"], changed["bn1.bias"] = flat[:64], flat[64:128]
changed["bn1.running_mean"], changed["bn1.running_var"] = flat[5:133:2], flat[128:192]
write("views.pth", changed)
write("channels-last.pth", {**base, "conv1.weight": kernel.to(memory_format=torch.channels_last)})
for kind in (torch.float64, torch.float16, torch.bfloat16):
    state = {name: tensor[(0,) * tensor.dim()].to(kind).clone().expand(tensor.shape) for name, tensor in base.items()}
    state.update((name, tensor.to(kind)) for name, tensor in changed.items() if name.startswith(("conv1", "bn1")))
    write(f"{str(kind).removeprefix('torch.')}.pth", state)
attributed = torch.nn.Parameter(torch.arange(64, dtype=torch.float32))
attributed.group = "stem"
write("tensor-with-attributes.pth", {**base, "bn1.bias": attributed})

# Of which torch.load reads all and no choice is right.
for name, value in {
    "student-and-teacher.pth": {"student": base, "teacher": other},
    "two-encoders.pth": {"state_dict": {**prefixed("module.encoder_q.", base), **prefixed("module.encoder_k.", other)}},
    "integer-weights.pth": {**base, "bn1.bias": torch.ones(64, dtype=torch.int32)},
    "negated-view.pth": {**base, "bn1.bias": torch.complex(torch.ones(64), torch.ones(64)).conj().imag},
    "list.pth": [base],
    "no-tensors.pth": {"epoch": 3},
}.items():
    torch.save(value, folder / name)
    torch.load(folder / name, weights_only=True)
    report(name)

# What torch.load refuses as well, or reads in another way.
write("namespace.pth", {"args": argparse.Namespace(lr=0.1), "state_dict": base}, "state_dict")
write("numpy-scalar.pth", {"loss": np.float64(0.5), "state_dict": base}, "state_dict")
write("date.pth", {"when": datetime.date(2026, 1, 1), "state_dict": base}, "state_dict")
write("default-dict.pth", {"losses": collections.defaultdict(list), "state_dict": base}, "state_dict")
torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), folder / "torchscript.pt")
torch.save({"bn1.bias": torch.ones(64)}, folder / "legacy.pth", _use_new_zipfile_serialization=False)
report("torchscript.pt"), report("legacy.pth")

for prefix in ("", "_orig_mod.", "module.", "model.backbone."):
    name = f"prefix-{prefix.replace('.', '-')}.safetensors"
    state = prefixed(prefix, base)
    state["steps"] = torch.tensor(3)
    save_safetensors({key: t.to(torch.bfloat16) if t.is_floating_point() else t for key, t in state.items()}, folder / name)
    report(name, digest=known.setdefault("bf16", digest({key: base[key].to(torch.bfloat16) for key in NAMES})))
