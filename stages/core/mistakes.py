"""What pydantic finds wrong in a file of a study, in words. Parameters have `params`'s own."""

from pydantic import ValidationError

from stages.core.validation_messages import shown

ALLOWED = {
    "dict_type": "keys with values",
    "model_type": "keys with values",
    "list_type": "a list",
    "int_type": "a whole number",
    "string_type": "a text",
}
"""What is allowed, by pydantic's names of mistakes."""


def first_mistake(error: ValidationError) -> str:
    """The first of pydantic's complaints, with its key."""
    detail = error.errors()[0]
    key = ".".join(str(part) for part in detail["loc"])
    if detail["type"] in ("amount", "name"):
        return f"`{key}` is {shown(detail['input'])}; allowed is {detail['msg']}."
    if not key:
        none = detail["type"] == "model_type"
        return "it holds no keys with values." if none else f"{detail['msg']}."
    if told := ALLOWED.get(detail["type"]):
        return f"`{key}` is {shown(detail['input'])}; allowed is {told}."
    if detail["type"] == "missing":
        return f"`{key}` is missing."
    if detail["type"] == "extra_forbidden":
        return f"`{key}` is not a key."
    if detail["type"] == "too_short":
        return f"`{key}` is {shown(detail['input'])}; at least one is needed."
    return f"`{key}` is wrong: {detail['msg']}."
