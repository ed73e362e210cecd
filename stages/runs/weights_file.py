"""The file of weights that a training leaves: the tensors, and all that is needed to use them.

Whoever has the file needs no `params.yaml` beside it. What is known of the weights stands in one
entry of metadata, for safetensors writes several in an order that changes from run to run.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError

from stages.core.errors import RunError
from stages.core.files import replacing
from stages.core.params import Params
from stages.core.sections import Evaluate, Precision, Train

if TYPE_CHECKING:
    from torch import Tensor

ENTRY = "about"
LENGTH_BYTES = 8  # before the header, https://github.com/huggingface/safetensors#format


class About(BaseModel):
    """What the weights are, what they answer, and how images are shown to them.

    `pictures_px` is the side of the squares that pictures were reduced to, before they were
    resized to the model's input of `input_size`. `precision` is that of the fall-back, if there
    was one; `normalization` as `training.images.Normalization.record` gives it.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    stem: Literal["auto", "cifar", "imagenet"]
    input_size: int
    task: str
    classes: list[str]
    precision: Precision
    memory_format: Literal["auto", "contiguous", "channels_last"]
    fast_kernels: bool
    batch_size: int
    pictures_px: int
    normalization: dict[str, Any]

    def params(self) -> Params:
        """Parameters that build the model and show it images as the run's evaluation does.

        On the device that is there, with its deterministic operations where it has them.
        """
        return Params(
            model=self.model,
            stem=self.stem,
            input_size=self.input_size,
            task=self.task,
            train=Train(
                precision=self.precision,
                memory_format=self.memory_format,
                fast_kernels=self.fast_kernels,
                deterministic="warn",
            ),
            evaluate=Evaluate(batch_size=self.batch_size),
        )


def write_weights(path: Path, about: About, weights: "Mapping[str, Tensor]") -> None:
    """Write the file, whole or not at all."""
    from safetensors.torch import save_file

    with replacing(path) as temporary:
        save_file(dict(weights), temporary, metadata={ENTRY: about.model_dump_json()})


def read_weights(content: bytes, where: str) -> "tuple[About, dict[str, Tensor]]":
    """What `write_weights` wrote; `where` names it in errors. Raises RunError when it is not."""
    from safetensors.torch import load

    try:
        weights = load(content)
        size = int.from_bytes(content[:LENGTH_BYTES], "little")
        header = json.loads(content[LENGTH_BYTES : LENGTH_BYTES + size])
        about = About.model_validate_json(header["__metadata__"][ENTRY])
    except SafetensorError as error:
        raise RunError(
            f"{where} is damaged ({error}). Delete it and run `dvc repro train`."
        ) from None
    except (KeyError, ValidationError):
        raise RunError(
            f"{where} does not say what its weights are, so an earlier version or another program "
            "wrote it. Run `dvc repro train`, which writes it anew."
        ) from None
    return about, weights
