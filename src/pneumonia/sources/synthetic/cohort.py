"""Who comes to the X-ray department: classes, boxes, persons, views, ages and sexes in the challenge's proportions.

The counts are those of the challenge's own files and headers (26,684 studies of 11,410 persons).
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from pneumonia.sources.synthetic.phantom import Category, StudySpec

CLASSES: dict[Category, int] = {"normal": 8851, "not_normal": 11821, "opacity": 6012}
BOXES = {1: 2614, 2: 3266, 3: 119, 4: 13}  # studies by their number of boxes
AP = {"normal": 1637, "not_normal": 5872, "opacity": 4664}  # of CLASSES; the others are PA
MALE = 0.568
AGE = {"normal": 44.9, "not_normal": 49.3, "opacity": 45.6}  # mean, years
SPACINGS = {
    0.143: 8993,
    0.168: 8815,
    0.139: 5511,
    0.171: 1996,
    0.194311: 1294,
}  # mm, by how many studies of 1024 pixels

# Persons with k studies are as k^-1.7, none has more than 12: mean 2.4 (challenge: 2.34). The challenge's tail is longer
# (65 of 26,684), but in a thousand studies one such person would be a fifteenth of the set, and no split could be balanced.
_SIZE_LAW = 1.7
_MOST_STUDIES = 12

_Key = TypeVar("_Key")


@dataclass(frozen=True)
class Case:
    """One study of the cohort: its id, its person, what to draw; `index` seeds the drawing."""

    study: str
    person: str
    spec: StudySpec
    spacing: float  # mm between pixels of a film of 1024
    index: int


def study_id(seed: int, kind: str, index: int) -> str:
    """A uuid-shaped id, the same whenever asked; other seeds, kinds or indices give other ids."""
    digest = hashlib.sha256(f"pneumonia phantom {kind} {seed} {index}".encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))


def sample_cohort(studies: int, seed: int, kind: str) -> list[Case]:
    """`studies` cases, class, box and view counts as near to the challenge's as whole numbers allow.

    Raises:
        ValueError: fewer than 4 studies are asked for: they cannot hold the three classes.
    """
    if studies < 4:
        raise ValueError(f"a cohort needs at least 4 studies to hold the three classes, got {studies}")
    rng = np.random.default_rng((seed, *kind.encode()))
    counts = apportion(studies, CLASSES)
    persons = _person_of_each_study(rng, studies)
    categories = _categories(rng, persons, counts)
    sexes = np.where(rng.random(persons.max() + 1) < MALE, "M", "F")
    temper = rng.normal(0, 16.5, persons.max() + 1)  # years by which a person is older than the mean of the class
    boxes, views = np.zeros(studies, int), np.full(studies, "PA")
    for category, count in counts.items():
        rows = rng.permutation(np.flatnonzero(categories == category))
        views[rows[: round(count * AP[category] / CLASSES[category])]] = "AP"
        if category == "opacity":
            shares = apportion(count, BOXES)
            boxes[rng.permutation(rows)] = np.repeat(list(shares), list(shares.values()))
    spacings, weights = np.array(list(SPACINGS)), np.array(list(SPACINGS.values()))
    spacing = rng.choice(spacings, studies, p=weights / weights.sum())
    cases = []
    for index in range(studies):
        person, category = int(persons[index]), categories[index]
        age = int(np.clip(round(AGE[category] + temper[person] + rng.integers(0, 3)), 1, 95))
        spec = StudySpec(
            category, int(boxes[index]), str(views[index]), str(sexes[person]), age, (seed, *kind.encode(), person)
        )
        cases.append(Case(study_id(seed, kind, index), f"{seed}-{person:05d}", spec, float(spacing[index]), index))
    return cases


def apportion(total: int, weights: Mapping[_Key, int]) -> dict[_Key, int]:
    """`total` split into whole numbers as `weights`, the largest remainders rounded up (Hamilton's method).

    >>> apportion(10, {"a": 2, "b": 1})
    {'a': 7, 'b': 3}
    """
    whole = sum(weights.values())
    result = {key: total * weight // whole for key, weight in weights.items()}
    by_remainder = sorted(weights, key=lambda key: -(total * weights[key] % whole))
    for key in by_remainder[: total - sum(result.values())]:
        result[key] += 1
    return result


def _person_of_each_study(rng: np.random.Generator, studies: int) -> np.ndarray:
    """Person numbers `[studies]`: many come once, a few a dozen times, nobody for over an eighth of all studies."""
    sizes = np.arange(1, min(_MOST_STUDIES, max(2, studies // 8)) + 1)
    law = sizes**-_SIZE_LAW
    drawn = rng.choice(sizes, studies, p=law / law.sum())
    persons = np.repeat(np.arange(studies), drawn)
    return np.asarray(persons[:studies])


def _categories(rng: np.random.Generator, persons: np.ndarray, counts: Mapping[Category, int]) -> np.ndarray:
    """The category of each study: who is X-rayed often is ill, and who was ill once is likelier ill the next time."""
    size = np.bincount(persons)[persons]
    frailty = rng.gumbel(0, 0.9, persons.max() + 1)[persons]
    illness = 0.75 * np.log(size) + frailty + rng.gumbel(0, 0.8, len(persons))
    categories = np.empty(len(persons), dtype=object)
    ranks = np.argsort(illness, kind="stable")
    start = 0
    for category in ("normal", "not_normal", "opacity"):
        categories[ranks[start : start + counts[category]]] = category
        start += counts[category]
    return categories
