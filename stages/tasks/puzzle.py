"""Put a piece back: say which quadrant of an image a piece is, and how far it was turned.

From each image one of four quadrants is cut, turned by 0, 90, 180 or 270 degrees and enlarged to
the size of the image. The model sees both and answers twice, four ways each. One backbone reads
the image and the piece under all four turns; the turn is the one whose features correlate best
with the image's, and the quadrant is judged from the image's features beside the piece's. A
jigsaw task in the spirit of Noroozi and Favaro, arXiv:1603.09246, and of rotation prediction,
Gidaris et al., arXiv:1803.07728.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stages import models
from stages.core import streams
from stages.models.heads import without_head
from stages.models.initialization import portable_randomness

if TYPE_CHECKING:
    from stages.core.params import Params

WAYS = 4
QUADRANTS = ["top left", "top right", "bottom left", "bottom right"]
TURNS = ["0°", "90°", "180°", "270°"]
CORRELATED = 128
HIDDEN = 256

Answers = tuple[Tensor, Tensor]


class Puzzle:
    """The task of `task: puzzle`."""

    metrics: tuple[str, ...] = ("quadrant_top1", "turn_top1")
    excludes: Mapping[str, str] = dict.fromkeys(
        ("mixup", "cutmix"), "it blends two images, and a piece is cut out of one"
    )

    def build(self, params: "Params", classes: int) -> models.BuiltModel:
        """The backbone of `params.model` without its head, and a head for each question."""
        built = models.build(params, classes)
        backbone, width = without_head(built.model)
        with portable_randomness(params.seed, "heads"):
            model = PuzzleModel(backbone, width)
        notes = {**built.notes, "head": f"two of {WAYS} answers, quadrant and turn, both new"}
        return replace(built, model=model, notes=notes)

    def heads(self, classes: Sequence[str]) -> dict[str, list[str]]:
        """Four quadrants and four turns, whatever the data set's classes."""
        return dict(zip(self.metrics, (QUADRANTS, TURNS), strict=True))

    def draw(self, seed: int, purpose: str, epoch: int, count: int) -> dict[str, Tensor]:
        """Which quadrant (0…3, row by row) and how many quarter turns (0…3), per image."""
        bits = streams.integers(streams.stream(seed, "puzzle", purpose, epoch), count)
        three = np.uint64(WAYS - 1)
        drawn = {"quadrant": bits & three, "turn": (bits >> np.uint64(2)) & three}
        return {name: torch.from_numpy(part.astype(np.int64)) for name, part in drawn.items()}

    def prepare(
        self, images: Tensor, labels: Tensor, draws: Mapping[str, Tensor]
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """Square images and a piece of each, both [b, 3, s, s]; the two answers, [b, 2]."""
        pieces = _turned(_quadrants(images, draws["quadrant"]), draws["turn"])
        pieces = F.interpolate(pieces, images.shape[-2:], mode="bilinear", align_corners=False)
        return (images, pieces), torch.stack([draws["quadrant"], draws["turn"]], dim=1)

    def loss(self, outputs: Answers, targets: Tensor, label_smoothing: float) -> Tensor:
        """The mean of the two cross-entropies."""
        losses = [
            F.cross_entropy(logits, targets[:, column], label_smoothing=label_smoothing)
            for column, logits in enumerate(outputs)
        ]
        return torch.stack(losses).mean()

    def correct(self, outputs: Answers, targets: Tensor) -> Tensor:
        """Whether quadrant and turn are right: bool [b, 2]."""
        return torch.stack([logits.argmax(1) for logits in outputs], dim=1) == targets


TASK = Puzzle()


class PuzzleModel(nn.Module):
    """A backbone that gives features [b, width], and two heads on image and piece."""

    def __init__(self, backbone: nn.Module, width: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.image_projection = nn.Linear(width, CORRELATED)
        self.piece_projection = nn.Linear(width, CORRELATED)
        self.log_scale = nn.Parameter(torch.tensor(2.0))
        self.quadrant = nn.Sequential(
            nn.Linear(2 * width, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, WAYS)
        )

    def forward(self, images: Tensor, pieces: Tensor) -> Answers:
        """Logits of quadrant and turn, [b, 4] each, for images and pieces [b, 3, s, s]."""
        count = images.shape[0]
        turned_back = [torch.rot90(pieces, -turns, (2, 3)) for turns in range(WAYS)]
        features = self.backbone(torch.cat([images, *turned_back]))
        image, candidates = features[:count], features[count:].view(WAYS, count, -1)
        turn = self._correlation(image, candidates)
        upright = torch.einsum("bk,kbd->bd", turn.softmax(1), candidates)
        return self.quadrant(torch.cat([image, upright], dim=1)), turn

    def _correlation(self, image: Tensor, candidates: Tensor) -> Tensor:
        """Cosines of the image's features with each candidate's, scaled: [b, 4]."""
        whole = F.normalize(self.image_projection(image), dim=-1)
        parts = F.normalize(self.piece_projection(candidates), dim=-1)
        return torch.einsum("bd,kbd->bk", whole, parts) * self.log_scale.exp()


def _quadrants(images: Tensor, which: Tensor) -> Tensor:
    """The quadrant `which` of every image, row by row: [b, 3, h // 2, w // 2]."""
    height, width = images.shape[-2] // 2, images.shape[-1] // 2
    every = [
        images[..., top : top + height, left : left + width]
        for top in (0, images.shape[-2] - height)
        for left in (0, images.shape[-1] - width)
    ]
    return _chosen(every, which)


def _turned(pieces: Tensor, turns: Tensor) -> Tensor:
    """Every piece turned by its number of quarter turns, anticlockwise."""
    return _chosen([torch.rot90(pieces, count, (2, 3)) for count in range(WAYS)], turns)


def _chosen(options: list[Tensor], which: Tensor) -> Tensor:
    """Row i of option `which[i]`."""
    rows = torch.arange(which.shape[0], device=which.device)
    return torch.stack(options)[which, rows]
