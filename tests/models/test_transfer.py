"""Trained weights: read, fitted to another size, refused in plain words, and worth having."""

import io
import math
import re
import zipfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models

from stages.core.errors import ModelError
from stages.core.params import Params, parse_params
from stages.models import BuiltModel, build, hub, resolve, untrained
from stages.models.groups import parameter_groups
from stages.models.heads import in_head, layer_numbers
from stages.models.spec import ModelConfig
from stages.models.transfer import adopt


def params(model: str, **more: Any) -> Params:
    return parse_params({"model": model, **more}, "test")


def saved(path: Path, model: nn.Module) -> str:
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, path)
    return str(path)


Weights = dict[str, Tensor]


def named(prefix: str, state: Weights) -> Weights:
    return {f"{prefix}{name}": value for name, value in state.items()}


def other(state: Weights) -> Weights:
    """Weights that must not be the ones taken."""
    return {name: torch.zeros_like(value) for name, value in state.items()}


SETTINGS = Namespace(lr=0.1, output=Path("runs"))
FILES: dict[str, Callable[[Weights], Any]] = {
    "plain": lambda own: own,
    "wrapped": lambda own: {"epoch": 3, "state_dict": own},
    "compiled": lambda own: named("_orig_mod.", own),
    "DataParallel": lambda own: named("module.", own),
    "Lightning": lambda own: {
        "state_dict": named("model.", own) | {"loss.weight": torch.ones(2)},
        "hyper_parameters": {"lr": 0.1},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": []}],
    },
    "Lightning, compiled": lambda own: {"state_dict": named("net._orig_mod.", own)},
    "timm": lambda own: {
        "arch": "lenet", "args": SETTINGS, "state_dict": other(own), "state_dict_ema": own,
    },
    "torchvision": lambda own: {
        "model": other(own), "args": SETTINGS,
        "model_ema": {"n_averaged": torch.tensor(9), **named("module.", own)},
    },
    "half": lambda own: {name: value.half() for name, value in own.items()},
    "bfloat16": lambda own: {name: value.bfloat16() for name, value in own.items()},
}  # fmt: skip


@pytest.mark.parametrize("kind", ["safetensors", *FILES])
def test_weights_come_back_from_files_of_every_tool_with_a_new_head(
    tmp_path: Path, kind: str
) -> None:
    theirs = build(params("lenet_small", seed=1), 10).model.state_dict()
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pt")
    if kind == "safetensors":
        save_file(theirs, path)
    else:
        torch.save(FILES[kind](theirs), path)
    built = build(params("lenet_small", pretrained=str(path)), 4)
    ours = built.model.state_dict()
    near = {"half": 1e-3, "bfloat16": 1e-2}.get(kind, 0)
    for name in (name for name in ours if "fc3" not in name):
        torch.testing.assert_close(ours[name], theirs[name], rtol=near, atol=near / 100)
    assert ours["fc3.weight"].shape == (4, 84)
    assert 0 < ours["fc3.weight"].abs().max() <= 0.1 / 84**0.5
    assert built.notes["weights"].startswith(f"/path/to/{path.name}")
    assert str(path.parent) not in built.notes["weights"]
    assert "new" in built.notes["head"]


@pytest.mark.parametrize("keep", ["the trunk alone", "counters under other names"])
def test_other_names_in_order_need_no_head_and_no_named_counters(tmp_path: Path, keep: str) -> None:
    """A trunk without its classifier, and counters that are called `layer5`."""
    theirs = build(params("resnet18", seed=1), 10).model.state_dict()
    kept = {k: v for k, v in theirs.items() if not (keep == "the trunk alone" and "fc." in k)}
    path = str(tmp_path / "w.pt")
    torch.save({f"layer{n}": value for n, value in enumerate(kept.values())}, path)
    with pytest.raises(ModelError, match=r"one to one.*set `pretrained_keys: order`"):
        build(params("resnet18", pretrained=path), 4)
    ours = build(params("resnet18", pretrained=path, pretrained_keys="order"), 4).model.state_dict()
    assert torch.equal(ours["layer4.1.conv2.weight"], theirs["layer4.1.conv2.weight"])


def test_tensors_are_taken_by_order_when_that_is_asked_for(tmp_path: Path) -> None:
    theirs = build(params("lenet_small", seed=1), 7).model.state_dict()
    path = str(tmp_path / "w.pt")
    torch.save({f"layer{n}": value for n, value in enumerate(theirs.values())}, path)
    with pytest.raises(ModelError, match=r"one to one.*set `pretrained_keys: order`"):
        build(params("lenet_small", pretrained=path), 4)
    by_order = {"pretrained": path, "pretrained_keys": "order"}
    ours = build(params("lenet_small", **by_order), 4).model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours if "fc3" not in name)
    with pytest.raises(ModelError, match=r"not the model's one to one: layer0 is 6×3×5×5 where"):
        build(params("resnet18", **by_order), 4)


FAMILIES = (
    "lenet_small", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_lite0", "repvgg_a0",
    "mobileone_s0", "resnet18", "shufflenet_v2_x0_5", "speedrun_small", "swin_tiny",
    "vit_2l_2h_128", "timm/test_convnext", "timm/test_efficientnet", "torchvision/mnasnet0_5",
)  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_the_first_loss_with_trained_weights_is_that_of_a_guess(name: str) -> None:
    """In the mean over all labels that each image could have."""
    torch.manual_seed(0)
    made = resolve(name).make(ModelConfig(classes=7))
    adopt(made.model, made.model.state_dict())
    with torch.no_grad():
        logits = made.model(torch.randn(4, 3, made.px, made.px))
    loss = float(F.cross_entropy(logits, torch.full((4, 7), 1 / 7)))
    assert loss == pytest.approx(math.log(7), rel=0.02)


def test_a_path_is_also_looked_for_from_the_root_of_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path / "w.safetensors", build(params("lenet_small"), 10).model)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert build(params("lenet_small", pretrained="w.safetensors"), 10).notes["weights"]


@pytest.mark.parametrize(
    ("name", "resampled"),
    [
        ("timm/test_vit", ["patch_embed.proj.weight 64×3×16×16 to 64×3×4×4", "pos_embed"]),
        ("swin_tiny", ["patch_embed.proj.weight", "relative_position_bias_table 169×3 to 49×3"]),
    ],
)
def test_patches_positions_and_windows_are_resampled(
    tmp_path: Path, name: str, resampled: list[str]
) -> None:
    source = resolve(name).make(ModelConfig(px=224)).model
    with torch.no_grad():
        source.get_submodule("patch_embed.proj").weight.fill_(0.01)
        tables = [t for n, t in source.named_parameters() if "bias_table" in n]
        for number, table in enumerate(tables):
            table.fill_(number)
    path = saved(tmp_path / "w.safetensors", source)
    built = build(params(name, pretrained=path), 10)
    assert all(part in built.notes["resampled"] for part in resampled)
    # A patch of one colour gives the same embedding, whatever the side of the patch.
    sums = [
        float(model.get_submodule("patch_embed.proj").weight.detach()[0].sum())
        for model in (source, built.model)
    ]
    assert sums[0] == pytest.approx(sums[1], rel=0.05)
    fitted = [t for n, t in built.model.named_parameters() if "bias_table" in n]
    for number, table in enumerate(fitted):
        torch.testing.assert_close(table, torch.full_like(table, number))


def test_a_patchifying_stem_is_resampled() -> None:
    source, target = (resolve("timm/test_convnext").make(ModelConfig()).model for _ in range(2))
    stem: Any = target.get_submodule("stem")
    stem[0] = nn.Conv2d(3, stem[0].out_channels, 2, stride=2)
    notes = adopt(target, source.state_dict())
    assert "stem.0.weight 24×3×4×4 to 24×3×2×2" in notes["resampled"]
    assert target.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


class Code:
    """Pickles as a call, as malicious checkpoints do."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("ran"),)


def broken(path: Path, kind: str) -> None:
    whole = build(params("lenet_small"), 10).model.state_dict()
    if kind == "pickle with code":
        torch.save({"state_dict": whole, "hook": Code()}, path)
    elif kind == "pickled module":
        torch.save(nn.Linear(2, 2), path)
    elif kind == "zip of pictures":
        with zipfile.ZipFile(path, "w") as opened:
            opened.writestr("train/cat/1.jpg", b"picture")
    elif kind == "absurd header":
        path.write_bytes((2**62).to_bytes(8, "little") + b"{}" + bytes(100))
    elif kind == "nothing":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_bytes(b"not a checkpoint")
    else:
        (save_file if path.suffix == ".safetensors" else torch.save)(whole, path)
        path.write_bytes(path.read_bytes()[:9000])


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
@pytest.mark.parametrize(
    "kind",
    ["pickle with code", "pickled module", "zip of pictures", "absurd header", "nothing", "text",
     "truncated"],
)  # fmt: skip
def test_what_is_no_checkpoint_is_told_and_no_code_of_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, suffix: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"w.{suffix}"
    broken(path, kind)
    with pytest.raises(ModelError, match="cannot be read as weights") as told:
        build(params("lenet_small", pretrained=str(path)), 10)
    assert not Path("ran").exists()
    if suffix == "pt" and kind.startswith("pickle"):
        assert "which is no tensor" in str(told.value)


@pytest.mark.parametrize(
    ("change", "told"),
    [(lambda weight: weight / 0, "conv1.weight has values that are not finite"),
     (lambda weight: weight.to_sparse(), "conv1.weight is sparse"),
     (lambda weight: weight.cfloat(), "conv1.weight is complex"),
     (lambda weight: weight.to(torch.int8), "conv1.weight is of int8 there")],
)  # fmt: skip
def test_tensors_that_are_no_weights_are_told(
    tmp_path: Path, change: Callable[[torch.Tensor], torch.Tensor], told: str
) -> None:
    state = build(params("lenet_small"), 10).model.state_dict()
    state["conv1.weight"] = change(state["conv1.weight"])
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(ModelError, match=told):
        build(params("lenet_small", pretrained=str(tmp_path / "w.pt")), 10)


def test_a_damaged_checkpoint_is_told_though_pytorch_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    state = build(params("lenet_small"), 10).model.state_dict()
    torch.save(state, path)
    content = bytearray(path.read_bytes())
    content[content.index(state["fc1.weight"].numpy().tobytes()) + 7] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="its records do not have their CRC"):
        build(params("lenet_small", pretrained=str(path)), 10)


def test_a_missing_file_and_a_list_are_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no such file"):
        build(params("lenet_small", pretrained="absent.pt"), 10)
    torch.save([torch.ones(2)], tmp_path / "list.pt")
    with pytest.raises(ModelError, match="it holds a list"):
        build(params("lenet_small", pretrained=str(tmp_path / "list.pt")), 10)


def test_weights_of_another_model_or_stem_are_told_by_tensor(tmp_path: Path) -> None:
    made = resolve("resnet18").make(ModelConfig()).model
    path = saved(tmp_path / "w.safetensors", made)
    with pytest.raises(ModelError, match=r"is 64×3×3×3 there and 64×3×7×7 here.*`stem: cifar`"):
        build(params("resnet18", stem="imagenet", pretrained=path), 10)
    with pytest.raises(ModelError, match=r"it lacks .* and \d+ more; it has unknown"):
        build(params("mobilenet_v3_small", pretrained=path), 10)
    assert build(params("resnet18", stem="cifar", pretrained=path), 10).notes["weights"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"conv1.weight": None}, r"it lacks conv1\.weight\. They must come from"),
        ({"conv1.weight": (6, 1, 5, 5)}, r"6×1×5×5 there and 6×3×5×5 here.*trained on grey images"),
    ],
)
def test_weights_with_missing_tensors_and_those_for_grey_images_are_told(
    tmp_path: Path, change: dict[str, tuple[int, ...] | None], words: str
) -> None:
    state = build(params("lenet_small"), 10).model.state_dict()
    for name, shape in change.items():
        del state[name]
        if shape:
            state[name] = torch.zeros(shape)
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match=words):
        build(params("lenet_small", pretrained=str(tmp_path / "w.safetensors")), 10)


def test_published_weights_without_a_network_are_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real code asks for the real address; here a port where nobody listens."""
    attempts = []

    def refuse(request: Any, timeout: float) -> None:
        attempts.append(request.full_url)
        raise hub.urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(hub.urllib.request, "urlopen", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)
    for name in ("mobilenet_v3_small", "shufflenet_v2_x0_5"):
        with pytest.raises(ModelError, match=r"cannot be fetched from .*Name or service not known"):
            build(params(name, pretrained=True), 10)
    assert len(attempts) == 2


@pytest.mark.parametrize("name", ["lenet_small", "vit_2l_2h_128", "timm/efficientnetv2_s"])
def test_models_without_published_weights_are_told(name: str) -> None:
    with pytest.raises(ModelError, match=r"publishes (trained )?weights|publishes no weights"):
        build(params(name, pretrained=True), 10)


def test_published_weights_with_a_cifar_stem_are_told() -> None:
    with pytest.raises(ModelError, match="do not go together"):
        build(params("resnet18", pretrained=True, stem="cifar"), 10)


def test_published_weights_keep_their_stem_and_so_does_what_is_rebuilt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    published = resolve("resnet18").make(ModelConfig(1000, stem="imagenet")).model.state_dict()
    monkeypatch.setattr("stages.models.transfer.published_weights", lambda library: published)
    wanted = params("resnet18", pretrained=True)
    built = build(wanted, 10)
    assert built.model.get_submodule("conv1").kernel_size == (7, 7)
    assert built.notes["weights"] == "published weights of timm/resnet18.tv_in1k"
    rebuilt = build(untrained(wanted), 10)
    rebuilt.model.load_state_dict(built.model.state_dict())


def pictures(archive: Path, classes: list[str], each: int, offset: int) -> tuple[Tensor, Tensor]:
    """`each` images of every class, from `offset` on, normalised, and their labels."""
    images, labels = [], []
    with zipfile.ZipFile(archive) as opened:
        for label, name in enumerate(classes):
            members = sorted(m for m in opened.namelist() if m.startswith(f"train/{name}/"))
            for member in [m for m in members if m.endswith(".jpg")][offset : offset + each]:
                image = Image.open(io.BytesIO(opened.read(member))).convert("RGB")
                images.append(np.asarray(image).transpose(2, 0, 1))
                labels.append(label)
    return torch.from_numpy(np.stack(images)) / 127.5 - 1, torch.tensor(labels)


def fit(
    built: BuiltModel, chosen: Params, images: Tensor, labels: Tensor, epochs: int, order: int = 0
) -> None:
    optimizer = torch.optim.AdamW(parameter_groups(built, chosen))
    generator = torch.Generator().manual_seed(order)
    for _ in range(epochs):
        for rows in torch.randperm(len(images), generator=generator).split(50):
            loss = F.cross_entropy(built.model.train()(images[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def top1(built: BuiltModel, images: Tensor, labels: Tensor) -> float:
    with torch.no_grad():
        return float((built.model.eval()(images).argmax(1) == labels).double().mean())


def test_transfer_beats_scratch_on_1000_images(real_pictures: Path, tmp_path: Path) -> None:
    """Six classes teach a network that then learns four others from 1,000 images.

    The mean over three orders of the images: the gain of a single one spreads by four points.
    """
    source = ["airplane", "bird", "cat", "dog", "frog", "ship"]
    target = ["automobile", "deer", "horse", "truck"]
    teacher_params = params("lenet_small", train={"lr": 0.002})
    teacher = build(teacher_params, len(source))
    fit(teacher, teacher_params, *pictures(real_pictures, source, 400, 0), epochs=4)
    path = saved(tmp_path / "teacher.safetensors", teacher.model)
    train, test = (pictures(real_pictures, target, 250, offset) for offset in (0, 250))
    scores = {}
    for name, pretrained in (("scratch", False), ("transfer", path)):
        chosen = params("lenet_small", pretrained=pretrained, train={"lr": 0.002})
        found = []
        for order in range(3):
            student = build(chosen, len(target))
            fit(student, chosen, *train, epochs=2, order=order)
            found.append(top1(student, *test))
        scores[name] = sum(found) / len(found)
    assert scores["transfer"] > scores["scratch"] + 0.03, scores


def published(kind: str, image_size: int = 32) -> nn.Module:
    """A tiny one of torchvision's own architectures."""
    if kind == "densenet":
        return models.DenseNet(growth_rate=4, block_config=(1, 2), num_init_features=4)
    if kind == "squeezenet":
        return models.SqueezeNet("1_1")
    return models.VisionTransformer(image_size, 16, 1, 1, 8, 8, num_classes=5)


@pytest.mark.parametrize("kind", ["densenet", "squeezenet", "vit"])
def test_torchvisions_published_forms_are_taken(kind: str) -> None:
    source, model = published(kind), published(kind, image_size=64)
    names = [re.sub(r"(denselayer\d\.\w+)(\d)", r"\1.\2", name) for name in source.state_dict()]
    weights = dict(zip(names, source.state_dict().values(), strict=True))
    adopt(model, weights | {"AuxLogits.fc.weight": torch.ones(1), "aux1.conv.bias": torch.ones(1)})
    ours, theirs = model.state_dict(), source.state_dict()
    unlike = {name for name in ours if not torch.equal(ours[name], theirs[name])}
    head = {"densenet": "classifier.", "squeezenet": "classifier.1.", "vit": "heads.head."}[kind]
    assert {name for name in unlike if not name.startswith(head)} <= {"encoder.pos_embedding"}
    assert all(ours[name].abs().max() < 0.1 for name in ours if name.startswith(head))
    assert layer_numbers(model).keys() == dict(model.named_parameters()).keys() - in_head(model)
