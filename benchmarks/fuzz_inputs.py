"""Bad inputs by the hundred: parameter files, files of weights, and folders of pictures.

For `fuzz.py`, seeded, so that a finding can be had again by its number. Some of what is made is
allowed by chance; what counts is that nothing ends in a traceback.
"""

import io
import os
import pickle
import zipfile
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image

from benchmarks.fuzz_run import PARAMS, flipped

VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 3_000_000_000, 10**400, 1e309, float("nan"), float("-inf"), 0.5,
    -0.0, "", " ", "auto", "full", "yes", "1e3", "~", "../..", "/", "/etc/passwd", "\0", "\r\n",
    "ü€😀", "$HOME", "${x}", "a" * 100_000, [], {}, [[]], [None], [1, "a"], {"a": 1}, {1: 2},
    "2026-11-26", "torchvision/", "timm/resnet50.", "timm/", "resnet18 ", "cuda:99", "partial:0",
]  # fmt: skip
_ALIASES = b"a: &v0 [1, 1, 1, 1, 1, 1, 1, 1]\n" + b"".join(
    b"b%d: &v%d [%s]\n" % (level, level, b", ".join([b"*v%d" % (level - 1)] * 8))
    for level in range(1, 8)
)
TEXTS: list[bytes] = [
    b"", b"\0", b"\xff\xfe", b"\xef\xbb\xbfmodel: lenet_small",
    "model: lenet_small".encode("utf-16"), b"\xff" * 100, b"- a\n- b", b"just text", b"42",
    b"null", b"---\na: 1\n---\nb: 2", b"model: [", b"model: {a",
    b"model: lenet_small\nmodel: lenet_large", b"\tmodel: x", b"model:\n\t- x", b"a: &a [*a]",
    b"a: &a {b: *a}", b"a: " + b"[" * 5000 + b"]" * 5000,
    b"a: " + b"{b: " * 3000 + b"1" + b"}" * 3000, b"seed: " + b"9" * 5000,
    b"train: {lr: 1" + b"0" * 400 + b"}", b"seed: 0x1F", b"seed: 0o17", b"seed: 040",
    _ALIASES,
    b"!!python/object/apply:os.system ['true']", b"a: !!binary x", b"a: !foo x", b"? [a]\n: b",
    b"? {a: 1}\n: b", b"<<: {model: lenet_small}", b"<<: 3", b"model: >\n  lenet", b"model: 'a",
    b'model: "\\q"', b"%YAML 9.9\n---\na: 1", b"model: !!float x", b"a: 2026-99-99",
    b"a: 1:99:99", b"train: &t {epochs: *t}", b"\x85: 1", "\u2028: 1".encode(),
]  # fmt: skip


def parameter_files(count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Whole texts that are wrong, then every key with values that are wrong, then bit flips."""
    draws = np.random.default_rng(seed)
    yield from ((f"text {number}", text) for number, text in enumerate(TEXTS[:count]))
    whole = (Path(__file__).resolve().parent.parent / "params.yaml").read_text()
    keys = list(_keys(yaml.safe_load(whole)))
    for number in range(max(0, count - len(TEXTS))):
        if number % 4 == 3:
            text = whole.encode()
            for _ in range(int(draws.integers(1, 4))):
                text = flipped(text, draws)
            yield f"flip {number}", text
            continue
        key, value = keys[number % len(keys)], VALUES[int(draws.integers(len(VALUES)))]
        yield f"{'.'.join(key)} = {str(value)[:40]!r}", _with(key, value)


def _keys(values: dict[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in values.items():
        yield (*prefix, key)
        if isinstance(value, dict):
            yield from _keys(value, (*prefix, key))


def _with(key: tuple[str, ...], value: Any) -> bytes:
    params = yaml.safe_load(yaml.safe_dump(PARAMS))
    inner = params
    for part in key[:-1]:
        inner = inner.setdefault(part, {})
    inner[key[-1]] = value
    return yaml.safe_dump(params, allow_unicode=True).encode()


class _Foreign:
    """A class that no reader of weights knows."""


NO_WEIGHTS = (
    b"", b"\0" * 1000, b"PK\x03\x04", b"<html>not found</html>", b"version https://git-lfs",
)  # fmt: skip


def weights_files(
    whole: dict[str, torch.Tensor], folder: Path, count: int, seed: int
) -> Iterator[Path]:
    """Files of weights that are damaged, foreign or of another model, in both formats."""
    from safetensors.torch import save

    draws = np.random.default_rng(seed)
    name, tensor = next(iter(whole.items()))
    odd = [
        tensor.to(torch.complex64), tensor.bool(), tensor.to(torch.int8), tensor.to_sparse(),
        tensor * float("nan"), tensor / 0, torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8),
        tensor.to("meta"), None, "text", tensor[:1],
    ]  # fmt: skip
    objects: list[Any] = [
        Namespace(a=1), {"args": Namespace(lr=1), "model": whole},
        {"state_dict": whole, "x": np.float64(1)}, _Foreign(), {"model": _Foreign()}, 42, None,
        [], {}, {"a": 1}, [tensor], tensor, {1: tensor}, {None: tensor}, {name: torch.empty(0)},
        *[whole | {name: value} for value in odd],
        {"module": whole}, {"model": {"model": {"model": whole}}}, {"state_dict": []},
        {"model": {}}, {"": tensor}, {"é" * 500: tensor},
        {f"module.{key}": value for key, value in whole.items()}, dict(list(whole.items())[1:]),
        whole | {"more": tensor}, {key: value.half() for key, value in whole.items()},
        {key: value.double() for key, value in whole.items()},
        {name: torch.nn.Parameter(tensor)}, np.zeros(3),
        {"model": {key: value.numpy() for key, value in whole.items()}},
        whole,
    ]  # fmt: skip
    plain, safe = _saved(whole), save({key: value.contiguous() for key, value in whole.items()})
    contents: list[tuple[str, bytes]] = [("pt", _saved(value)) for value in objects]
    contents += [
        ("pt", pickle.dumps(whole)),
        ("pt", pickle.dumps({"a": 1})),
        ("pkl", pickle.dumps(1)),
    ]
    for text in (*NO_WEIGHTS, safe, plain):
        contents += [("pt", text), ("safetensors", text), ("bin", text), ("", text)]
    while len(contents) < count:
        kind, content = (("pt", plain), ("safetensors", safe))[int(draws.integers(2))]
        cut = int(draws.integers(len(content))) if draws.random() < 0.3 else None
        contents.append((kind, flipped(content, draws)[:cut]))
    for number, (suffix, content) in enumerate(contents[:count]):
        path = folder / f"w{number:03d}.{suffix}".rstrip(".")
        path.write_bytes(content)
        yield path


def _saved(value: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


SPLITS = [
    (), ("train", "test"), ("Train", "Test"), ("Training", "Testing"), ("training_set", "test_set"),
    ("seg_train", "seg_test"), ("TRAIN", "TEST", "VAL"), ("train", "valid", "test"), ("train",),
    ("train", "dev", "test"), ("fruits-train", "fruits-test"), ("train", "val"), ("val", "test"),
    ("train", "test", "extra"), ("train", "Training", "test"), ("train", "test1", "test2"),
]  # fmt: skip
CLASSES = [
    ("cat", "dog"), ("NA", "null", "None", "nan"), ("$5_$10", "$10_$20"), ("犬", "猫"),
    ("a\rb", "c"), ("<b>x</b>", "a|b"), ("Cat", "cat"), ("true", "1e3"), ("x" * 80, "y" * 80),
    ("cat",), ("'", '"'), ("a,b", "-1"), ("cat", "cat "), ("cafe\u0301", "caf\u00e9", "tea"),
]  # fmt: skip
EXTRAS = [
    "{c}/@eaDir/x.jpg", "#recycle/x.jpg", "Thumbs.db", "{c}/IMG.HEIC", "{c}/noise", ".hidden/x.png",
    "{c}/labels.csv", "__MACOSX/{c}/._0.png", "{c}/deep/er/x.txt", "{c}/x.svg", "{c}/x.jpg.part",
]  # fmt: skip


def folder_layouts(root: Path, count: int, seed: int) -> Iterator[tuple[Path, int]]:
    """Folders and zips of pictures as people have them, with the number of files in each."""
    for number in range(count):
        draws = np.random.default_rng((seed, number))
        folder = root / f"layout{number:03d}"
        splits = SPLITS[number % len(SPLITS)] or (".",)
        classes = CLASSES[number % len(CLASSES)]
        wrapper = ("", "outer", "a/b")[int(draws.integers(3))]
        for split in splits:
            inner = split if draws.random() < 0.2 else "."
            for name in classes:
                _pictures(folder / wrapper / split / inner / name, draws)
        for extra in draws.choice(EXTRAS, 4, replace=False):
            path = folder / wrapper / splits[0] / str(extra).format(c=classes[0])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"no picture")
        if draws.random() < 0.3:
            (folder / wrapper / splits[0] / "empty").mkdir(exist_ok=True)
        files = sum(len(names) for _, _, names in os.walk(folder))
        yield (_zipped(folder, draws), files) if number % 2 else (folder, files)


def _pictures(folder: Path, draws: np.random.Generator) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(4):
        kind = ("png", "jpg", "bmp", "tiff", "webp", "mpo")[int(draws.integers(6))]
        pixels = draws.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.{kind}")


def _zipped(folder: Path, draws: np.random.Generator) -> Path:
    """As a zip; some as Windows tools write them, some with a damaged byte."""
    path, kind = folder.with_suffix(".zip"), draws.random()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            name = file.relative_to(folder).as_posix()
            if file.is_file():
                info = zipfile.ZipInfo("x")
                info.filename = name.replace("/", "\\") if kind < 0.3 else name
                archive.writestr(info, file.read_bytes())
    if kind > 0.8:
        path.write_bytes(flipped(path.read_bytes(), draws))
    return path
