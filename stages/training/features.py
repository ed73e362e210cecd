"""What a frozen trunk makes of images: computed once, kept, and found again by the images' pixels.

Features are the input of the linear layer that a model ends in. They lie in `.work/features/`, in a
folder named by all that decides their bits: weights, preprocessing, precision, batch size, code and
the machine's DNA. A pack's name carries the SHA-256 of its bytes: a damaged one is told, removed
and computed anew.
"""

import hashlib
import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from stages.core.counts import counted
from stages.core.device import autocast
from stages.core.files import replacing, sha256_of_json
from stages.core.paths import work_folder
from stages.datasets.pixels import Split
from stages.training.fast_kernels import fast_kernels
from stages.training.folding import folded
from stages.training.inference import Evaluator

SEEN = 2  # images on which it is seen what can be folded
Digest = bytes
Row = tuple[NDArray[np.float32], float]


@dataclass(frozen=True)
class Features:
    """`values` float32 [n, width] on the CPU, and the seconds that computing all of them takes."""

    values: Tensor
    seconds: float


def feature_folder(decides: dict[str, object]) -> Path:
    """Where the features lie that these facts decide."""
    return work_folder() / "features" / sha256_of_json(decides)[:20]


def features_of(
    split: Split,
    folder: Path | None,
    compute: Callable[[Split], Tensor],
    log: Callable[[str], None],
) -> Features:
    """The features of a split; those that the folder lacks are computed and kept there.

    Without a folder nothing is kept. Each kept row carries the seconds that it took.
    """
    digests = [hashlib.sha256(image.tobytes()).digest() for image in split.pixels]
    known = {} if folder is None else _read(folder, log)
    places = {digest: row for row, digest in enumerate(digests) if digest not in known}
    if places:
        missing, rows = list(places), list(places.values())
        log(f"features of {counted(len(rows), 'image')} from the frozen trunk, once")
        started = time.perf_counter()
        part = Split(split.pixels[rows], split.labels[rows], [split.names[row] for row in rows])
        values = compute(part).numpy()
        each = (time.perf_counter() - started) / len(rows)
        known |= {digest: (values[row], each) for row, digest in enumerate(missing)}
        if folder is not None:
            _write(folder, missing, values, each, log)
    found = [known[digest] for digest in digests]
    values = np.stack([value for value, _ in found])
    return Features(torch.from_numpy(values), sum(seconds for _, seconds in found))


@torch.no_grad()
def through_trunk(model: nn.Module, head_name: str, evaluator: Evaluator) -> Tensor:
    """What reaches the head, [n, width] float32 on the CPU, as the evaluator shows its images."""
    was_training = model.training
    model.eval()
    view = evaluator.view
    fast = view.fast_kernels and evaluator.device.type == "cpu"

    def features(trunk: nn.Module, start: int, count: int) -> Tensor:
        rows = torch.arange(start, start + count).clamp_(max=evaluator.count - 1)
        _, inputs, _ = evaluator.show(rows)
        caught: list[Tensor] = []
        head = trunk.get_submodule(head_name)
        handle = head.register_forward_pre_hook(lambda module, args: caught.append(args[0]))
        try:
            with autocast(evaluator.device, view.precision), fast_kernels(fast):
                trunk(*inputs)
        finally:
            handle.remove()
        return caught[0].float().cpu()

    starts = range(0, evaluator.count, view.batch_size)
    try:
        # In half precision what is folded would be rounded far more coarsely.
        folds = fast and view.precision == "fp32"
        trunk = folded(model, lambda one: features(one, 0, SEEN)) if folds else model
        parts = [
            features(trunk, start, view.batch_size)
            for start in tqdm(starts, "features", unit="batch", disable=None, dynamic_ncols=True)
        ]
    finally:
        model.train(was_training)
    return torch.cat(parts)[: evaluator.count]


def _read(folder: Path, log: Callable[[str], None]) -> dict[Digest, Row]:
    """Every row of the folder's whole packs by its image's digest."""
    found: dict[Digest, Row] = {}
    for path in sorted(folder.glob("[!.]*.npz")):  # without those that are being written
        try:
            content = path.read_bytes()
        except FileNotFoundError:  # another process found it damaged
            continue
        if hashlib.sha256(content).hexdigest() != path.stem:
            log(f"{path} is damaged: removed, and its features are computed anew")
            path.unlink(missing_ok=True)
            continue
        with np.load(io.BytesIO(content)) as arrays:
            digests, values, each = arrays["digests"], arrays["values"], float(arrays["seconds"])
        found |= {bytes(digest): (row, each) for digest, row in zip(digests, values, strict=True)}
    return found


def _write(
    folder: Path,
    digests: list[Digest],
    values: NDArray[np.float32],
    each: float,
    log: Callable[[str], None],
) -> None:
    """Keep a pack; one that cannot be written is told and passed over."""
    buffer = io.BytesIO()
    stacked = np.frombuffer(b"".join(digests), np.uint8).reshape(len(digests), -1)
    np.savez(buffer, digests=stacked, values=values, seconds=np.float64(each))
    content = buffer.getbuffer()
    try:
        with replacing(folder / f"{hashlib.sha256(content).hexdigest()}.npz") as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        log(f"features not kept ({error}); the run goes on")
