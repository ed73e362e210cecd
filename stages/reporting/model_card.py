"""What a model card says beside the report's figures, in the form of the Hugging Face Hub.

Source: https://huggingface.co/docs/hub/model-cards. The block of metadata on top is what the Hub
and its search read.
"""

from typing import Any

import yaml

from stages.core.combinations import DEFAULT_TASK
from stages.core.params import Params
from stages.pages.formatting import number
from stages.reporting.headline import accuracies
from stages.reporting.repeat import made_params
from stages.runs.run import Run


def card_of(present: Params, run: Run) -> dict[str, Any]:
    """The values that model_card.md.j2 names beside those of the report."""
    params = made_params(present, run)
    shown = run.train.get("normalization") or {}
    return {
        "metadata": yaml.safe_dump(_metadata(params, run), sort_keys=False, allow_unicode=True),
        "answers_classes": params.task == DEFAULT_TASK,
        "input_px": run.profile.get("input_px", params.input_size),
        "mean": ", ".join(number(value) for value in shown.get("mean", [])),
        "std": ", ".join(number(value) for value in shown.get("std", [])),
        "names": None if run.per_class is None else run.per_class["class"].tolist(),
    }


def _metadata(params: Params, run: Run) -> dict[str, Any]:
    dataset = params.dataset.label
    results = [
        {"type": "accuracy", "value": round(one.value, 4), "name": f"test {one.label}"}
        for one in accuracies(run)
    ]
    classify = params.task == DEFAULT_TASK
    found: dict[str, Any] = {
        "library_name": "pytorch",
        "tags": ["backbone-dna", params.model, *(() if classify else (params.task,))],
        "metrics": ["accuracy"],
    }
    if classify:
        found["pipeline_tag"] = "image-classification"
    if results:
        measured = {
            "task": {"type": "image-classification" if classify else params.task},
            "dataset": {"name": dataset, "type": dataset, "split": "test"},
            "metrics": results,
        }
        name = f"{params.model} on {dataset}"
        found["model-index"] = [{"name": name, "results": [measured]}]
    return found
