"""A first look at the cleaned data: tables (CSV) and figures (PNG) of classes, boxes, ages, sexes, views, and studies.

The tables are functions of the frames alone; `explore` writes and draws them. The view is there for a reason: in the
challenge 38% of the AP but 9% of the PA studies are positive, so a model can score by telling a bed from a wall stand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pneumonia.dicom.decoders import MissingDecoderError
from pneumonia.schema import explore as schema
from pneumonia.schema.data import CATEGORIES, UNKNOWN
from pneumonia.schema.table import BOX

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABELS = {"normal": "normal", "not_normal": "no opacity, not normal", "opacity": "lung opacity"}
COLOURS = {"normal": "#4878a8", "not_normal": "#b9b3a7", "opacity": "#d1495b"}
INK, GREEN = "#2b2b2b", "#37d67a"
GRID = 64  # cells a side of the heat map

# Read of studies.csv.
STUDY_COLUMNS = ("study", "person", "category", "boxes", "view", "sex", "age", "rows", "columns")


def class_table(studies: pd.DataFrame) -> pd.DataFrame:
    """`category, studies, share, persons`: one row a category, also one without studies."""
    groups = [studies[studies["category"] == name] for name in CATEGORIES]
    return pd.DataFrame(
        {
            "category": CATEGORIES,
            "studies": [len(group) for group in groups],
            "share": [len(group) / max(1, len(studies)) for group in groups],
            "persons": [int(group["person"].nunique()) for group in groups],
        }
    )


def boxes_per_study_table(studies: pd.DataFrame) -> pd.DataFrame:
    """`boxes, studies` of the positive studies, from 1 box up."""
    counts = np.bincount(studies.loc[studies["boxes"] > 0, "boxes"].to_numpy(int), minlength=2)[1:]
    return pd.DataFrame({"boxes": np.arange(1, len(counts) + 1), "studies": counts})


def box_size_table(studies: pd.DataFrame, boxes: pd.DataFrame, step: int = 5) -> pd.DataFrame:
    """`per_cent, width, height, area`: boxes whose width is `per_cent` to below `per_cent + step` per cent of the
    image's width, and the same for height and area."""
    shares = _box_shares(studies, boxes)
    edges = np.arange(0, 100 + step, step) / 100
    width, height = shares[:, 2], shares[:, 3]
    columns = {"width": width, "height": height, "area": width * height}
    counts = {name: np.histogram(values, edges)[0] for name, values in columns.items()}
    return pd.DataFrame({"per_cent": (edges[:-1] * 100).round().astype(int), **counts})


def box_places(studies: pd.DataFrame, boxes: pd.DataFrame, grid: int = GRID) -> np.ndarray:
    """float64 `[grid, grid]`: the share of the positive studies with a box over the centre of a cell of the image."""
    centres = (np.arange(grid) + 0.5) / grid
    covered = np.zeros((grid, grid))
    shares = _box_shares(studies, boxes)
    order = np.argsort(boxes["study"].to_numpy(str), kind="stable")
    names = boxes["study"].to_numpy(str)[order]
    starts = np.flatnonzero(np.append(True, names[1:] != names[:-1])[: len(names)])  # of each study's boxes
    for group in np.split(shares[order], starts[1:]):
        x, y, width, height = (group[:, i, None] for i in range(4))
        inside_x = (centres >= x) & (centres < x + width)  # [boxes, grid]
        inside_y = (centres >= y) & (centres < y + height)
        covered += (inside_y[:, :, None] & inside_x[:, None, :]).any(axis=0)
    return covered / max(1, len(starts))


def age_table(studies: pd.DataFrame) -> pd.DataFrame:
    """`age, normal, not_normal, opacity`: studies a decade of age, of those whose age is known."""
    decades = np.arange(0, 120, 10)
    counts = {
        name: np.histogram(studies.loc[studies["category"] == name, "age"].dropna(), [*decades, 120])[0]
        for name in CATEGORIES
    }
    return pd.DataFrame({"age": decades, **counts})


def share_table(studies: pd.DataFrame, by: str) -> pd.DataFrame:
    """`<by>, category, studies, share`: the classes of each view (or sex); the shares of a view sum to 1."""
    values = studies[by].replace("", UNKNOWN)
    rows = []
    for value in sorted(set(values)):
        chosen = studies.loc[values == value, "category"]
        for name in CATEGORIES:
            count = int((chosen == name).sum())
            rows.append({by: value, "category": name, "studies": count, "share": count / len(chosen)})
    return pd.DataFrame(rows, columns=[by, "category", "studies", "share"])


def choose_examples(studies: pd.DataFrame, count: int, seed: int) -> dict[str, list[str]]:
    """Ids of at most `count` studies of each category, by chance; independent of the order of `studies`."""
    chosen = {}
    for index, name in enumerate(CATEGORIES):
        ids = np.array(sorted(studies.loc[studies["category"] == name, "study"]), str)
        rng = np.random.default_rng((seed, index))
        chosen[name] = [str(study) for study in rng.permutation(ids)[:count]]
    return chosen


def explore(
    studies: pd.DataFrame,
    boxes: pd.DataFrame,
    folder: str | Path,
    *,
    read_image: Callable[[str], np.ndarray],
    examples: int,
    seed: int,
) -> None:
    """Write the tables and figures into `folder`, which exists; same inputs, same bytes.

    Arguments:
        studies: data/clean/studies.csv (`STUDY_COLUMNS`).
        boxes: data/clean/boxes.csv (`study, x, y, width, height`), original pixels.
        read_image: study id -> uint8 `[rows, columns]`, for the example studies.
        examples: studies a class in the gallery.
        seed: which examples.
    """
    folder = Path(folder)
    classes, boxes_per_study = class_table(studies), boxes_per_study_table(studies)
    box_sizes, ages = box_size_table(studies, boxes), age_table(studies)
    views, sexes = share_table(studies, "view"), share_table(studies, "sex")
    places = box_places(studies, boxes)
    cells = np.indices(places.shape).reshape(2, -1)
    for table, frame in (
        (schema.CLASSES, classes),
        (schema.BOXES_PER_STUDY, boxes_per_study),
        (schema.BOX_SIZES, box_sizes),
        (schema.AGES, ages),
        (schema.VIEWS, views),
        (schema.SEXES, sexes),
        (schema.BOX_PLACES, pd.DataFrame({"row": cells[0], "column": cells[1], "share": places.ravel()})),
    ):
        table.write(folder / table.name, frame)

    with _style():
        _save(_draw_classes(classes), folder / "classes.png")
        _save(_draw_boxes_per_study(boxes_per_study), folder / "boxes_per_study.png")
        _save(_draw_box_sizes(box_sizes), folder / "box_sizes.png")
        _save(_draw_places(places), folder / "box_places.png")
        _save(_draw_ages(ages), folder / "ages.png")
        _save(_draw_shares(views, "view", "Classes of each view"), folder / "views.png")
        _save(_draw_shares(sexes, "sex", "Classes of each sex"), folder / "sexes.png")
        chosen = choose_examples(studies, examples, seed)
        _save(_draw_examples(chosen, boxes, read_image), folder / "examples.png")


def _box_shares(studies: pd.DataFrame, boxes: pd.DataFrame) -> np.ndarray:
    """float64 `[N, 4]`: x, y, width, height of each box as shares of its image's width and height."""
    sizes = studies.set_index("study").loc[boxes["study"], ["columns", "rows"]].to_numpy(float).reshape(-1, 2)
    return boxes[BOX].to_numpy(float) / np.tile(sizes, 2)


@contextmanager
def _style() -> Iterator[None]:
    """One look for all figures."""
    import matplotlib

    look: Any = {
        "font.family": "DejaVu Sans",  # ships with matplotlib: the same everywhere
        "font.size": 9,
        "text.color": INK,
        "axes.edgecolor": "#9a9a9a",
        "axes.labelcolor": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
        "axes.axisbelow": True,
        "xtick.color": INK,
        "ytick.color": INK,
        "grid.color": "#e6e6e6",
        "legend.frameon": False,
        "figure.dpi": 150,
        "savefig.facecolor": "white",
    }
    with matplotlib.rc_context(look):
        yield


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, metadata={"Software": None})  # no version in the file: same data, same bytes


def _figure(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Figure, np.ndarray]:
    """A figure of `width` x `height` inches and its axes `[rows, columns]`; without pyplot no display is needed."""
    from matplotlib.figure import Figure

    figure = Figure((width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _count_bars(axes: Axes, names: Sequence[str], counts: Sequence[int], colours: Sequence[str]) -> None:
    bars = axes.bar(names, counts, color=colours, width=0.65)
    axes.bar_label(bars, labels=[f"{count:,}" for count in counts], padding=2)
    axes.set_ylabel("studies")
    axes.margins(y=0.1)
    axes.grid(axis="y")


def _draw_classes(table: pd.DataFrame) -> Figure:
    figure, axes = _figure(5.2, 3.4)
    names = [f"{LABELS[c]}\n{share:.0%}" for c, share in zip(table["category"], table["share"], strict=True)]
    _count_bars(axes[0, 0], names, table["studies"].tolist(), [COLOURS[c] for c in table["category"]])
    axes[0, 0].set_title("Classes")
    return figure


def _draw_boxes_per_study(table: pd.DataFrame) -> Figure:
    figure, axes = _figure(4.2, 3.4)
    _count_bars(axes[0, 0], table["boxes"].astype(str).tolist(), table["studies"].tolist(), [COLOURS["opacity"]])
    axes[0, 0].set_title("Boxes of a positive study")
    axes[0, 0].set_xlabel("boxes")
    return figure


def _draw_box_sizes(table: pd.DataFrame) -> Figure:
    figure, axes = _figure(9.0, 3.0, columns=3)
    step = int(table["per_cent"].iloc[1] - table["per_cent"].iloc[0])
    for ax, name in zip(axes[0], ("width", "height", "area"), strict=True):
        ax.bar(table["per_cent"], table[name], width=step * 0.92, align="edge", color=COLOURS["opacity"])
        ax.set_title(f"Box {name}")
        ax.set_xlabel(f"per cent of the image's {name}")
        ax.set_xlim(0, 5 + max([25, *table.loc[table[name] > 0, "per_cent"]]))
        ax.grid(axis="y")
    axes[0, 0].set_ylabel("boxes")
    return figure


def _draw_places(places: np.ndarray) -> Figure:
    figure, axes = _figure(4.6, 4.0)
    ax = axes[0, 0]
    picture = ax.imshow(places * 100, cmap="magma", extent=(0, 100, 100, 0), vmin=0, interpolation="nearest")
    figure.colorbar(picture, ax=ax, label="per cent of positive studies", shrink=0.9)
    ax.set_title("Where the boxes are")
    ax.set_xlabel("per cent of the width (the person's right is left)")
    ax.set_ylabel("per cent of the height")
    return figure


def _draw_ages(table: pd.DataFrame) -> Figure:
    figure, axes = _figure(6.4, 3.4)
    ax = axes[0, 0]
    for shift, name in enumerate(CATEGORIES):
        share = table[name] / max(1, int(table[name].sum())) * 100
        ax.bar(table["age"] + 0.8 + shift * 2.8, share, 2.6, align="edge", color=COLOURS[name], label=LABELS[name])
    ax.set_title("Age")
    ax.set_xlabel("years, by decade")
    ax.set_ylabel("per cent of the class")
    ax.set_xticks(table["age"])
    ax.set_xlim(0, 10 + max([80, *table.loc[table[list(CATEGORIES)].sum(axis=1) > 0, "age"]]))
    ax.grid(axis="y")
    ax.legend()
    return figure


def _draw_shares(table: pd.DataFrame, by: str, title: str) -> Figure:
    values = sorted(set(table[by]))
    figure, axes = _figure(6.4, 1.5 + 0.5 * len(values))
    ax = axes[0, 0]
    left = np.zeros(len(values))
    for name in CATEGORIES:
        rows = table[table["category"] == name].set_index(by).loc[values]
        share = rows["share"].to_numpy(float) * 100
        bars = ax.barh(values, share, left=left, color=COLOURS[name], label=LABELS[name], height=0.6)
        texts = [f"{part:.0f}%" if part >= 5 else "" for part in share]
        ax.bar_label(bars, labels=texts, label_type="center", color=INK if name == "not_normal" else "white")
        left += share
    totals = table.groupby(by)["studies"].sum()
    ax.set_yticks(range(len(values)), [f"{value}\n{totals[value]:,} studies" for value in values])
    ax.invert_yaxis()
    ax.set_xlim(0, 100)
    ax.set_xlabel("per cent of the studies")
    ax.set_title(title)
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def _draw_examples(
    chosen: dict[str, list[str]], boxes: pd.DataFrame, read_image: Callable[[str], np.ndarray]
) -> Figure:
    from matplotlib.patches import Rectangle

    columns = max(1, *(len(ids) for ids in chosen.values()))
    figure, axes = _figure(2.1 * columns, 6.6, rows=len(CATEGORIES), columns=columns)
    for ax in axes.ravel():
        ax.set_axis_off()
    for row, name in enumerate(CATEGORIES):
        axes[row, 0].set_title(LABELS[name], color=COLOURS[name])
        for ax, study in zip(axes[row], chosen[name], strict=False):
            try:
                image = read_image(study)
            except (MemoryError, MissingDecoderError):  # no fault of the study
                raise
            except Exception:  # one picture less; window_resize says which study it is and why
                ax.text(0.5, 0.5, "cannot be shown", ha="center", va="center")
                continue
            ax.imshow(image, cmap="gray", vmin=0, vmax=255)
            for x, y, width, height in boxes.loc[boxes["study"] == study, BOX].to_numpy(float):
                ax.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor=GREEN, linewidth=1.4))
    return figure
