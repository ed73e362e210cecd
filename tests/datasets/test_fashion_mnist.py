"""Fashion-MNIST's four files, made here in the IDX format and served on loopback."""

import numpy as np

from stages.core.sections import Dataset
from stages.datasets.fetching import Archive
from stages.datasets.sources import fashion_mnist
from tests.datasets.samples import random_pixels, sha256, write_idx


def test_fashion_mnist(monkeypatch, server, repository):
    arrays = {
        "train-images-idx3": random_pixels(60, 28, 28),
        "train-labels-idx1": np.arange(60, dtype=np.uint8) % 10,
        "t10k-images-idx3": random_pixels(20, 28, 28, seed=1),
        "t10k-labels-idx1": np.arange(20, dtype=np.uint8) % 10,
    }
    assert arrays.keys() == fashion_mnist.ARCHIVES.keys()
    for name, values in arrays.items():
        path = server.folder / f"{name}-ubyte.gz"
        write_idx(path, values)
        local = Archive(f"{server.address}/{path.name}", sha256(path))
        monkeypatch.setitem(fashion_mnist.ARCHIVES, name, local)
    collection = fashion_mnist.open_collection(Dataset(name="fashion_mnist"))
    assert collection.classes[9] == "Ankle boot"
    assert collection.splits == ["train"] * 60 + ["test"] * 20
    assert collection.labels == [*range(10)] * 8
    assert len(collection.files) == 4
    shown = collection.picture(collection.content(61))
    assert shown.mode == "L"
    np.testing.assert_array_equal(np.asarray(shown), arrays["t10k-images-idx3"][1])


def test_official_files_are_named():
    for archive in fashion_mnist.ARCHIVES.values():
        assert archive.url.startswith("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/")
        assert len(archive.sha256) == 64
