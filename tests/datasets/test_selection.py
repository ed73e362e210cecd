"""The subset law: nested, disjoint, stratified, and deaf to the order of rows."""

import hashlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import DataError
from stages.core.sections import Subset
from stages.datasets.pool import Pool
from stages.datasets.selection import choose, class_counts, indices_table


def make_pool(sizes: list[int], split: str = "any", start: int = 0) -> Pool:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    numbers = range(start, start + len(labels))
    return Pool(
        [f"class{label}" for label in range(len(sizes))],
        labels,
        [split] * len(labels),
        [f"{split}/{number:05d}" for number in numbers],
        [hashlib.sha256(str(number).encode()).hexdigest() for number in numbers],
    )


def joined(first: Pool, second: Pool) -> Pool:
    return Pool(
        first.classes,
        np.concatenate([first.labels, second.labels]),
        first.splits + second.splits,
        first.names + second.names,
        first.digests + second.digests,
    )


def reordered(pool: Pool, rows: np.ndarray) -> Pool:
    def pick(values: list[str]) -> list[str]:
        return [values[row] for row in rows]

    return Pool(
        pool.classes, pool.labels[rows], pick(pool.splits), pick(pool.names), pick(pool.digests)
    )


def names(pool: Pool, split: str, dataset: str = "sample", **subset: object) -> list[str]:
    table = indices_table(pool, choose(pool, Subset(**subset), dataset))
    return table["name"][table["split"] == split].tolist()


OFFICIAL = joined(make_pool([40] * 5, "train"), make_pool([10] * 5, "test", start=200))
sizes = st.lists(st.integers(8, 40), min_size=2, max_size=5)
seeds = st.integers(0, 2**63 - 1)


@given(sizes, seeds, st.data())
def test_a_smaller_subset_is_inside_a_larger_one(sizes, seed, data):
    pool = make_pool(sizes)
    images = sum(sizes) - int(sum(sizes) * 0.2)
    large = data.draw(st.integers(images // 2, images * 3 // 4))
    small = data.draw(st.integers(images // 3, large))
    val = data.draw(st.integers(0, images - large))
    few = data.draw(st.integers(0, val))
    bigger = {
        split: names(pool, split, train=large, val=val, seed=seed) for split in ("train", "val")
    }
    assert names(pool, "train", train=small, val=val, seed=seed) == bigger["train"][:small]
    assert names(pool, "val", train=large, val=few, seed=seed) == bigger["val"][:few]
    assert names(pool, "train", train=large, val=few, seed=seed) == bigger["train"]
    assert names(pool, "val", train=small, val=val, seed=seed) == bigger["val"]


@given(sizes, seeds)
def test_the_parts_are_disjoint_and_complete(sizes, seed):
    pool = make_pool(sizes)
    table = indices_table(pool, choose(pool, Subset(val=0.25, seed=seed), "sample"))
    assert sorted(table["name"]) == pool.names
    assert table["digest"].is_unique


@given(sizes, seeds, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(sizes, seed, random):
    pool = make_pool(sizes)
    pool = joined(pool, pool)  # every image twice, under the same name
    rows = list(range(len(pool.names)))
    random.shuffle(rows)
    shuffled = reordered(pool, np.array(rows))
    for split in ("train", "val", "test"):
        assert names(pool, split, seed=seed) == names(shuffled, split, seed=seed)


@given(sizes, seeds, st.floats(0.1, 0.8))
def test_classes_keep_their_shares(sizes, seed, share):
    """Webster's law: one divisor gives every class its size, rounded to the nearest integer."""
    pool = make_pool(sizes, "train")
    pool = joined(pool, make_pool(sizes, "test", start=10_000))
    try:
        chosen = choose(pool, Subset(train=share, val=0.2, seed=seed), "sample").train
    except DataError:
        return  # a class would have been left out
    counts = np.bincount(pool.labels[chosen], minlength=len(sizes))
    least = max((count - 0.5) / size for count, size in zip(counts, sizes, strict=True))
    most = min((count + 0.5) / size for count, size in zip(counts, sizes, strict=True))
    assert least <= most + 1e-12


@given(st.integers(5, 150), seeds)
def test_equal_classes_differ_by_one_image_at_most(count, seed):
    for split in ("train", "val"):
        table = indices_table(
            OFFICIAL, choose(OFFICIAL, Subset(train=count, val=count // 3, seed=seed), "sample")
        )
        own = Counter(table["class"][table["split"] == split])
        assert not own or max(own.values()) - min(own.values()) <= 1 or len(own) < 5


def test_the_draw_is_the_same_for_ever():
    """No version of any library may change which images are chosen."""
    chosen = indices_table(OFFICIAL, choose(OFFICIAL, Subset(train=60, val=30, seed=7), "sample"))
    text = "\n".join(chosen["split"] + " " + chosen["name"])
    golden = "8e4ec433396f91ae1749928a1a744a3ac8df76557ea4ff4eddad547ecee33e6f"
    assert hashlib.sha256(text.encode()).hexdigest() == golden


def test_seed_and_data_set_decide_the_draw():
    draws = [
        names(OFFICIAL, "train", dataset=dataset, train=50, seed=seed)
        for dataset in ("one", "other")
        for seed in (0, 1)
    ]
    assert len({tuple(draw) for draw in draws}) == 4


def test_the_official_test_set_is_kept_whole():
    assert sorted(names(OFFICIAL, "test")) == [n for n in OFFICIAL.names if n.startswith("test")]
    assert len(names(OFFICIAL, "test", test=0.5)) == 25
    assert names(OFFICIAL, "test", test=20) == names(OFFICIAL, "test", test=30)[:20]


def test_the_size_of_the_test_part_leaves_training_alone_with_an_official_split():
    assert names(OFFICIAL, "train", test=10) == names(OFFICIAL, "train", test="full")


def test_a_fifth_of_a_pool_without_test_set_is_held_out():
    pool = make_pool([50, 50])
    assert len(names(pool, "test")) == 20
    assert names(pool, "test", test=10) == names(pool, "test")[:10]


def test_shares_and_counts():
    assert len(names(OFFICIAL, "train", train="1/4")) == 50
    assert len(names(OFFICIAL, "train", train=0.25, val=0)) == 50
    assert len(names(OFFICIAL, "train", val=0.1)) == 180
    assert names(OFFICIAL, "val", val=0) == []


def test_copies_across_and_within_are_left_out_and_counted():
    train, test = make_pool([20, 20], "train"), make_pool([5, 5], "test", start=100)
    copies = Pool(
        train.classes,
        np.array([0, 1, 1, 1]),
        ["train", "train", "train", "test"],
        ["train/a", "train/b", "train/00000z", "test/z"],
        [test.digests[0], train.digests[25], train.digests[0], test.digests[7]],
    )
    pool = joined(joined(copies, train), test)
    chosen = choose(pool, Subset(val=0), "sample")
    assert chosen.duplicates_train_test == 1
    assert chosen.duplicates_within_train == 2
    assert chosen.duplicates_within_test == 1
    assert chosen.conflicting_labels == 1  # train/00000 and its copy of another class
    kept = {pool.names[row] for row in chosen.train}
    assert kept == set(train.names)  # of two copies, the first by name
    assert len(chosen.test) == 11


def refused(pool: Pool, **subset: object) -> str:
    with pytest.raises(DataError) as caught:
        choose(pool, Subset(**subset), "sample")
    return str(caught.value)


def test_more_images_than_there_are():
    message = refused(OFFICIAL, train=500, val=0)
    assert "`subset.train` is 500" in message
    assert "1 to 200" in message
    assert "1 to 180" in refused(OFFICIAL, train=190, val=20)
    assert "Lower `subset.val`" in refused(OFFICIAL, train=1, val=300)
    assert "at most 50" in refused(OFFICIAL, test=51)
    assert "at most 99" in refused(make_pool([50, 50]), test=1.0)
    copies = joined(make_pool([4, 4], "train"), make_pool([4, 4], "test"))
    assert "No image is left to train with" in refused(copies)


def test_a_class_that_would_be_left_out():
    message = refused(OFFICIAL, train=3)
    assert "none is of the class class" in message
    assert "from 5 images on: set `subset.train`" in message
    assert "set `subset.test`" in refused(OFFICIAL, test=2)
    choose(OFFICIAL, Subset(train=5, test=5), "sample")


def test_a_class_with_too_few_images():
    lonely = joined(make_pool([40, 40, 1], "train"), make_pool([5, 5, 0], "test", start=100))
    assert "too few images of it to test with" in refused(lonely)
    assert "one image alone, copies aside, of the class class2" in refused(make_pool([40, 40, 1]))


def test_shares_that_round_to_nothing():
    assert "0 images" in refused(OFFICIAL, train=0.001)
    assert "0 images" in refused(OFFICIAL, test=0.001)


def test_a_share_of_few_images_validates_one():
    """Else nothing would tell the best epoch, nor when to stop, without a word."""
    few = make_pool([5, 5], "any")
    assert len(choose(few, Subset(val=0.1, test=0.2), "sample").val) == 1
    assert len(choose(few, Subset(val=0, test=0.2), "sample").val) == 0


def test_class_counts():
    table = indices_table(OFFICIAL, choose(OFFICIAL, Subset(train=50, val=25), "sample"))
    counts = class_counts(OFFICIAL.classes, table)
    assert counts.columns.tolist() == ["class", "train", "val", "test"]
    assert counts.to_numpy()[:, 1:].tolist() == [[10, 5, 10]] * 5


def test_an_official_validation_set_validates_whole_and_copies_of_it_do_not_train():
    pool = joined(OFFICIAL, make_pool([4] * 5, "val", start=300))
    pool.digests[-1] = pool.digests[0]  # also in the training set
    pool.digests[-2] = pool.digests[-21]  # also in the test set
    assert len(names(pool, "val")) == 19
    assert len(names(pool, "train")) == 199
    assert len(names(pool, "test")) == 50
    assert names(pool, "val", val=7) == names(pool, "val")[:7]
    assert names(pool, "val", val=0) == []
    assert "has 19 images" in refused(pool, val=20)


def test_a_validation_part_of_copies_alone_is_refused():
    pool = joined(OFFICIAL, make_pool([1] * 5, "val", start=300))
    pool.digests[-5:] = [pool.digests[pool.splits.index("test")]] * 5
    assert "Every image of the validation part is a copy of one that tests" in refused(pool)
