"""Swin transformers, tiny and small.

Liu et al., Swin Transformer: Hierarchical Vision Transformer using Shifted Windows,
arXiv:2103.14030. Inputs below 64 px get patches of 2 px and windows that fit the grid, so that
the four stages still have something to divide.
"""

from functools import partial

from stages.models.libraries import timm_model
from stages.models.spec import Made, ModelSpec, Request

PATCH = 4
WINDOW = 7
SMALL_PX = 64


def _make(request: Request, identifier: str) -> Made:
    patch = PATCH if request.px >= SMALL_PX else PATCH // 2
    px = -(-request.px // patch) * patch
    grid = px // patch
    window = WINDOW if grid % WINDOW == 0 else 4
    model = timm_model(identifier, request, img_size=px, patch_size=patch, window_size=window)
    notes = {"patch": f"{patch} px, {grid}×{grid} patches", "window": f"{window}×{window}"}
    if patch != PATCH:
        notes["patch"] += f"; the published form has {PATCH} px"
    if window != WINDOW:
        notes["window"] += f"; the published form has {WINDOW}×{WINDOW}"
    if px != request.px:
        notes["input"] = f"images are enlarged from {request.px} to {px} px, a multiple of {patch}"
    return Made(model, px, notes)


def _spec(name: str, params: int, identifier: str) -> ModelSpec:
    make = partial(_make, identifier=identifier)
    return ModelSpec(name, params, 224, "arXiv:2103.14030", make, memory_format="contiguous")


SPECS = (
    _spec("swin_tiny", 27_527_044, "swin_tiny_patch4_window7_224"),
    _spec("swin_small", 48_844_948, "swin_small_patch4_window7_224"),
)
