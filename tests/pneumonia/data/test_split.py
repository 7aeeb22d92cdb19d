"""Hold-out and folds: groups, strata, subsets; the whole challenge where its label files are at hand."""

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.places import SHARED

from pneumonia.data.split import age_bands, persons, split, summary

LABELS = SHARED / "labels"
DEFAULT = {"by": "person", "holdout": 0.2, "folds": 5, "fold": 0, "seed": 1}


def frame(count, seed=0, persons=None):
    """Studies in the challenge's proportions, with the view as confounder, 1 to many studies a person."""
    rng = np.random.default_rng(seed)
    category = rng.choice(["normal", "not_normal", "opacity"], count, p=[0.33, 0.44, 0.23])
    person = rng.geometric(0.02, count) if persons is None else rng.integers(persons, size=count)
    return pd.DataFrame(
        {
            "study": [f"s{i:05d}" for i in rng.permutation(count)],
            "person": [f"p{p:04d}" for p in person],
            "category": category,
            "target": (category == "opacity").astype(int),
            "boxes": np.where(category == "opacity", 2, 0),
            "view": np.where(rng.random(count) < np.where(category == "opacity", 0.8, 0.4), "AP", "PA"),
            "sex": rng.choice(["F", "M"], count),
            "age": rng.normal(47, 17, count).clip(1, 95).round(),
        }
    )


def run(studies, **options):
    return split(studies, **DEFAULT | options)


@pytest.fixture(scope="module")
def studies():
    return frame(3000, persons=1200)


@pytest.fixture(scope="module")
def assigned(studies):
    return run(studies)


def test_age_bands():
    assert age_bands(pd.Series([0, 19.5, 20, 39, 60, 80, 104, np.nan])).tolist() == [
        "0-19", "0-19", "20-39", "20-39", "60-79", "80+", "80+", "unknown",
    ]  # fmt: skip


def test_an_unknown_person_is_one_of_its_own():
    studies = pd.DataFrame({"study": ["a", "b", "c"], "person": ["", "p", None]})
    assert persons(studies).tolist() == ["a", "p", "c"]


def test_shape_of_the_result(studies, assigned):
    assert assigned.columns.tolist() == ["study", "person", "fold", "subset"]
    assert assigned["study"].tolist() == sorted(studies["study"])
    assert set(assigned["fold"]) == {-1, 0, 1, 2, 3, 4}
    assert (assigned["subset"] == "holdout").equals(assigned["fold"] == -1)
    assert (assigned["subset"] == "validation").equals(assigned["fold"] == 0)


def test_sizes_and_strata(studies, assigned):
    numbers = summary(assigned, studies)
    assert [numbers["subsets"][name]["studies"] for name in ("train", "validation", "holdout")] == pytest.approx(
        [1920, 480, 600], abs=4
    )
    assert numbers["balance"]["max"] < 0.015
    assert numbers["persons_shared"] == 0
    assert numbers["sharing_person"] == {
        "validation": {"studies": 0, "positive": 0},
        "holdout": {"studies": 0, "positive": 0},
    }
    positive = int(studies["target"].sum())
    assert sum(part["positive"] for part in numbers["subsets"].values()) == positive
    assert sum(part["boxes"] for part in numbers["subsets"].values()) == 2 * positive
    assert sum(part["persons"] for part in numbers["subsets"].values()) == numbers["persons"]


def test_the_order_of_the_studies_does_not_matter(studies, assigned):
    pd.testing.assert_frame_equal(run(studies.sample(frac=1, random_state=5)), assigned)
    pd.testing.assert_frame_equal(run(studies.iloc[::-1].reset_index(drop=True)), assigned)


def test_the_seed_matters(studies, assigned):
    assert (run(studies, seed=2)["subset"] != assigned["subset"]).mean() > 0.2


def test_the_fold_only_chooses_who_validates(studies, assigned):
    other = run(studies, fold=3)
    assert other["fold"].equals(assigned["fold"])
    assert (other["subset"] == "validation").equals(assigned["fold"] == 3)


def test_the_holdout_does_not_depend_on_the_folds(studies, assigned):
    other = run(studies, folds=10)
    assert other.loc[other["subset"] == "holdout", "study"].tolist() == (
        assigned.loc[assigned["subset"] == "holdout", "study"].tolist()
    )


def test_a_subset_keeps_folds_and_shares(studies, assigned):
    some = run(studies, subset=500)
    assert len(some) == 500
    whole = assigned.set_index("study")
    assert some["subset"].tolist() == whole.loc[some["study"], "subset"].tolist()
    numbers = summary(some, studies)
    assert numbers["left_out"] == 2500
    assert [part["studies"] for part in numbers["subsets"].values()] == pytest.approx([320, 80, 100], abs=1)
    for fold, part in summary(assigned, studies)["folds"].items():
        assert numbers["folds"][fold]["positive"] == pytest.approx(part["positive"] / 6, abs=1)
    assert run(studies, subset=5000).equals(assigned)


def test_split_by_image_shows_the_leak(studies):
    leaky = run(studies, by="image")
    numbers = summary(leaky, studies, by="image")
    assert numbers["persons_shared"] > 300
    train = set(leaky.loc[leaky["subset"] == "train", "person"])
    shared = leaky[(leaky["subset"] == "validation") & leaky["person"].isin(train)]
    assert numbers["sharing_person"]["validation"]["studies"] == len(shared) > 240
    with pytest.raises(ValueError, match="persons stand in several subsets"):
        summary(leaky, studies, by="person")


def test_a_holdout_by_ids():
    studies = frame(300, persons=120)
    wanted = sorted(studies["study"])[:30]
    chosen = run(studies, holdout_ids=wanted)
    assert chosen.loc[chosen["subset"] == "holdout", "study"].tolist() == wanted
    kin = set(studies.loc[studies["study"].isin(wanted), "person"])
    assert not set(chosen.loc[chosen["subset"] != "holdout", "person"]) & kin
    left_out = studies["person"].isin(kin).sum() - 30
    numbers = summary(chosen, studies, holdout_ids=wanted)
    assert numbers["left_out"] == numbers["left_out_of_holdout_persons"] == left_out > 0
    some = run(studies, holdout_ids=wanted, subset=100)
    numbers = summary(some, studies, holdout_ids=wanted)
    assert (numbers["left_out"], numbers["left_out_of_holdout_persons"]) == (200, left_out)
    with pytest.raises(ValueError, match=r"1 of 2 ids are not among the 300 studies, such as \['nobody'\]"):
        run(studies, holdout_ids=["nobody", wanted[0]])
    with pytest.raises(ValueError, match="all 300 studies are on the list; none is left to train on"):
        run(studies, holdout_ids=studies["study"].tolist())


def test_a_holdout_by_ids_keeps_persons_apart_by_hand():
    studies = frame(8).assign(study=list("abcdefgh"), person=["p", "p", "q", "q", "r", "", "s", "t"])
    chosen = run(studies, holdout_ids=["a", "f"], folds=2)
    # b is of a's person: not on the list, not fit to train on. f has no known person, so nobody shares it.
    assert chosen.loc[chosen["subset"] == "holdout", "study"].tolist() == ["a", "f"]
    assert chosen.loc[chosen["subset"] != "holdout", "study"].tolist() == ["c", "d", "e", "g", "h"]
    by_image = run(studies, holdout_ids=["a", "f"], folds=2, by="image")
    assert by_image["study"].tolist() == list("abcdefgh")
    assert summary(by_image, studies, by="image", holdout_ids=["a", "f"])["left_out_of_holdout_persons"] == 0


def test_missing_facts_are_strata_too(studies):
    holes = studies.copy()
    holes.loc[::3, ["view", "sex"]] = ""
    holes.loc[::4, "age"] = np.nan
    holes.loc[::5, "person"] = ""
    numbers = summary(run(holes), holes)
    assert numbers["balance"]["max"] < 0.02
    assert numbers["person_unknown"] == 600


def test_one_huge_person_goes_somewhere():
    studies = frame(100, persons=10_000)
    studies.loc[:39, "person"] = "huge"
    assigned = run(studies)
    assert assigned.loc[assigned["person"] == "huge", "fold"].nunique() == 1
    # 40 of 100 are too many for a hold-out of 20 and for any of five folds of 16; the other folds share the rest.
    assert (assigned["fold"] == -1).sum() == pytest.approx(20, abs=2)
    assert sorted(assigned["fold"].value_counts())[-1] == pytest.approx(40, abs=1)


def test_a_dozen_studies_have_positives_everywhere():
    studies = pd.DataFrame(
        {
            "study": [f"s{i:02d}" for i in range(12)],
            "person": "",
            "category": ["opacity", "opacity", "not_normal", "normal"] * 3,
            "view": ["AP", "PA"] * 6,
            "sex": ["F", "F", "M", "M"] * 3,
            "age": 50.0,
        }
    )
    assigned = run(studies, folds=2, holdout=0.3).merge(studies[["study", "category"]])
    for _, part in assigned.groupby("subset"):
        assert {"opacity"} < set(part["category"])


@settings(deadline=None, max_examples=25)
@given(
    count=st.integers(60, 200),
    groups=st.integers(20, 300),
    folds=st.integers(2, 5),
    holdout=st.sampled_from([0.0, 0.1, 0.4]),
    subset=st.sampled_from([0, 50]),
    seed=st.integers(0, 99),
)
def test_no_person_stands_in_two_folds(count, groups, folds, holdout, subset, seed):
    studies = frame(count, seed, groups)
    assigned = split(studies, by="person", holdout=holdout, folds=folds, fold=0, subset=subset, seed=seed)
    assert assigned.groupby("person")["fold"].nunique().max() == 1
    assert len(assigned) == (subset or count)
    assert assigned["study"].is_unique
    assert ("holdout" in set(assigned["subset"])) == (holdout > 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "patient"}, "'person' or 'image', got 'patient'"),
        ({"holdout": 1.0}, "below 1, got 1.0"),
        ({"folds": 1}, "at least 2, got 1"),
        ({"fold": 5}, "from 0 to 4 .* got 5"),
        ({"subset": -1}, "got -1"),
        ({"subset": 3}, "would be empty"),
    ],
)
def test_impossible_values_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        run(frame(60), **options)


def test_bad_tables_are_refused():
    studies = frame(60)
    with pytest.raises(ValueError, match=r"lacks the columns \['age', 'view'\]"):
        run(studies.drop(columns=["age", "view"]))
    with pytest.raises(ValueError, match="stands in studies twice"):
        run(pd.concat([studies, studies[:1]]))


# --- The whole challenge


@pytest.fixture(scope="module")
def challenge():
    if not LABELS.exists():
        pytest.skip(f"{LABELS} is missing: the challenge's label files")
    labels = pd.read_csv(LABELS / "stage_2_train_labels.csv")
    table = pd.read_csv(LABELS / "stage_2_detailed_class_info.csv").drop_duplicates()
    table = table.merge(pd.read_csv(LABELS / "dicom_headers.csv"))
    table = table.merge(pd.read_csv(LABELS / "rsna_to_nih.csv", dtype=str), how="left")
    names = {"Normal": "normal", "No Lung Opacity / Not Normal": "not_normal", "Lung Opacity": "opacity"}
    boxes = table["patientId"].map(labels[labels["Target"] == 1].groupby("patientId").size()).fillna(0).astype(int)
    return pd.DataFrame(
        {
            "study": table["patientId"],
            "person": table["nih_patient"].fillna(""),
            "category": table["class"].map(names),
            "target": (boxes > 0).astype(int),
            "boxes": boxes,
            **{name: table[name] for name in ("view", "sex")},
            "age": table["age"].where(table["age"] <= 110),
        }
    )


def test_the_challenge_is_split_in_seconds_without_a_leak(challenge):
    start = time.perf_counter()
    numbers = summary(run(challenge), challenge)
    assert time.perf_counter() - start < 15  # about 1 s on an idle core
    assert numbers["studies"] == 26684
    assert numbers["persons_shared"] == 0
    assert numbers["balance"]["max"] < 0.005  # wanted: 0.015
    assert [part["studies"] for part in numbers["subsets"].values()] == pytest.approx([17078, 4269, 5337], abs=5)
    assert [part["positive"] for part in numbers["subsets"].values()] == pytest.approx([3848, 962, 1202], abs=5)
    assert sum(part["boxes"] for part in numbers["subsets"].values()) == 9555


def test_the_leak_of_the_challenge(challenge):
    sharing = summary(run(challenge, by="image"), challenge, by="image")["sharing_person"]["validation"]
    # "about 70% of validation images, 88% of the positive ones" for a random split of 80 to 20
    assert sharing["studies"] / 4269 == pytest.approx(0.67, abs=0.04)
    assert sharing["positive"] / 962 == pytest.approx(0.88, abs=0.03)


def test_every_share_of_the_challenge_is_kept(challenge):
    """In every subset and each of 5 or 10 folds: class, view, sex, age within 1.5 percentage points of the whole."""
    whole = challenge.assign(band=age_bands(challenge["age"]))
    for folds in (5, 10):
        table = run(challenge, folds=folds)[["study", "fold", "subset"]].merge(whole, on="study")
        for factor in ("category", "view", "sex", "band"):
            shares = table[factor].value_counts(normalize=True)
            for part in ("fold", "subset"):
                own = table.groupby(part)[factor].value_counts(normalize=True).unstack(fill_value=0.0)
                assert own.sub(shares, axis=1).abs().max().max() < 0.005


def test_the_first_stage_test_as_holdout(challenge):
    """The challenge's second stage added the 1,000 studies of the first one's test: the labels file ends with them."""
    labels = pd.read_csv(LABELS / "stage_2_train_labels.csv", usecols=["patientId"])["patientId"].unique().tolist()
    assert [i for i in range(1, 26684) if labels[i] < labels[i - 1]] == [25684]  # sorted, but for where they begin
    listed = labels[25684:]
    assigned = run(challenge, holdout_ids=listed)
    numbers = summary(assigned, challenge, holdout_ids=listed)
    assert assigned.loc[assigned["subset"] == "holdout", "study"].tolist() == sorted(listed)
    assert numbers["persons_shared"] == 0
    assert (numbers["studies"], numbers["left_out"], numbers["left_out_of_holdout_persons"]) == (22294, 4390, 4390)
    assert numbers["subsets"]["holdout"]["positive"] == 353  # 35%, against 23% of the whole


def test_a_thousand_studies_of_the_challenge(challenge):
    numbers = summary(run(challenge, subset=1000), challenge)
    assert numbers["studies"] == 1000
    assert [part["positive"] for part in numbers["subsets"].values()] == pytest.approx([144, 36, 45], abs=1)
    assert numbers["balance"]["max"] < 0.015


def test_a_share_of_the_training_persons_is_nested_and_leaves_the_rest_alone():
    person = np.arange(200) // 2
    positive = person % 5 == 0
    studies = pd.DataFrame({"study": [f"s{i:03d}" for i in range(200)], "person": [f"p{i:02d}" for i in person]})
    studies = studies.assign(category=np.where(positive, "opacity", "normal"), target=positive * 1, boxes=positive * 1)
    studies = studies.assign(view="AP", sex="F", age=50.0)
    options = {"holdout": 0.2, "folds": 4, "fold": 1, "seed": 3}
    whole, half, quarter = (split(studies, **options, train_share=share) for share in (1.0, 0.5, 0.25))
    for part in (half, quarter):
        rest = whole[whole["subset"] != "train"].reset_index(drop=True)
        pd.testing.assert_frame_equal(part[part["subset"] != "train"].reset_index(drop=True), rest)
    persons = [set(part.loc[part["subset"] == "train", "person"]) for part in (whole, half, quarter)]
    assert persons[2] < persons[1] < persons[0]
    ill = {f"p{i:02d}" for i in range(100) if i % 5 == 0}
    for share, own in zip((0.5, 0.25), persons[1:], strict=True):
        assert len(own & ill) == -(-len(persons[0] & ill) * share // 1)
        assert len(own - ill) == -(-len(persons[0] - ill) * share // 1)


def test_without_a_hold_out_the_folds_hold_every_study():
    studies = pd.DataFrame({"study": [f"s{i:02d}" for i in range(40)], "target": 0, "boxes": 0})
    studies = studies.assign(person=studies["study"], category="normal", view="AP", sex="F", age=50.0)
    own = split(studies, holdout=0.0, folds=5, fold=2, seed=1)
    assert own["fold"].value_counts().to_dict() == dict.fromkeys(range(5), 8)
    assert set(own["subset"]) == {"train", "validation"}
