"""What a variant of the profile may be called: a step, or several joined by `+`.

What the steps do is left to `measures.profiling.variants`.
"""

from stages.core.validation_messages import unknown_name

INT8 = "int8"
STEPS = ("reparameterized", "channels_last", "bf16", "fp16", "fast", "compile", "onnx", INT8)
PLAIN = {"channels_last", "bf16", "fp16", "compile"}  # what is exported is plain fp32
EXCLUSIVE = {
    "fast": {"compile", "onnx", INT8},
    "bf16": {"fp16"},
    "onnx": PLAIN | {INT8},  # which exports by itself
    INT8: PLAIN,
}
"""Steps by what they cannot be joined with."""


def steps_of(variant: str) -> list[str]:
    """The steps that a name joins."""
    return variant.split("+")


def mistake_in(variant: str) -> str | None:
    """What is wrong with the name of a variant, as a sentence without its full stop."""
    steps = steps_of(variant)
    for step in steps:
        if step not in STEPS:
            return (
                unknown_name("profile.variants", step or variant, STEPS) + ", or several joined "
                "by +, such as reparameterized+onnx"
            )
        if steps.count(step) > 1:
            return f"`profile.variants` has {variant}, which names {step} twice"
        if clash := sorted(EXCLUSIVE.get(step, set()) & {*steps}):
            return (
                f"`profile.variants` has {variant}, but {step} and {clash[0]} exclude each other; "
                "leave one of them out"
            )
    return None
