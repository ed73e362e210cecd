"""Multinomial logistic regression on frozen features, by scikit-learn.

Features are standardised by the training images. The regularisation is chosen by cross-validation
inside them, from strong to weak, until the held-out loss rises; then all of them are fitted.
Standardisation and coefficients are folded into one linear layer, so the model stays a model.
Deterministic for a seed, which shuffles the folds. (Linear probes: Alain and Bengio,
arXiv:1610.01644; Kornblith et al., arXiv:1805.08974.)
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.core.counts import counted

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

FOLDS = 3
STRENGTHS = 10.0 ** np.arange(1.0, -4.5, -0.5)  # of the penalty λ/2 |w|² beside the mean loss
UNCHOSEN = 0.3  # where a class has too few images to hold one out
TOLERANCE, STEPS = 1e-3, 500
CONSTANT = 1e-5
"""Standard deviation beside the mean up to which a feature tells nothing: float32 holds it to 1e-7
of its size, and logits would be sums of far larger numbers."""


@dataclass(frozen=True)
class Choice:
    """The strength of the regularisation, and how it was come by."""

    strength: float
    told: str


def fit_probe(
    features: Tensor, labels: Tensor, classes: int, seed: int
) -> tuple[nn.Linear, Tensor, str]:
    """The layer, its logits [n, classes] for the images it was fitted to, and what to note of it.

    `features` [n, width] are float32 on the CPU, `labels` [n] have every class.
    """
    from sklearn import __version__
    from threadpoolctl import threadpool_limits

    raw, known = features.numpy(), labels.numpy()
    mean, std = raw.mean(0, dtype=np.float64), raw.std(0, dtype=np.float64)
    std[std <= CONSTANT * np.abs(mean)] = 1.0
    standard = ((raw - mean) / std).astype(np.float32)
    with threadpool_limits(1, "blas"):  # products of few classes: more threads only wait
        choice = _choose(standard, known, seed)
        fitted = _regression(choice.strength, len(known)).fit(standard, known)
    weight, bias = _per_class(fitted)
    weight = weight / std
    head = nn.Linear(features.shape[1], classes)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weight))
        head.bias.copy_(torch.from_numpy(bias - weight @ mean))
        answers = head(features)
    told = (
        f"logistic regression (scikit-learn {__version__}) on {features.shape[1]:,} features of "
        f"{counted(len(known), 'image')}, regularisation {choice.strength:.2g} ({choice.told})"
    )
    return head, answers, told


def _choose(features: NDArray[np.float32], labels: NDArray[np.int64], seed: int) -> Choice:
    """The strength with the lowest held-out loss; a fixed one where nothing can be held out."""
    from sklearn.metrics import log_loss
    from sklearn.model_selection import StratifiedKFold

    folds = min(FOLDS, int(np.bincount(labels).min()))
    if folds < 2:
        return Choice(UNCHOSEN, "not chosen: a class has a single image, so none can be held out")
    splits = list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(features, labels))
    models: list[Any] = [_regression(1.0, 1, warm_start=True) for _ in splits]
    best, lowest = UNCHOSEN, np.inf
    for strength in STRENGTHS:
        losses = []
        for model, (fitted, held_out) in zip(models, splits, strict=True):
            model.C = 1 / (strength * len(fitted))
            model.fit(features[fitted], labels[fitted])
            losses.append(log_loss(labels[held_out], model.predict_proba(features[held_out])))
        if np.mean(losses) >= lowest:
            break
        best, lowest = float(strength), float(np.mean(losses))
    return Choice(best, f"chosen in {folds} folds of the training images")


def _regression(strength: float, images: int, **more: Any) -> "LogisticRegression":
    """scikit-learn weighs the sum of losses against the penalty, hence its C."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=1 / (strength * images), tol=TOLERANCE, max_iter=STEPS, **more)


def _per_class(fitted: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coefficients [classes, width] and intercepts; of two classes scikit-learn keeps one row."""
    weight, bias = (np.asarray(part, np.float64) for part in (fitted.coef_, fitted.intercept_))
    if len(weight) > 1:
        return weight, bias
    return np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
