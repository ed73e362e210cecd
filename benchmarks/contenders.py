"""The training loops that `train_throughput` lets compete: ours, a DataLoader's, timm's.

Each function sets its loop up, ready to train, and returns a callable that makes one step of it,
loading included. Same network from the same weights, same images in memory, random crop and
flip, AdamW, same batch size. Leaves processes, turns and timing to `train_throughput`.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

PX, CLASSES, IMAGES, LR, WEIGHT_DECAY = 32, 10, 10_000, 1e-3, 0.05
MEAN = STD = (0.5, 0.5, 0.5)
Step = Callable[[], object]


def ours(model: str, batch_size: int, precision: str, fast_kernels: bool = True) -> Step:
    """A step of the product's engine, with the check of the loss that the loop makes on a CPU."""
    import torch

    from stages.core.determinism import keep_freed_memory, set_determinism
    from stages.core.params import parse_params
    from stages.datasets.pixels import Split
    from stages.tasks import task_of
    from stages.training.engine import Engine

    keep_freed_memory()
    set_determinism(True, torch.device("cpu"))
    train = {
        "batch_size": batch_size,
        "precision": precision,
        "fast_kernels": fast_kernels,
        "augment": ["crop", "flip"],
        "optimizer": "adamw",
        "lr": LR,
        "weight_decay": WEIGHT_DECAY,
        "epochs": 1000,
    }
    params = parse_params({"model": model, "input_size": PX, "train": train}, "benchmark")
    pixels, labels = images_and_labels()
    split = Split(pixels.transpose(0, 3, 1, 2).copy(), labels, [])
    engine = Engine(params, task_of(params), split, CLASSES, torch.device("cpu"))
    engine.model.train()

    def steps() -> Iterator[None]:
        for number in range(1, 1000):
            epoch = engine.epoch(number)
            for index in range(engine.steps_per_epoch):
                result = engine.gradients(epoch, index)
                assert float(result.loss) < float("inf")
                engine.update()
                yield

    return steps().__next__


def loader(model: str, batch_size: int, precision: str, workers: int = 0) -> Step:
    """The loop of a tutorial: PIL transforms, DataLoader, zero, forward, backward, step."""
    import torch
    from torch.utils.data import DataLoader
    from torchvision import transforms

    transform = transforms.Compose(
        [
            transforms.RandomCrop(PX, padding=PX // 8),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    batches = DataLoader(
        PictureList(transform),
        batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    network = fresh(model)
    optimizer = torch.optim.AdamW(network.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)
    criterion = torch.nn.CrossEntropyLoss()

    def steps() -> Iterator[None]:
        while True:
            for images, labels in batches:
                optimizer.zero_grad()
                with autocast(precision):
                    loss = criterion(network(images), labels)
                loss.backward()
                optimizer.step()
                assert loss.item() < float("inf")
                yield

    return steps().__next__


def timm_loop(model: str, batch_size: int, precision: str) -> Step:
    """The parts of timm in the order of its train.py, with crop and flip for augmentation."""
    import torch
    from timm.data import create_loader
    from timm.optim import create_optimizer_v2
    from timm.scheduler import create_scheduler_v2
    from timm.task import ClassificationTask

    batches = create_loader(
        PictureList(None),
        (3, PX, PX),
        batch_size,
        is_training=True,
        train_crop_mode="rkrc",
        color_jitter=0.0,
        mean=MEAN,
        std=STD,
        num_workers=0,
        persistent_workers=False,
        device=torch.device("cpu"),
    )
    network = fresh(model)
    task = ClassificationTask(network, criterion_kwargs={"smoothing": 0.0}, verbose=False)
    optimizer = create_optimizer_v2(network, opt="adamw", lr=LR, weight_decay=WEIGHT_DECAY)
    scheduler, _ = create_scheduler_v2(
        optimizer, num_epochs=1000, step_on_epochs=False, updates_per_epoch=len(batches)
    )

    def steps() -> Iterator[None]:
        updates = 0
        while True:
            for images, labels in batches:
                with autocast(precision):
                    loss = task(images, labels)["loss"]
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                updates += 1
                scheduler.step_update(num_updates=updates, metric=loss.item())
                yield

    return steps().__next__


CONTENDERS: dict[str, tuple[Callable[..., Step], dict[str, Any]]] = {
    "ours fp32": (ours, {"precision": "fp32"}),
    "ours bf16": (ours, {"precision": "bf16"}),
    "plain fp32": (ours, {"precision": "fp32", "fast_kernels": False}),
    "plain bf16": (ours, {"precision": "bf16", "fast_kernels": False}),
    "loader2": (loader, {"precision": "fp32", "workers": 2}),
    "loader0": (loader, {"precision": "fp32", "workers": 0}),
    "timm fp32": (timm_loop, {"precision": "fp32"}),
    "timm bf16": (timm_loop, {"precision": "bf16"}),
}


class PictureList:
    """A data set as torchvision's CIFAR10 keeps it: an array, a PIL image made per access."""

    def __init__(self, transform: Callable[[Any], Any] | None) -> None:
        self.transform = transform
        self.pixels, self.labels = images_and_labels()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        from PIL import Image

        picture = Image.fromarray(self.pixels[index])
        return (self.transform(picture) if self.transform else picture), int(self.labels[index])


def images_and_labels() -> tuple[Any, Any]:
    """Random pixels uint8 [n, 32, 32, 3] and labels [n]; their content does not matter to speed."""
    import numpy as np

    source = np.random.default_rng(0)
    pixels = source.integers(0, 256, (IMAGES, PX, PX, 3), dtype=np.uint8)
    return pixels, source.integers(0, CLASSES, IMAGES)


def best_rates() -> dict[str, float]:
    """GFLOP/s of a large matrix product or of a 3x3 convolution, the better, by precision."""
    import time

    import torch

    rates = {}
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        square, images = torch.ones(2048, 2048, dtype=dtype), torch.ones(128, 128, 16, 16)
        images = images.to(dtype, memory_format=torch.channels_last)
        kernel = torch.ones(128, 128, 3, 3, dtype=dtype)
        for flops, call in (
            (2 * 2048**3, lambda a=square: a @ a),
            (2 * 128 * 256 * 9 * 128**2, lambda a=images, b=kernel: torch.conv2d(a, b, padding=1)),
        ):
            for _ in range(8):
                started = time.perf_counter()
                call()
                rate = flops / (time.perf_counter() - started) / 1e9
                rates[precision] = max(rates.get(precision, 0.0), rate)
    return rates


def training_gflop(model: str) -> float:
    """What an image costs in training: forward, and twice as much backward."""
    import torch

    from stages.measures.profiling.flops import count_cost

    built = fresh(model).eval()
    return 6 * count_cost(built, (torch.zeros(1, 3, PX, PX),)).macs / 1e9


def fresh(model: str) -> Any:
    """The product's own network in training mode, in PyTorch's default layout."""
    from stages.core.params import parse_params
    from stages.models import build

    return build(
        parse_params({"model": model, "input_size": PX}, "benchmark"), CLASSES
    ).model.train()


def autocast(precision: str) -> Any:
    """Automatic mixed precision as PyTorch's documentation shows it, or nothing."""
    import torch

    return torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else nullcontext()
