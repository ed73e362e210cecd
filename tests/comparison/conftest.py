"""A clone of the working tree and DVC in it, for comparisons of what DVC really keeps."""

from tests.pipeline.conftest import clone, dvc, finished, first_run

__all__ = ["clone", "dvc", "finished", "first_run"]
