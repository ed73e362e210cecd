"""Small data made for tests: archives in the official layouts, and folders of pictures."""

import gzip
import hashlib
import io
import struct
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

from stages.core.sections import Dataset

CIFAR10_CLASSES = ["airplane", "automobile", "bird", "cat", "deer",
                   "dog", "frog", "horse", "ship", "truck"]  # fmt: skip


def random_pixels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def image_folder(folder: Path | str, on_corrupt: str = "stop") -> Dataset:
    return Dataset(name="image_folder", folder=str(folder), on_corrupt=on_corrupt)


def write_pictures(folder: Path, per_class: dict[str, int], px: int = 8, suffix="png") -> Path:
    """`per_class` maps "train/cat" to a count; every picture is another noise."""
    for number, (name, count) in enumerate(per_class.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for image in range(count):
            pixels = random_pixels(px, px, 3, seed=1000 * number + image)
            Image.fromarray(pixels).save(folder / name / f"{image:03d}.{suffix}")
    return folder


def as_python2_pickle(value: object) -> bytes:
    """A protocol 2 pickle as Python 2 and an old NumPy wrote them: the official archives' form."""
    return b"\x80\x02" + _opcodes(value) + b"."


def _opcodes(value: object) -> bytes:
    match value:
        case None:
            return b"N"
        case False:
            return b"\x89"
        case int():
            return b"J" + struct.pack("<i", value)
        case str():
            return b"U" + bytes([len(value)]) + value.encode("latin1")
        case bytes():
            return b"T" + struct.pack("<i", len(value)) + value
        case list():
            return b"](" + b"".join(map(_opcodes, value)) + b"e"
        case tuple():
            return b"(" + b"".join(map(_opcodes, value)) + b"t"
        case dict():
            items = b"".join(_opcodes(part) for item in value.items() for part in item)
            return b"}(" + items + b"u"
        case np.ndarray():
            kind = b"cnumpy\ndtype\n" + _opcodes(("u1", 0, 1)) + b"R"
            kind += _opcodes((3, "|", None, None, None, -1, -1, 0)) + b"b"
            start = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n"
            start += _opcodes((0,)) + _opcodes("b") + b"tR"
            state = b"(" + _opcodes(1) + _opcodes(value.shape) + kind
            return start + state + _opcodes(False) + _opcodes(value.tobytes()) + b"tb"
    raise TypeError(value)


def write_cifar10(path: Path, per_batch: int = 20) -> np.ndarray:
    """An archive in CIFAR-10's layout, six batches; returns its pixels [6 * n, 3, 32, 32]."""
    members = {"batches.meta": {"label_names": CIFAR10_CLASSES, "num_cases_per_batch": per_batch}}
    pixels = random_pixels(6, per_batch, 3072)
    names = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]
    for name, data in zip(names, pixels, strict=True):
        labels = [image % 10 for image in range(per_batch)]
        members[name] = {"batch_label": name, "labels": labels, "data": data,
                         "filenames": [f"{image}.png" for image in range(per_batch)]}  # fmt: skip
    write_tar(path, {f"cifar-10-batches-py/{name}": value for name, value in members.items()})
    return pixels.reshape(-1, 3, 32, 32)


def write_cifar100(path: Path, train: int = 300, test: int = 100) -> None:
    """An archive in CIFAR-100's layout: two batches, fine and coarse labels."""
    members: dict[str, object] = {
        "meta": {"fine_label_names": [f"fine{label}" for label in range(100)],
                 "coarse_label_names": [f"coarse{label}" for label in range(20)]}
    }  # fmt: skip
    for name, count in (("train", train), ("test", test)):
        members[name] = {
            "data": random_pixels(count, 3072, seed=count),
            "fine_labels": [image % 100 for image in range(count)],
            "coarse_labels": [image % 20 for image in range(count)],
        }
    write_tar(path, {f"cifar-100-python/{name}": value for name, value in members.items()})


def write_tar(path: Path, members: dict[str, object]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, value in members.items():
            content = as_python2_pickle(value)
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def write_idx(path: Path, values: np.ndarray) -> None:
    header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    path.write_bytes(gzip.compress(header + values.tobytes()))
