"""Where in an image the evidence for a class lies: Grad-CAM (Selvaraju et al., arXiv 1610.02391).

The method is torchcam's; here it is given the layers that `activations` picks, so that it works on
convolutional networks and on transformers alike.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.measures.interpretation.activations import as_maps, layer_outputs, picked_layers


def class_evidence(
    model: nn.Module, images: Tensor, classes: Sequence[int]
) -> NDArray[np.float32] | None:
    """Evidence for class `classes[i]` in `images[i]`, at the deepest layer that has any.

    [images, height, width] in 0…1, 1 where it is strongest.
    After the last block of a class-token transformer no gradient reaches the patches, so an
    earlier layer speaks. None when no layer has evidence or the model puts out no maps.
    `images` [n, 3, h, w] are normalised and on the model's device.
    """
    from torchcam.methods import GradCAM

    layers = picked_layers(model, layer_outputs(model, (images,)))
    if not layers:
        return None
    was_training = model.training
    inputs = images.detach().requires_grad_()  # frozen layers need a gradient path as well
    try:
        with (
            torch.enable_grad(),
            GradCAM(model.eval(), list(layers), reshape_transform=as_maps) as method,
        ):
            found = method(list(classes), model(inputs))
    finally:
        model.train(was_training)
    for maps in reversed(found):
        if bool((maps > 0).any()):
            evidence: NDArray[np.float32] = maps.float().cpu().numpy()
            return evidence
    return None
