"""Hashes of initial weights and masks, printed: run on other instruction sets by the tests.

One model of each family and of each library's own way to draw; large ones by a small sibling, and
Swin, which has none, by transformers that draw as it does.
"""

import hashlib
import sys

import stages  # noqa: F401  (settings that must precede torch)

import torch  # isort: skip

from stages.core.params import parse_params
from stages.models import build
from stages.models.masks import portable_masks

NAMES = (
    "lenet_small",
    "mobilenet_v3_small",
    "mobileone_s0",
    "timm/test_resnet",
    "shufflenet_v2_x0_5",
    "vit_2l_2h_128",
    "timm/test_convnext",
    "timm/test_efficientnet",
    "timm/test_vit_relpos",
    "torchvision/googlenet",
)


def hashes() -> dict[str, str]:
    """SHA-256 of every model's parameters, buffers and drop rates, and of some masks."""
    return {name: _weights(name) for name in NAMES} | {"masks": _masks()}


def _weights(name: str) -> str:
    drop_path = 0.2 if name == "vit_2l_2h_128" else 0.0
    params = parse_params({"model": name, "train": {"drop_path": drop_path}}, "test")
    model = build(params, 10).model
    rates = [float(m.drop_prob) for m in model.modules() if hasattr(m, "drop_prob")]
    return _sha256(*model.state_dict().values(), *model.buffers(), torch.tensor(rates))


def _masks() -> str:
    with portable_masks(torch.nn.Dropout(0.3), 1, 7):
        mask = torch.nn.functional.dropout(torch.ones(64, 65, 33), 0.3)
        paths = torch.empty(100, 1, 1).bernoulli_(0.9)
    return _sha256(mask, paths)


def _sha256(*tensors: torch.Tensor) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().numpy().tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[1]))
    print("\n".join(f"{name} {value}" for name, value in hashes().items()))
