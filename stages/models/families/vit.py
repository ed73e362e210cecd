"""Vision transformers: ViT and DeiT as published, and small ones for small images.

Dosovitskiy et al., An Image is Worth 16x16 Words, arXiv:2010.11929; Touvron et al., Training
data-efficient image transformers & distillation through attention, arXiv:2012.12877.
`vit_2l_2h_128` has 2 layers, 2 heads, width 128 and patches of 4 px, and so on.

Inputs below 224 px get smaller patches, so that at least 7×7 of them remain.
"""

from functools import partial

from stages.models.builders import patch_for, refuse_small_stem, timm_model
from stages.models.spec import FamilyModel, ModelConfig, ModelSpec

PUBLISHED_PATCH = 16
SMALL_PATCH = 4
SMALL_NATIVE_PX = 32


def _make(request: ModelConfig, identifier: str, published: int, **shape: int) -> FamilyModel:
    refuse_small_stem(request)
    patch = patch_for(request.px, PUBLISHED_PATCH)
    px = -(-request.px // patch) * patch
    model = timm_model(identifier, request, img_size=px, patch_size=patch, **shape)
    notes = {"patch": f"{patch} px, {(px // patch) ** 2} patches"}
    if patch != published:
        notes["patch"] += f"; the published form has {published} px"
    if px != request.px:
        notes["input"] = f"images are enlarged from {request.px} to {px} px, a multiple of {patch}"
    return FamilyModel(model, px, notes)


def _published(name: str, params: int, paper: str, identifier: str) -> ModelSpec:
    return ModelSpec(
        name=name,
        params=params,
        native_px=224,
        paper=paper,
        make=partial(_make, identifier=identifier, published=PUBLISHED_PATCH),
        library=f"timm/{identifier}",
        memory_format="contiguous",
    )


def _small(layers: int, heads: int, width: int, params: int) -> ModelSpec:
    make = partial(_make, identifier="vit_small_patch16_224", published=SMALL_PATCH)
    return ModelSpec(
        name=f"vit_{layers}l_{heads}h_{width}",
        params=params,
        native_px=SMALL_NATIVE_PX,
        paper="arXiv:2010.11929",
        make=partial(make, depth=layers, num_heads=heads, embed_dim=width),
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
