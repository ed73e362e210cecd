"""Claims as expressions.

A claim compares two sides or holds one against a figure:

    resnet50 beats vit_base at 5000
    lenet_large augmented_40 beats lenet_large plain_20 by 5 points
    resnet18 full beats resnet18 3125
    shufflenet_v2_x0_5 trains faster than repvgg_a0
    resnet18 reaches 90 % at full

A side is made of a model, a recipe and a size of the source, in any order; what it leaves out is
that of the other side. Left out on both, the size is the largest that both ran, then the recipe the
last in the grid that both ran.
"""

import re
from dataclasses import dataclass

from stages.core.errors import ParamsError
from stages.core.validation_messages import unknown_name
from stages.studies.spec.names import kind_of, names_of
from stages.studies.spec.study_config import StudyConfig

LATENCY = "latency_ms_p50"
COSTS = ("train_seconds", LATENCY, "params_total")
# Relation: the column compared, and whether the first side is claimed to be the larger.
RELATIONS = {
    "beats": ("main", True),
    "overfits less than": ("gap", False),
    "overfits more than": ("gap", True),
    "trains faster than": ("train_seconds", False),
    "is faster than": (LATENCY, False),
    "has fewer parameters than": ("params_total", False),
}
_TWO = re.compile(
    rf"^(?P<a>.+?) (?P<relation>{'|'.join(RELATIONS)}) (?P<b>.+?)"
    r"(?: by (?P<points>\d+(?:\.\d+)?) points)?(?: at (?P<size>\S+))?$"
)
_ONE = re.compile(r"^(?P<a>.+?) reaches (?P<share>\d+(?:\.\d+)?) ?%(?: at (?P<size>\S+))?$")
_SIZE = re.compile(r"full|\d[\d./%]*")


@dataclass(frozen=True)
class Side:
    """What a side of a claim names; None is left open.

    `stands_for` is the source's model where `model` runs in its place.
    """

    model: str | None = None
    recipe: str | None = None
    size: str | None = None
    stands_for: str | None = None

    def __str__(self) -> str:
        size = f"at {self.size}" if self.size else None
        return " ".join(part for part in (self.model, self.recipe, size) if part)


@dataclass(frozen=True)
class Parsed:
    """A claim taken apart: `b` is None when `a` is held against `figure`."""

    a: Side
    b: Side | None
    column: str
    larger: bool
    figure: float

    @property
    def sides(self) -> list[Side]:
        """One or two."""
        return [self.a] if self.b is None else [self.a, self.b]

    @property
    def stand_ins(self) -> dict[str, str]:
        """By model of the source, the one that runs in its place."""
        return {side.stands_for: str(side.model) for side in self.sides if side.stands_for}


def parse(claim: str, form: StudyConfig) -> Parsed:
    """Take a claim apart.

    Raises ParamsError when it is none, compares a side with itself, or names what neither this form
    of the study nor its other one has, and no backbone is called.
    """
    two, one = _TWO.match(claim), _ONE.match(claim)
    if two:
        column, larger = RELATIONS[two["relation"]]
        if two["points"] and column in COSTS:
            raise ParamsError(f"The claim {claim!r} gives points, but compares no accuracies.")
        a, b = (_words(two[key], two["size"], form, claim) for key in "ab")
        if a | b == b | a:  # nothing in which they differ: what one leaves out is the other's
            raise ParamsError(
                f"The claim {claim!r} compares {' '.join((a | b).values())} with itself. Its sides "
                "must differ in model, recipe or size."
            )
        points = float(two["points"] or 0) / 100
        return Parsed(_side(a, form), _side(b, form), column, larger, points)
    if one:
        side = _side(_words(one["a"], one["size"], form, claim), form)
        return Parsed(side, None, "main", True, float(one["share"]) / 100)
    raise ParamsError(
        f"The claim {claim!r} cannot be read. It is `<side> <relation> <side>`, where the relation "
        f"is one of {', '.join(RELATIONS)}, or `<side> reaches <n> %`, and may end in `at <size>`."
    )


def _words(text: str, size: str | None, form: StudyConfig, claim: str) -> dict[str, str]:
    """The words of a side by kind, as they stand: of the form or of the source."""
    found: dict[str, str] = {}
    for word in [*text.split(), *([size] if size else [])]:
        # A size that no grid has may have been taken out of it, as a backbone may.
        kind = kind_of(word, form) or ("size" if _SIZE.fullmatch(word) else None)
        if kind is None:
            every = set().union(*names_of(form).values())
            raise ParamsError(
                f"The claim {claim!r} names what no form of the study has: "
                f"{unknown_name('model, recipe or size', word, every)}."
            )
        if kind in found:
            raise ParamsError(f"The claim {claim!r} names two {kind}s on one side: {text!r}.")
        found[kind] = word
    return found


def _side(words: dict[str, str], form: StudyConfig) -> Side:
    """What the words of a side are in this form."""
    here = {str(theirs): str(ours) for ours, theirs in form.file.stands_for.items()}
    ours = {kind: here.get(word, word) for kind, word in words.items()}
    stood_for = words.get("model") if words.get("model") != ours.get("model") else None
    return Side(**ours, stands_for=stood_for)
