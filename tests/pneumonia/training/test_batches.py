"""Which studies an epoch shows, and how they are batched."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pneumonia.training import batches
from pneumonia.training.batches import epoch_studies, full_batches, load_batch, state_path


def table(positives, negatives):
    names = [f"p{i}" for i in range(positives)] + [f"n{i}" for i in range(negatives)]
    return pd.DataFrame({"study": names, "target": [1] * positives + [0] * negatives})


def test_all_positives_and_their_share_of_negatives():
    chosen = epoch_studies(table(4, 20), 1.5, epoch=1, seed=7)
    assert sorted(s for s in chosen if s[0] == "p") == ["p0", "p1", "p2", "p3"]
    assert len(chosen) == len(set(chosen)) == 10  # 4 + round(1.5 x 4)


def test_negatives_take_turns():
    # 5 an epoch of 20: four epochs show each once.
    seen = [s for epoch in (1, 2, 3, 4) for s in epoch_studies(table(5, 20), 1.0, epoch, seed=3) if s[0] == "n"]
    assert sorted(seen) == sorted(f"n{i}" for i in range(20))


def test_zero_or_too_many_wanted_means_all():
    assert len(epoch_studies(table(3, 9), 0, epoch=2, seed=1)) == 12
    assert len(epoch_studies(table(3, 9), 100, epoch=2, seed=1)) == 12
    assert len(epoch_studies(table(0, 9), 1.0, epoch=2, seed=1)) == 9


@given(
    positives=st.integers(1, 6),
    negatives=st.integers(0, 30),
    ratio=st.sampled_from([0.5, 1.0, 3.0]),
    epoch=st.integers(1, 9),
    seed=st.integers(0, 99),
)
def test_an_epoch_depends_on_its_numbers_only(positives, negatives, ratio, epoch, seed):
    studies = table(positives, negatives)
    chosen = epoch_studies(studies, ratio, epoch, seed)
    shuffled = studies.sample(frac=1, random_state=0)
    assert chosen == epoch_studies(shuffled, ratio, epoch, seed)
    counts = pd.Series(chosen).value_counts()
    assert all(counts.get(f"p{i}") == 1 for i in range(positives))
    assert len(chosen) == positives + min(negatives, round(ratio * positives))
    assert counts.max() <= 2  # twice only where one turn of the negatives ends and the next begins


def test_epochs_differ_and_count_from_one():
    assert epoch_studies(table(9, 9), 0, 1, 1) != epoch_studies(table(9, 9), 0, 2, 1)
    with pytest.raises(ValueError, match="count from 1"):
        epoch_studies(table(1, 1), 0, 0, 1)


def test_the_last_batch_is_filled_up():
    assert full_batches(["a", "b", "c", "d", "e"], 2) == [["a", "b"], ["c", "d"], ["e", "a"]]
    assert full_batches(["a"], 3) == [["a", "a", "a"]]
    with pytest.raises(ValueError, match="training subset is empty"):
        full_batches([], 3)


class Store:
    size = 8

    def batch(self, studies):
        return np.stack([np.full((8, 8), int(study), np.uint8) for study in studies])


def test_batch_is_drawn_from_its_place():
    def darken(image, boxes, rng):
        return image // 2 + rng.integers(0, 2, image.shape, dtype=np.uint8), boxes[:1], np.ones(len(boxes), bool)

    boxes = {"4": np.array([[1, 1, 3, 3], [2, 2, 5, 5]], np.float32)}
    images, moved = load_batch(Store(), ["4", "6"], boxes, darken, (1, 2, 3))
    again, _ = load_batch(Store(), ["4", "6"], boxes, darken, (1, 2, 3))
    other, _ = load_batch(Store(), ["4", "6"], boxes, darken, (1, 2, 4))
    np.testing.assert_array_equal(images, again)
    assert not np.array_equal(images, other)
    assert [b.tolist() for b in moved] == [[[1, 1, 3, 3]], []]
    plain, _ = load_batch(Store(), ["4", "6"], boxes, None, (1, 2, 3))
    assert plain[:, 0, 0].tolist() == [4, 6]


def unchanged(image, boxes, rng):
    return image, boxes, np.ones(len(boxes), bool)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 99), number=st.integers(0, 9))
def test_mosaics_show_four_studies_and_their_boxes(seed, number):
    # Every study has its number as its grey, and a box over everything: a quadrant of less than half keeps none.
    boxes = {str(i): np.array([[0, 0, 8, 8], [i, 0, i + 1, 1]], np.float32) for i in range(8)}
    names = [str(i) for i in range(8)]
    images, moved = load_batch(Store(), names, boxes, unchanged, (seed, 1, number), 1.0, names)
    for name, image, own in zip(names, images, moved, strict=True):
        assert int(name) in image
        # Which studies' small boxes are there: those whose upper left pixel at column i is their own.
        wanted = sorted([i, 0, i + 1, 1] for i in range(8) if image[0, i] == i)
        small = sorted(box for box in own.tolist() if box[2] - box[0] == 1)
        assert small == wanted
        assert (own >= 0).all()
        assert (own <= 8).all()
    again, _ = load_batch(Store(), names, boxes, unchanged, (seed, 1, number), 1.0, names)
    np.testing.assert_array_equal(images, again)


def test_mosaics_are_as_frequent_as_asked_for_and_leave_the_others():
    def count(share):
        names = ["1"] * 300
        images, _ = load_batch(Store(), names, {}, unchanged, (1, 1, 1), share, ["2"])
        return int((images == 2).any(axis=(1, 2)).sum())

    assert count(0.0) == 0
    assert 64 <= count(0.3) <= 116  # 90 but for three deviations of 8.0
    assert count(1.0) == 300
    plain, _ = load_batch(Store(), ["4", "6"], {}, None, (1, 0, 1), 1.0, ["2"])  # validation: no augmentation
    assert [np.unique(image).tolist() for image in plain] == [[4], [6]]


def test_state_path_follows_values_and_data(tmp_path):
    file = tmp_path / "split.csv"
    file.write_text("study\na\n")
    first = state_path(tmp_path / "state", {"seed": 1, "rate": 0.1}, [file])
    assert first == state_path(tmp_path / "state", {"rate": 0.1, "seed": 1}, [file])
    assert first.suffix == ".npz"
    assert first != state_path(tmp_path / "state", {"seed": 2, "rate": 0.1}, [file])
    file.write_text("study\nb\n")
    assert first != state_path(tmp_path / "state", {"seed": 1, "rate": 0.1}, [file])


def test_resized_boxes_gives_every_study():
    class Resizer:
        def to_resized(self, study, boxes):
            return np.asarray(boxes) * 0.5

    boxes = pd.DataFrame({"study": ["b", "b"], "x": [2.0, 4], "y": [2.0, 4], "width": [8.0, 2], "height": [6.0, 2]})
    found = batches.resized_boxes(Resizer(), boxes, ["b", "a"])
    assert list(found) == ["a", "b"]
    assert found["a"].shape == (0, 4)
    np.testing.assert_array_equal(found["b"], [[1, 1, 4, 3], [2, 2, 1, 1]])
