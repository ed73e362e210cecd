"""What every step was fed with, as hashes of integers: equal on any two machines, or a fault.

Order, labels, random draws and pixels are integers until they are divided by 255, so no rounding
excuses a difference. Columns of plots/trace.csv (for the recorded step) and of plots/history.csv
(over all steps of the epoch, in their order), eight hex digits each:

- `order_hash`: which images, as positions in the training split;
- `labels_hash`: what the augmentation made of their labels; of mixed images, the labels before;
- `draws_hash`: the random integers that augmentation and task were given for them;
- `images_hash`: the pixels that the augmentation made, before scaling, resizing and normalisation.

`val_images_hash` of plots/history.csv, and `images_hash` under `inputs` of metrics/evaluate.json,
are those of the stored pixels that were evaluated, whatever the batch size.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
import xxhash
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from stages.core import streams
from stages.core.device import has_exact_integers
from stages.runs.schema import DATA_COLUMNS

DIGITS = 8
WORD_BYTES = 8


def step_data(rows: Tensor, labels: Tensor, draws: Tensor, images: Tensor) -> Tensor:
    """What a step was fed with, int64 [4, b] in the order of DATA_COLUMNS, on the device.

    `rows` and `labels` are integers [b], `draws` those of `draw_checksums` [b], `images` integers
    [b, ...].
    """
    return torch.stack([rows, labels, draws, checksums(images)])


def draw_checksums(draws: Sequence[Tensor], like: Tensor) -> Tensor:
    """One checksum per row of several tensors of integers [n, ...]: int64 as `like` [n]."""
    device = like.device
    if not has_exact_integers(device):
        return draw_checksums([draw.cpu() for draw in draws], like.cpu()).to(device)
    total = torch.zeros_like(like)
    for place, draw in enumerate(draws, start=1):
        total = total * (2 * place + 1) + checksums(draw)
    return total


def sum_checksums(images: Tensor, step: Tensor) -> Tensor:
    """Checksums of images [b] with that of their whole step, a scalar, added to each."""
    device = images.device
    if not has_exact_integers(device):
        return (images.cpu() + step.cpu()).to(device)
    return images + step


def checksums(values: Tensor) -> Tensor:
    """One checksum per row of integers [b, ...]: int64 [b], the same on every device.

    The sum of the row's 64-bit words, each times an odd number of its place's own, modulo 2^64
    (multilinear hashing, Carter & Wegman 1979). Nothing waits for the device.
    """
    device = values.device
    if not has_exact_integers(device):
        return checksums(values.cpu()).to(device)
    row_bytes = values.reshape(len(values), -1).contiguous().view(torch.uint8)
    if row_bytes.shape[1] % WORD_BYTES:
        row_bytes = F.pad(row_bytes, (0, -row_bytes.shape[1] % WORD_BYTES))
    words = row_bytes.view(torch.int64)
    return (words * _multipliers(words.shape[1], device)).sum(1)


@lru_cache(maxsize=8)
def _multipliers(count: int, device: torch.device) -> Tensor:
    drawn = streams.integers(streams.stream(0, "checksum"), count) | np.uint64(1)
    return torch.from_numpy(drawn.view(np.int64)).to(device)


def hash_steps(data: Tensor) -> list[list[str]]:
    """Per step of int64 [steps, 4, b] a hash for each of DATA_COLUMNS; fetched in one go."""
    return [[hash_integers(part) for part in step] for step in data.cpu().numpy()]


def hash_integers(values: NDArray[np.int64]) -> str:
    """Eight hex digits over integers in their order."""
    return xxhash.xxh3_64_hexdigest(np.ascontiguousarray(values).data)[:DIGITS]


def hash_epoch(steps: Sequence[Sequence[str]]) -> dict[str, str]:
    """DATA_COLUMNS of an epoch from those of its steps."""
    return {
        name: xxhash.xxh3_64_hexdigest("".join(hashes).encode())[:DIGITS]
        for name, hashes in zip(DATA_COLUMNS, zip(*steps, strict=True), strict=True)
    }
