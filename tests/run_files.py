"""A run's files as the stages write them, small and synthetic, for tests of charts and report."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from stages.charts.style import save
from stages.core import paths
from stages.core.files import write_csv, write_json, write_text
from stages.core.metrics import write_metrics


def history(epochs: int = 12, metrics: tuple[str, ...] = ("top1",)) -> pd.DataFrame:
    """Curves of a plausible training."""
    epoch = np.arange(1, epochs + 1)
    table = pd.DataFrame({"epoch": epoch, "lr": 1e-3 * np.cos(epoch / epochs * 1.5)})
    table["train_loss"] = 2.0 / epoch
    table["val_loss"] = 1.8 / epoch + 0.02 * epoch
    for metric in metrics:
        table[f"train_{metric}"] = 1 - 0.8 / epoch
        table[f"val_{metric}"] = 0.9 - 0.7 / epoch
    return table.assign(seconds=1.5)


def predictions(classes: int = 10, per_class: int = 20) -> pd.DataFrame:
    """Rows per test image; about a third are wrong, and always taken for the next class."""
    draws = np.random.default_rng(0)
    label = np.repeat(np.arange(classes), per_class)
    wrong = draws.random(len(label)) < 0.3
    table = pd.DataFrame({"name": [f"test/{i:05d}" for i in range(len(label))], "label": label})
    table["predicted"] = np.where(wrong, (label + 1) % classes, label)
    table["confidence"] = draws.uniform(1 / classes, 1, len(label))
    table["loss"] = np.where(wrong, 3.0, 0.1) + draws.random(len(label))
    return table


def class_names(classes: int) -> list[str]:
    """Names that sort differently as text and as numbers."""
    return [f"class {i}" for i in range(classes)]


def in_words(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Predictions with class names for numbers."""
    named = np.asarray(names, dtype=object)
    return table.assign(label=named[table["label"]], predicted=named[table["predicted"]])


def per_class(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Accuracy per class with a made-up interval."""
    right = (table["label"] == table["predicted"]).groupby(table["label"]).mean().to_numpy()
    low, high = np.clip(right - 0.15, 0, 1), np.clip(right + 0.15, 0, 1)
    images = table["label"].value_counts().sort_index().to_numpy()
    return pd.DataFrame({"class": names, "top1": right, "low": low, "high": high, "images": images})


def reliability() -> pd.DataFrame:
    """Fifteen bins of an over-confident network."""
    confidence = (np.arange(15) + 0.5) / 15
    return pd.DataFrame(
        {"confidence": confidence, "accuracy": confidence**1.5, "images": np.arange(15) * 7 + 1}
    )


def profile_table() -> pd.DataFrame:
    """Two variants that were timed and one that could not be, and a training step."""
    columns = ["variant", "mode", "batch_size", "latency_ms_p50", "images_per_second", "note"]
    rows = [
        ("eager", "inference", 1, 2.31, 420.0, None),
        ("eager", "inference", 64, 60.2, 1063.0, None),
        ("channels_last", "inference", 1, 1.9, 501.0, "noisy: repeats differ by 8 %"),
        ("channels_last", "inference", 64, 41.0, 1560.0, None),
        ("reparameterized", "inference", 1, None, None, "the network has no branches to merge"),
        ("reparameterized", "inference", 64, None, None, "the network has no branches to merge"),
        ("eager", "training", 64, 180.0, 355.0, None),
    ]
    table = pd.DataFrame(rows, columns=columns)
    table["latency_ms_p95"] = 1.1 * table["latency_ms_p50"]
    return table.assign(precision="fp32", memory_format="contiguous")


def profile_blocks(blocks: int = 6) -> pd.DataFrame:
    """Cost by block; deeper blocks have more parameters and fewer MACs."""
    place = np.arange(blocks)
    return pd.DataFrame(
        {
            "block": [f"layer{i}" for i in place],
            "params": 1000 * 2**place,
            "macs_g": 0.04 / (1 + place),
            "activations_m": 0.1,
        }
    )


PROFILE: dict[str, Any] = {
    "model": "lenet_large", "input_px": 32, "params_total": 1_982_602, "weights_mb": 7.93,
    "macs_g": 0.0346, "flops_g": 0.0692, "flops_reason": None, "latency_batch_size": 1,
    "flops_mean": "convolutions and matrix products of one image, 2 FLOPs per MAC",
    "latency_ms_p50": 2.31, "latency_ms_p95": 2.54, "latency_ms_p99": None, "latency_note": None,
    "throughput_images_per_second": 1560.0, "throughput_batch_size": 64,
    "training_images_per_second": 355.0, "training_batch_size": 64, "training_note": None,
    "peak_memory_mb": 61.4, "peak_memory_batch_size": 64, "peak_memory_reason": None,
    "peak_memory_means": "most bytes held by PyTorch's CPU allocator",
    "training_peak_memory_mb": 120.9, "training_peak_memory_reason": None,
    "peak_resident_mb": 540.0, "energy_per_image_j": None,
    "energy_reason": "no energy counter can be read here",
    "best": "At batch 1 channels_last is fastest",
}  # fmt: skip

HARDWARE: dict[str, Any] = {
    "id": "bf4a05f4-e226ce28", "chip": "AMD EPYC", "architecture": "x86_64", "backend": "cpu",
    "accelerator": None, "driver": None, "os": "Linux", "torch": "2.15.0", "threads": 2,
    "precision": "fp32", "seed": 0, "memory_gb": 25.3, "environment": {},
}  # fmt: skip


def write_run(
    root: Path,
    classes: int = 10,
    metrics: tuple[str, ...] = ("top1",),
    params: str = "model: lenet_large\n",
    pictures: tuple[str, ...] = ("hardest", "activations", "filters"),
) -> Path:
    """Write all files of a run into `root` and return it."""
    names, table = class_names(classes), predictions(classes)
    right = float((table["label"] == table["predicted"]).mean())
    evaluate: dict[str, Any] = {"test_loss": 0.9}
    for metric in metrics:
        evaluate |= {f"test_{metric}": right}
        evaluate |= {f"test_{metric}_low": right - 0.05, f"test_{metric}_high": right + 0.05}
    evaluate |= {"test_images": len(table), "ece": 0.057, "top1_per_class": {}}
    train = {
        "model": "lenet_large", "epochs": 12, "epochs_run": 12, "best_epoch": 9,
        "train_seconds": 148.7, "epoch_seconds_p50": 7.2, "params_total": 1_982_602,
        "fell_back_to_fp32": None, "params": {"model": "lenet_large"},
        "adapted": {"stem": "3×3 in place of 7×7", "weights": "published weights of timm/x"},
    }  # fmt: skip
    write_text(root / paths.PARAMS, params)
    write_json(root / paths.MACHINE, HARDWARE)
    counts = {"train_images": 1295, "val_images": 143, "test_images": len(table)}
    write_metrics(root / paths.SUBSET_METRICS, counts, [])
    write_metrics(root / paths.TRAIN_METRICS, train, ["train_seconds"])
    shown = [f"test_{metric}" for metric in metrics]
    write_metrics(root / paths.EVALUATE_METRICS, evaluate, shown)
    write_metrics(root / paths.PROFILE_METRICS, PROFILE, ["latency_ms_p50", "peak_memory_mb"])
    write_csv(root / paths.HISTORY, history(metrics=metrics))
    write_csv(root / paths.ALL_PREDICTIONS, in_words(table, names))
    write_csv(root / paths.PREDICTIONS, in_words(table, names).drop(columns="loss"))
    write_csv(root / paths.PER_CLASS, per_class(table, names))
    write_csv(root / paths.RELIABILITY, reliability())
    write_csv(root / paths.PROFILE_TABLE, profile_table())
    write_csv(root / paths.PROFILE_BLOCKS, profile_blocks())
    for name in pictures:
        save(Figure(figsize=(1, 1)), root / paths.PICTURES / f"{name}.png")
    return root
