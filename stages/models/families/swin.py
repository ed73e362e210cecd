"""Swin transformers, tiny and small.

Liu et al., Swin Transformer: Hierarchical Vision Transformer using Shifted Windows,
arXiv:2103.14030. Inputs below 56 px get patches of 2 px or 1 and windows that fit the grid, so
that the four stages still have something to divide.
"""

from functools import partial

from stages.models.builders import (
    PYRAMID_GRID,
    patch_for,
    refuse_small_stem,
    timm_model,
    window_for,
)
from stages.models.spec import FamilyModel, ModelConfig, ModelSpec

PATCH = 4
WINDOW = 7


def _make(request: ModelConfig, identifier: str) -> FamilyModel:
    refuse_small_stem(request)
    patch = patch_for(request.px, PATCH, PYRAMID_GRID)
    px = -(-request.px // patch) * patch
    grid = px // patch
    window = window_for(grid)
    model = timm_model(identifier, request, img_size=px, patch_size=patch, window_size=window)
    notes = {"patch": f"{patch} px, {grid}×{grid} patches", "window": f"{window}×{window}"}
    if patch != PATCH:
        notes["patch"] += f"; the published form has {PATCH} px"
    if window != WINDOW:
        notes["window"] += f"; the published form has {WINDOW}×{WINDOW}"
    if px != request.px:
        notes["input"] = f"images are enlarged from {request.px} to {px} px, a multiple of {patch}"
    return FamilyModel(model, px, notes)


def _spec(name: str, params: int, identifier: str) -> ModelSpec:
    return ModelSpec(
        name=name,
        params=params,
        native_px=224,
        paper="arXiv:2103.14030",
        make=partial(_make, identifier=identifier),
        library=f"timm/{identifier}",
        memory_format="contiguous",
    )


SPECS = (
    _spec("swin_tiny", 27_527_044, "swin_tiny_patch4_window7_224"),
    _spec("swin_small", 48_844_948, "swin_small_patch4_window7_224"),
)
