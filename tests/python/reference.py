"""Reference results of torchvision and Pillow for the quality gates.

    reference.py features WEIGHTS IMAGE… --out FILE
    reference.py correct WEIGHTS FOLDER --out FILE
                                                features of its files by name, of the correct pipeline alone
    reference.py decode FOLDER --out FILE       decoded pixels of its files by name and the SHA-256 of their 224×224
                                                resize, or width 0 and Pillow's error
    reference.py recompute FOLDER MSE           the test error of a run, recomputed from its exports
    reference.py save-pth SAFETENSORS PTH       weights written with torch.save
    reference.py hostile FOLDER                 weights files that must be rejected

Features are written as little-endian float32 rows of 512: first of the correct pipeline, then of each broken one in the
order of BROKEN.
"""
import struct
import sys

import numpy as np
import torch
import torchvision
from PIL import Image

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BROKEN = ("bgr", "half-normalised", "nearest", "shuffled")


def load_safetensors(path):
    """Reads a .safetensors file of f32 tensors (header: 8-byte length, then JSON)."""
    import json
    data = open(path, "rb").read()
    (length,) = struct.unpack("<Q", data[:8])
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    header.pop("__metadata__", None)
    state = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        state[name] = torch.frombuffer(bytearray(body[start:end]), dtype=torch.float32).reshape(entry["shape"])
    return state


def tensor(path, resample=Image.BILINEAR, mean=MEAN, std=STD, bgr=False):
    pixels = np.asarray(Image.open(path).convert("RGB").resize((224, 224), resample), dtype=np.float32) / 255
    if bgr:
        pixels = pixels[:, :, ::-1].copy()
    return torch.from_numpy((pixels - np.float32(mean)) / np.float32(std)).permute(2, 0, 1)


def load_model(weights):
    model = torchvision.models.resnet34(weights=None)
    missing, unexpected = model.load_state_dict(load_safetensors(weights), strict=False)
    assert not unexpected and all(n.startswith("fc.") or n.endswith("num_batches_tracked") for n in missing), missing
    model.fc = torch.nn.Identity()
    return model.eval()


def correct(weights, folder, out):
    import os
    model, names = load_model(weights), sorted(os.listdir(folder))
    with torch.inference_mode(), open(out, "wb") as file:
        for first in range(0, len(names), 32):
            batch = torch.stack([tensor(f"{folder}/{name}") for name in names[first : first + 32]])
            file.write(model(batch).numpy().astype("<f4").tobytes())


def features(weights, images, out):
    model = load_model(weights)

    def run(**how):
        with torch.inference_mode():
            batch = torch.stack([tensor(path, **how) for path in images])
            return torch.cat([model(batch[i : i + 32]) for i in range(0, len(batch), 32)]).numpy()

    correct = run()
    broken = [run(bgr=True), run(mean=(0.5,) * 3, std=(0.5,) * 3), run(resample=Image.NEAREST), np.roll(correct, 1, axis=0)]
    np.concatenate([correct, *broken]).astype("<f4").tofile(out)


def decode(folder, out):
    import hashlib
    import os
    import warnings
    warnings.simplefilter("ignore")
    Image.MAX_IMAGE_PIXELS = 50_000_000
    with open(out, "wb") as file:
        for name in sorted(os.listdir(folder)):
            try:
                picture = Image.open(f"{folder}/{name}").convert("RGB")
                resized = picture.resize((224, 224), Image.BILINEAR).tobytes()
                digest = hashlib.sha256(resized).digest()
                file.write(struct.pack("<II", *picture.size) + picture.tobytes() + digest)
            except Exception as error:
                message = f"{type(error).__name__}: {error}".encode()
                file.write(struct.pack("<II", 0, len(message)) + message)


def recompute(folder, reported):
    """FOLDER holds embeddings.npy, embeddings.items.jsonl, split.jsonl, predictions.jsonl, head.safetensors, metadata.jsonl."""
    import json

    def lines(name):
        return [json.loads(line) for line in open(f"{folder}/{name}", encoding="utf-8")]

    matrix = np.load(f"{folder}/embeddings.npy").astype(np.float64)
    row_of = {line["item"]: row for row, line in enumerate(lines("embeddings.items.jsonl"))}
    for line in lines("embeddings.jsonl"):
        # The text has enough digits to distinguish f32 values.
        assert np.array_equal(np.float32(line["embedding"]), matrix[row_of[line["item"]]]), line["item"]
    head = load_safetensors(f"{folder}/head.safetensors")
    weight, bias = head["fc.weight"].double().numpy(), head["fc.bias"].double().numpy()
    assert weight.shape == (1, 512) and bias.shape == (1,)
    test = [line["item"] for line in lines("split.jsonl") if line["split"] == "test"]
    label = {row["file_name"]: row["views"] / row["subscribers"] for row in lines("metadata.jsonl")}
    target = np.log1p([label[item] for item in test])
    predicted = matrix[[row_of[item] for item in test]] @ weight[0] + bias[0]
    mse = float(((predicted - target) ** 2).mean())
    assert abs(mse - float(reported)) <= 1e-5 * max(1.0, float(reported)), (mse, reported)
    exported = {line["item"]: line["prediction"] for line in lines("predictions.jsonl")}
    assert set(exported) == set(test)
    np.testing.assert_allclose([exported[item] for item in test], np.maximum(np.expm1(predicted), 0), rtol=1e-4, atol=1e-5)
    print(f"{len(test)} test samples, MSE {mse:.6f}")


def save_pth(source, target):
    state = load_safetensors(source)
    state["fc.weight"], state["fc.bias"] = torch.zeros(1000, 512), torch.zeros(1000)
    state["bn1.num_batches_tracked"] = torch.tensor(7)
    # A transposed view: a reader must respect its strides.
    state["conv1.weight"] = state["conv1.weight"].permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0)
    torch.save({"state_dict": {"module." + name: value for name, value in state.items()}}, target)


class Hostile:
    def __reduce__(self):
        import os
        return os.system, ("touch must-not-exist",)


def hostile(folder):
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), f"{folder}/resnet18.pth")
    torch.save(torchvision.models.resnet34(weights=None).state_dict(), f"{folder}/old.pth", _use_new_zipfile_serialization=False)
    torch.save({"conv1.weight": Hostile()}, f"{folder}/hostile.pth")
    torch.save(torchvision.models.resnet34(weights=None), f"{folder}/whole-model.pth")


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command == "features":
        features(arguments[0], arguments[1:-2], arguments[-1])
    elif command == "correct":
        correct(arguments[0], arguments[1], arguments[-1])
    elif command == "decode":
        decode(arguments[0], arguments[-1])
    elif command == "recompute":
        recompute(*arguments)
    elif command == "save-pth":
        save_pth(*arguments)
    elif command == "hostile":
        hostile(*arguments)
    else:
        sys.exit(__doc__)
