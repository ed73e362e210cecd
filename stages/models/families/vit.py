"""Vision transformers: ViT and DeiT as published, and small ones for small images.

Dosovitskiy et al., An Image is Worth 16x16 Words, arXiv:2010.11929; Touvron et al., Training
data-efficient image transformers & distillation through attention, arXiv:2012.12877.
`vit_2l_2h_128` has 2 layers, 2 heads, width 128 and patches of 4 px, and so on.

Inputs below 224 px get smaller patches, so that at least 7×7 of them remain.
"""

from functools import partial

from stages.models.libraries import timm_model
from stages.models.spec import Made, ModelSpec, Request

LARGEST_PATCH = 16
FEWEST_PATCHES = 7  # along a side: 224 / 32, the coarsest grid in common use


def patch_for(px: int) -> int:
    """The largest power of two up to 16 px that leaves 7 patches along a side of `px`."""
    patch = LARGEST_PATCH
    while patch > 1 and px < FEWEST_PATCHES * patch:
        patch //= 2
    return patch


def _make(request: Request, identifier: str) -> Made:
    return _made(request, patch_for(request.px), LARGEST_PATCH, identifier)


def _make_small(request: Request, layers: int, heads: int, width: int) -> Made:
    patch = patch_for(request.px) if request.px >= 2 * SMALL_NATIVE_PX else SMALL_PATCH
    shape = {"depth": layers, "num_heads": heads, "embed_dim": width}
    return _made(request, patch, SMALL_PATCH, "vit_small_patch16_224", **shape)


def _made(request: Request, patch: int, published: int, identifier: str, **shape: int) -> Made:
    px = -(-request.px // patch) * patch
    model = timm_model(identifier, request, img_size=px, patch_size=patch, **shape)
    notes = {"patch": f"{patch} px, {(px // patch) ** 2} patches"}
    if patch != published:
        notes["patch"] += f"; the published form has {published} px"
    if px != request.px:
        notes["input"] = f"images are enlarged from {request.px} to {px} px, a multiple of {patch}"
    return Made(model, px, notes)


SMALL_NATIVE_PX = 32
SMALL_PATCH = 4


def _published(name: str, params: int, paper: str, identifier: str) -> ModelSpec:
    make = partial(_make, identifier=identifier)
    return ModelSpec(name, params, 224, paper, make, memory_format="contiguous")


def _small(layers: int, heads: int, width: int, params: int) -> ModelSpec:
    return ModelSpec(
        name=f"vit_{layers}l_{heads}h_{width}",
        params=params,
        native_px=SMALL_NATIVE_PX,
        paper="arXiv:2010.11929",
        make=partial(_make_small, layers=layers, heads=heads, width=width),
        memory_format="contiguous",
    )


SPECS = (
    _published("vit_base", 85_806_346, "arXiv:2010.11929", "vit_base_patch16_224"),
    _published("vit_small", 21_669_514, "arXiv:2010.11929", "vit_small_patch16_224"),
    _published("deit_small", 21_669_514, "arXiv:2012.12877", "deit_small_patch16_224"),
    _small(2, 2, 128, 412_810),
    _small(4, 4, 256, 3_191_562),
    _small(6, 8, 384, 10_695_562),
    _small(8, 8, 512, 25_284_106),
)
