"""Probes of softmax, losses, norms and attention: reductions with an exp or a root inside."""

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from stages.dna.probe import Probe, gradient


def _softmax(x: Tensor) -> Tensor:
    return torch.softmax(x * 8, dim=-1)


def _log_softmax(x: Tensor) -> Tensor:
    return torch.log_softmax(x * 8, dim=-1)


def _cross_entropy(logits: Tensor) -> Tensor:
    targets = torch.arange(len(logits), device=logits.device) % logits.shape[1]
    return F.cross_entropy(logits * 8, targets, label_smoothing=0.125)


def _layer_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.layer_norm(x, weight.shape, weight, bias)


def _batch_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.batch_norm(x, None, None, weight, bias, training=True)


def _batch_norm_eval(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.batch_norm(x, bias, weight.abs() + 0.5, weight, bias, training=False)


def _group_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.group_norm(x, 4, weight, bias)


def _attention_math(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    with sdpa_kernel(SDPBackend.MATH):
        return F.scaled_dot_product_attention(q, k, v)


_ROWS = ((32, 192), (192,), (192,))
_MAPS = ((8, 16, 8, 8), (16,), (16,))
_HEADS = ((2, 3, 65, 32),) * 3

PROBES = [
    Probe("softmax", _softmax, ((64, 10),)),
    Probe("softmax_long", _softmax, ((4, 1000),)),
    Probe("softmax_grad", gradient(_softmax, 0), ((32, 65),)),
    Probe("log_softmax", _log_softmax, ((64, 10),)),
    Probe("log_softmax_long", _log_softmax, ((4, 1000),)),
    Probe("cross_entropy", _cross_entropy, ((128, 10),)),
    Probe("cross_entropy_grad", gradient(_cross_entropy, 0), ((64, 100),)),
    Probe("logsumexp", lambda x: torch.logsumexp(x * 8, dim=-1), ((64, 65),)),
    Probe("layer_norm", _layer_norm, _ROWS),
    Probe("layer_norm_grad", gradient(_layer_norm, 0, 1, 2), _ROWS),
    Probe("batch_norm", _batch_norm, _MAPS),
    Probe("batch_norm_grad", gradient(_batch_norm, 0, 1, 2), _MAPS),
    Probe("batch_norm_eval", _batch_norm_eval, _MAPS),
    Probe("group_norm", _group_norm, _MAPS),
    Probe("group_norm_grad", gradient(_group_norm, 0, 1, 2), _MAPS),
    Probe("attention", F.scaled_dot_product_attention, _HEADS),
    Probe("attention_grad", gradient(F.scaled_dot_product_attention, 0, 1, 2), _HEADS),
    Probe("attention_math", _attention_math, _HEADS),
]
