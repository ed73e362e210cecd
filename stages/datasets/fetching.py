"""Archives on disk: fetched once, checked by SHA-256, retried, and whole or absent.

They lie in `$DVC_ROOT/data/raw`, shared by every experiment. pooch does the transfer: into a
temporary file, renamed when its checksum is right, removed when anything goes wrong. Leaves
what is inside an archive to the source that asked for it.
"""

from dataclasses import dataclass
from pathlib import Path

from stages.core.errors import DataError
from stages.core.paths import raw_folder

RETRIES = 3
TIMEOUT_SECONDS = 30
CHUNK_BYTES = 1 << 16


@dataclass(frozen=True)
class Archive:
    """A file in the internet and the SHA-256 of the official copy."""

    url: str
    sha256: str


def fetch(archive: Archive, dataset: str) -> Path:
    """The path of the verified archive, downloaded if it is absent or not as it should be.

    Raises DataError when it cannot be had, with the address and the folder to put it into.
    """
    import pooch
    from filelock import FileLock
    from requests import HTTPError, RequestException

    name = archive.url.rpartition("/")[2]
    folder = raw_folder()
    folder.mkdir(parents=True, exist_ok=True)
    pooch.get_logger().setLevel("WARNING")
    keeper = pooch.create(
        path=folder,
        base_url="",
        urls={name: archive.url},
        registry={name: f"sha256:{archive.sha256}"},
        retry_if_failed=RETRIES,
    )
    try:
        with FileLock(folder / f"{name}.lock"):  # two experiments at once fetch it once
            return Path(keeper.fetch(name, downloader=_download))
    except HTTPError as error:
        reason = f"the server refuses ({error.response.status_code} {error.response.reason})"
    except RequestException as error:
        reason = f"cannot be reached or broke off ({type(error).__name__})"
    except ValueError:
        reason = "arrives incomplete or altered, for its checksum is wrong"
    raise DataError(
        f"The data set {dataset} needs {archive.url}, which {reason}. Connect to the internet and "
        f"run again, or fetch the file elsewhere and put it into {folder.resolve()}; its SHA-256 "
        f"must be {archive.sha256}."
    )


def _download(url: str, output_file: str, pooch_instance: object) -> None:
    """Transfer a file under a progress bar with ETA, silent where there is no terminal."""
    from pooch import HTTPDownloader
    from tqdm import tqdm

    # pooch sets the total when the server tells it, and takes a bar without one for no bar.
    with tqdm(
        desc=url.rpartition("/")[2],
        total=1,
        unit="B",
        unit_scale=True,
        unit_divisor=1024,
        disable=None,
    ) as bar:
        transfer = HTTPDownloader(bar, chunk_size=CHUNK_BYTES, timeout=TIMEOUT_SECONDS)
        transfer(url, output_file, pooch_instance)
