"""One file per source of images.

Each has `NAMES: tuple[str, ...]` and `open_collection(dataset: params.Dataset) -> Collection`,
and imports nothing heavier than NumPy at its top, for every stage reads the names.
"""
