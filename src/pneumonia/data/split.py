"""Hold-out and cross-validation folds: grouped by person, stratified by category, view, sex and age.

Persons are placed one after the other, the largest first, each where it mends the counts of its strata most: the
greedy idea of iterative stratification (Sechidis et al. 2011, "On the stratification of multi-label data") for whole
groups. The hold-out is taken first and does not depend on `folds`, `fold` or `subset`; a subset keeps every study in
the fold it has in the whole set. So a model tried on few studies can be judged later on all of the same hold-out.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from pneumonia.schema.data import SPLIT, SUBSETS, UNKNOWN

HOLDOUT_FOLD = -1
AGE_EDGES = (20.0, 40.0, 60.0, 80.0)  # years; bands [0, 20), [20, 40) ... [80, inf)
FACTORS = ("category", "view", "sex", "age_band")
SINGLE = tuple((factor,) for factor in FACTORS)
CROSSED = (("category", "view"), ("category", "sex"), ("category", "age_band"), FACTORS)

# Read of studies.csv.
STUDY_COLUMNS = ("study", "person", "category", "target", "boxes", "view", "sex", "age")


def split(
    studies: pd.DataFrame,
    *,
    by: str = "person",
    holdout: float,
    folds: int,
    fold: int,
    subset: int = 0,
    seed: int,
    holdout_ids: Sequence[str] = (),
    train_share: float = 1.0,
) -> pd.DataFrame:
    """Assign every study: a frame `study, person, fold, subset`, sorted by study.

    Arguments:
        studies: `study, person, category, view, sex, age` (data/clean/studies.csv), in any order. An empty person is
            one of its own, named as the study.
        by: "person" keeps the studies of a person together; "image" does not, to show the leak.
        holdout: share of the studies for the final report, from 0 to below 1.
        folds: cross-validation folds of the rest, at least 2.
        fold: the fold that is `validation`; the others are `train`. Hold-out studies have fold -1.
        subset: this many studies, each fold and stratum in proportion; the others are left out. 0: all.
        seed: order of persons of equal size.
        holdout_ids: exactly these studies are the hold-out, in place of the share `holdout`. By person, the other
            studies of their persons are left out: not on the list, and not fit to train on.
        train_share: share of the training persons (by image: studies), of those with an opacity and of the others, that
            are kept; the rest is left out. A smaller share is part of a larger one.

    Raises:
        ValueError: values are impossible, or a subset would be empty.
    """
    _check(studies, by, holdout, folds, fold, subset)
    table = _with_factors(studies).sort_values("study", kind="stable").reset_index(drop=True)
    table = table.assign(person=persons(table))
    group = table["person"] if by == "person" else table["study"]
    table["fold"] = HOLDOUT_FOLD
    if holdout_ids:
        table = table[_held_out(table, group, holdout_ids)]
        rest = ~table["study"].isin(set(holdout_ids))
    elif holdout:
        rest = pd.Series(_assign(table, group, [holdout, 1.0 - holdout], seed) == 1, index=table.index)
    else:
        rest = pd.Series(True, index=table.index)
    kept = table[rest]
    table.loc[rest, "fold"] = _assign(kept, group[kept.index], [1.0 / folds] * folds, seed)
    is_holdout, validates = table["fold"] == HOLDOUT_FOLD, table["fold"] == fold
    table["subset"] = np.select([is_holdout, validates], ["holdout", "validation"], "train")
    if subset and subset < len(table):
        table = _sample(table, subset, seed)
    if train_share < 1:
        table = table[_trains(table, group, train_share, seed)]
    wanted = [name for name in SUBSETS if name != "holdout" or holdout or holdout_ids]
    empty = [name for name in wanted if not (table["subset"] == name).any()]
    if empty:
        raise ValueError(
            f"split: {' and '.join(empty)} would be empty with {len(table)} studies of {table['person'].nunique()} "
            f"persons; use more studies, fewer folds (got {folds}) or another holdout (got {holdout})"
        )
    return table.sort_values("study")[list(SPLIT.columns)].reset_index(drop=True)


def _with_factors(studies: pd.DataFrame) -> pd.DataFrame:
    named = {name: studies[name].fillna("").replace("", UNKNOWN) for name in ("category", "view", "sex")}
    return studies.assign(**named, age_band=age_bands(studies["age"]))


def persons(studies: pd.DataFrame) -> pd.Series:
    """Person of each study; the study's own id where none is known."""
    return studies["person"].where(studies["person"].fillna("") != "", studies["study"])


def age_bands(age: pd.Series) -> pd.Series:
    """Name of the age band: 39.5 years is "20-39", 80 is "80+", none is "unknown"."""
    edges = [0, *map(int, AGE_EDGES)]
    names = [f"{low}-{high - 1}" for low, high in pairwise(edges)] + [f"{edges[-1]}+"]
    years = age.to_numpy(float, na_value=np.nan)
    band = np.searchsorted(AGE_EDGES, np.nan_to_num(years), side="right")
    return pd.Series(np.where(np.isnan(years), UNKNOWN, np.array(names)[band]), index=age.index)


def summary(
    assigned: pd.DataFrame, studies: pd.DataFrame, *, by: str = "person", holdout_ids: Sequence[str] = ()
) -> dict[str, Any]:
    """Numbers for metrics/split.json, of what `split` returned.

    Returns:
        subsets, folds: studies, positives, boxes, persons and studies a category.
        person_unknown: studies that may belong to the same person without anyone knowing.
        left_out: studies that are in no subset; of them `left_out_of_holdout_persons` for being of a person of `holdout_ids`.
        balance: for each factor (and crossed) the largest difference between a stratum's share in a subset or fold and its
            share in the whole, 0 to 1.
        persons_shared: persons that stand in more than one subset.
        sharing_person: validation and hold-out studies whose person is in train, too.

    Raises:
        ValueError: a person is shared in spite of `by="person"`.
    """
    table = assigned.merge(_with_factors(studies).drop(columns="person"), on="study", validate="one_to_one")
    folds = sorted(set(table["fold"]) - {HOLDOUT_FOLD})
    person, listed = persons(studies), studies["study"].isin(set(holdout_ids))
    relatives = person.isin(set(person[listed])) & ~listed & (by == "person")
    spread = table.groupby("person")["subset"].nunique()
    shared = int((spread > 1).sum())
    if shared and by == "person":
        names = sorted(spread.index[spread > 1])[:3]
        raise ValueError(f"split: {shared} persons stand in several subsets, such as {names}; by person none may")
    train_persons = set(table.loc[table["subset"] == "train", "person"])
    leaking = table[table["person"].isin(train_persons)]
    sharing = {name: _counts(leaking[leaking["subset"] == name]) for name in ("validation", "holdout")}
    parts = [(table["subset"] == name).to_numpy() for name in SUBSETS]
    parts += [(table["fold"] == number).to_numpy() for number in folds]
    balance = {"_x_".join(names): _deviation(table, list(names), parts) for names in (*SINGLE, *CROSSED)}
    return {
        "studies": len(table),
        "persons": int(table["person"].nunique()),
        "person_unknown": int((table["person"] == table["study"]).sum()),
        "left_out": len(studies) - len(table),
        "left_out_of_holdout_persons": int(relatives.sum()),
        "subsets": {name: _counts(table[table["subset"] == name]) for name in SUBSETS},
        "folds": {str(number): _counts(table[table["fold"] == number]) for number in folds},
        "balance": {**balance, "max": max(balance.values())},
        "persons_shared": shared,
        "sharing_person": {
            name: {"studies": counts["studies"], "positive": counts["positive"]} for name, counts in sharing.items()
        },
    }


def _counts(part: pd.DataFrame) -> dict[str, Any]:
    return {
        "studies": len(part),
        "positive": int(part["target"].sum()),
        "boxes": int(part["boxes"].sum()),
        "persons": int(part["person"].nunique()),
        "category": {str(name): int(count) for name, count in part["category"].value_counts().items()},
    }


def _deviation(table: pd.DataFrame, names: list[str], parts: list[np.ndarray]) -> float:
    """Largest |share of a stratum in a part - its share in the whole|, 0 to 1."""
    strata = table.groupby(names).ngroup().to_numpy()
    whole = np.bincount(strata) / len(strata)
    return max(
        float(np.abs(np.bincount(strata[part], minlength=len(whole)) / part.sum() - whole).max())
        for part in parts
        if part.any()
    )


def _assign(table: pd.DataFrame, group: pd.Series, shares: Sequence[float], seed: int) -> np.ndarray:
    """Bin `[studies]` of every study; the bins get `shares` of the studies and of every stratum, groups stay whole."""
    if not len(table):
        raise ValueError("split: no studies are left to divide into folds; check holdout")
    names, member = np.unique(group.to_numpy(str), return_inverse=True)
    columns = [_one_hot(table, list(factors)) for factors in (*SINGLE, *CROSSED)]
    indicators = np.concatenate([np.ones((len(table), 1)), *columns], axis=1)  # [studies, strata]
    counts = np.zeros((len(names), indicators.shape[1]))  # [groups, strata]
    np.add.at(counts, member, indicators)
    target = np.outer(shares, indicators.sum(axis=0))  # [bins, strata]

    # Order: large groups first, while there is room to balance them; then rare strata; then by chance.
    rarest = np.where(counts > 0, indicators.sum(axis=0), np.inf).min(axis=1)
    order = np.lexsort((np.random.default_rng(seed).permutation(len(names)), rarest, -counts[:, 0]))
    missing = target.copy()
    chosen = np.empty(len(names), int)
    for index in order:
        strata = np.flatnonzero(counts[index])
        added = counts[index, strata]
        # Change of sum((count - target)^2 / target), a chi-square: d = added * (added - 2 * missing) / target.
        cost = (added * (added - 2.0 * missing[:, strata]) / target[:, strata]).sum(axis=1)
        best = int(np.argmin(np.round(cost, 9)))  # rounded: the order of a sum must not decide a tie
        missing[best, strata] -= added
        chosen[index] = best
    return chosen[member]


def _one_hot(table: pd.DataFrame, names: list[str]) -> np.ndarray:
    """float64 `[studies, strata]`, one column a combination that occurs."""
    strata = table.groupby(names).ngroup().to_numpy()
    return np.eye(strata.max() + 1)[strata]


def _sample(table: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """`count` studies by systematic sampling: sorted by fold, then strata, take every (len / count)-th.

    Any run of that order, so each fold and each stratum within it, keeps its share to within one study.
    """
    rng = np.random.default_rng((seed, 1))
    table = table.assign(chance=rng.permutation(len(table)))
    ordered = table.sort_values(["fold", *FACTORS, "chance"], kind="stable")
    taken = np.floor((np.arange(count) + rng.random()) * len(table) / count).astype(int)
    return ordered.iloc[taken].drop(columns="chance")


def _trains(table: pd.DataFrame, group: pd.Series, share: float, seed: int) -> pd.Series:
    """Mask of the studies that stay: all but those of the training groups beyond `share` of them, in an order by chance."""
    own = group[table.index]
    order = pd.Series(np.random.default_rng((seed, 2)).permutation(len(group)), index=group.index)
    train = table["subset"] == "train"
    # One row a training group: whether it has an opacity, and its place in an order that no fold or share changes.
    facts = pd.DataFrame({"group": own, "positive": table["category"] == "opacity", "place": order[table.index]})[train]
    groups = facts.groupby("group").agg({"positive": "max", "place": "min"})
    rank = groups.groupby("positive")["place"].rank(method="first")
    size = groups.groupby("positive")["place"].transform("size")
    kept = groups.index[rank <= np.ceil(share * size - 1e-9)]
    return ~train | own.isin(set(kept))


def _held_out(table: pd.DataFrame, group: pd.Series, holdout_ids: Sequence[str]) -> pd.Series:
    """Mask of the studies that stay: the hold-out itself, and those of groups without a study in it."""
    chosen = table["study"].isin(set(holdout_ids))
    unknown = sorted(set(holdout_ids) - set(table["study"]))
    if unknown:
        raise ValueError(
            f"split.holdout_ids: {len(unknown)} of {len(set(holdout_ids))} ids are not among the {len(table)} studies, "
            f"such as {unknown[:3]}; take those that clean rejected (data/clean/rejected.csv) off the list, or give "
            "the list of this data set"
        )
    if chosen.all():
        raise ValueError(f"split.holdout_ids: all {len(table)} studies are on the list; none is left to train on")
    return chosen | ~group.isin(set(group[chosen]))


def _check(studies: pd.DataFrame, by: str, holdout: float, folds: int, fold: int, subset: int) -> None:
    wanted = {"study", "person", "category", "view", "sex", "age"}
    if not wanted <= set(studies.columns):
        raise ValueError(f"studies lacks the columns {sorted(wanted - set(studies.columns))}")
    if studies["study"].duplicated().any():
        twice = studies.loc[studies["study"].duplicated(), "study"].iloc[0]
        raise ValueError(f"study {twice!r} stands in studies twice, wanted each once")
    if by not in ("person", "image"):
        raise ValueError(f"split.by must be 'person' or 'image', got {by!r}")
    if not 0.0 <= holdout < 1.0:
        raise ValueError(f"split.holdout must be a share from 0 to below 1, got {holdout}")
    if folds < 2:
        raise ValueError(f"split.folds must be at least 2, got {folds}")
    if not 0 <= fold < folds:
        raise ValueError(f"split.fold must be from 0 to {folds - 1} (split.folds - 1), got {fold}")
    if subset < 0:
        raise ValueError(f"split.subset must be 0 (all) or a number of studies, got {subset}")
