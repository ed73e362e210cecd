"""CIFAR's archives, made here in the official layout and served on loopback."""

import io
import pickle
from dataclasses import replace

import numpy as np
import pytest

from stages.core.sections import Dataset
from stages.datasets import SOURCES
from stages.datasets.fetching import Archive
from stages.datasets.sources import cifar
from tests.datasets.samples import (
    CIFAR10_CLASSES,
    as_python2_pickle,
    sha256,
    write_cifar10,
    write_cifar100,
)


def serve(monkeypatch, server, name: str) -> None:
    """Point a data set at the archive on loopback."""
    official = cifar.LAYOUTS[name]
    file = official.archive.url.rpartition("/")[2]
    local = Archive(f"{server.address}/{file}", sha256(server.folder / file))
    monkeypatch.setitem(cifar.LAYOUTS, name, replace(official, archive=local))


def test_cifar10(monkeypatch, server, repository):
    pixels = write_cifar10(server.folder / "cifar-10-python.tar.gz")
    serve(monkeypatch, server, "cifar10")
    collection = SOURCES["cifar10"].open_collection(Dataset(name="cifar10"))
    assert collection.classes == CIFAR10_CLASSES
    assert collection.splits == ["train"] * 100 + ["test"] * 20
    assert collection.names[99:101] == ["train/00099", "test/00000"]
    assert collection.labels[:12] == [*range(10), 0, 1]
    for image in (0, 37, 119):
        shown = np.asarray(collection.picture(collection.content(image)))
        np.testing.assert_array_equal(shown, pixels[image].transpose(1, 2, 0))
    assert [file.name for file in collection.files] == ["cifar-10-python.tar.gz"]


def test_cifar100_has_fine_labels(monkeypatch, server, repository):
    write_cifar100(server.folder / "cifar-100-python.tar.gz")
    serve(monkeypatch, server, "cifar100")
    collection = SOURCES["cifar100"].open_collection(Dataset(name="cifar100"))
    assert len(collection.classes) == 100
    assert collection.classes[42] == "fine42"
    assert collection.splits.count("test") == 100
    assert max(collection.labels) == 99


def test_pickles_of_the_present_are_read_as_well():
    data = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for protocol in (2, 4):
        stream = io.BytesIO(pickle.dumps({"data": data}, protocol))
        read = cifar._ArraysOnly(stream, encoding="latin1").load()
        np.testing.assert_array_equal(read["data"], data)


def test_a_pickle_that_would_run_something_is_refused():
    class Command:
        def __reduce__(self):
            return print, ("it ran",)

    with pytest.raises(pickle.UnpicklingError, match=r"builtins\.print"):
        cifar._ArraysOnly(io.BytesIO(pickle.dumps(Command()))).load()


def test_the_made_archive_is_what_python2_wrote():
    batch = {"labels": [1, 2], "data": np.eye(3, dtype=np.uint8), "filenames": ["a.png"]}
    read = cifar._ArraysOnly(io.BytesIO(as_python2_pickle(batch)), encoding="latin1").load()
    np.testing.assert_array_equal(read.pop("data"), batch.pop("data"))
    assert read == batch


def test_official_archives_are_named():
    for name, layout in cifar.LAYOUTS.items():
        assert layout.archive.url.startswith("https://www.cs.toronto.edu/~kriz/cifar-"), name
        assert len(layout.archive.sha256) == 64
