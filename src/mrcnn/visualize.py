"""Pictures of instances with matplotlib, under the names that notebooks written for Matterport's package use.

Images are `[H, W, 3]` uint8, or `[H, W, 1]` and `[H, W]` in grey; boxes `[n, (y1, x1, y2, x2)]` in their pixels. Where a
function is given no axes it makes a figure and shows it; either way it returns matplotlib's axes or figure.
"""

from __future__ import annotations

import colorsys
import html
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

Color = Sequence[float]


def random_colors(N: int, bright: bool = True) -> list[tuple[float, float, float]]:
    """`N` colours evenly around the circle of hues, RGB from 0 to 1, the same at every call."""
    return [colorsys.hsv_to_rgb(i / N, 1.0, 1.0 if bright else 0.7) for i in range(N)]


def apply_mask(image: np.ndarray, mask: np.ndarray, color: Color, alpha: float = 0.5) -> np.ndarray:
    """`image` `[H, W, 3]` (0 to 255) with `color` (0 to 1) laid over it where `mask` `[H, W]` is set; a copy."""
    tinted = image * (1 - alpha) + alpha * 255 * np.asarray(color[:3])
    return np.where(np.asarray(mask, bool)[..., None], tinted, image).astype(image.dtype)


def draw_box(image: np.ndarray, box: Sequence[int], color: Color) -> np.ndarray:
    """`image` with the border of `box`, two pixels wide, in `color` (values of the image); drawn into it."""
    y1, x1, y2, x2 = (int(value) for value in box)
    image[y1 : y1 + 2, x1:x2] = image[y2 : y2 + 2, x1:x2] = color
    image[y1:y2, x1 : x1 + 2] = image[y1:y2, x2 : x2 + 2] = color
    return image


def display_images(
    images: Sequence[np.ndarray],
    titles: Sequence[str] | None = None,
    cols: int = 4,
    cmap: Any = None,
    norm: Any = None,
    interpolation: str | None = None,
) -> Any:
    """The images in rows of `cols`; returns the figure. `cmap`, `norm`, `interpolation`: matplotlib's, of grey ones."""
    import matplotlib.pyplot as plt

    rows = max(1, -(-len(images) // cols))
    figure, axes = plt.subplots(rows, cols, figsize=(14, 14 * rows / cols), squeeze=False)
    for i, axis in enumerate(axes.ravel()):
        axis.axis("off")
        if i < len(images):
            image = np.squeeze(images[i])
            image = image.astype(np.uint8) if image.ndim == 3 else image
            axis.imshow(image, cmap=cmap, norm=norm, interpolation=interpolation)
            axis.set_title(titles[i] if titles is not None else "", fontsize=9)
    plt.show()
    return figure


def display_instances(
    image: np.ndarray,
    boxes: np.ndarray,
    masks: np.ndarray | None,
    class_ids: np.ndarray,
    class_names: Sequence[str],
    scores: np.ndarray | None = None,
    title: str = "",
    figsize: tuple[float, float] = (16, 16),
    ax: Any = None,
    show_mask: bool = True,
    show_bbox: bool = True,
    colors: Sequence[Color] | None = None,
    captions: Sequence[str] | None = None,
) -> Any:
    """An image with its instances: boxes, masks and their outlines, names, scores.

    Arguments:
        masks: bool `[H, W, n]`, or None.
        class_ids: `[n]`, into `class_names`.
        captions: stand instead of name and score.

    Returns:
        the axes.
    """
    if len(boxes) and not len(boxes) == len(class_ids) == (len(boxes) if masks is None else masks.shape[-1]):
        shape = None if masks is None else masks.shape
        raise ValueError(f"boxes, masks and class_ids differ in number: {len(boxes)}, {shape}, {len(class_ids)}")
    palette = colors or random_colors(max(len(boxes), 1))
    shown = _rgb(image)
    axes = _axes(ax, figsize)
    for i, box in enumerate(boxes):
        if not np.any(box):  # padding
            continue
        if masks is not None and show_mask:
            shown = apply_mask(shown, masks[:, :, i], palette[i])
        if masks is not None and masks[:, :, i].any():
            axes.contour(np.pad(masks[:, :, i], 1), [0.5], colors=[palette[i]], extent=_border(shown), linewidths=1)
        if show_bbox:
            _rectangle(axes, box, palette[i], linewidth=2)
        name = class_names[class_ids[i]]
        caption = captions[i] if captions is not None else name if scores is None else f"{name} {scores[i]:.3f}"
        axes.text(box[1], box[0] + 8, caption, color="white", size=11, backgroundcolor="none")
    return _finish(axes, shown, title, ax)


def display_top_masks(
    image: np.ndarray, mask: np.ndarray, class_ids: np.ndarray, class_names: Sequence[str], limit: int = 4
) -> Any:
    """The image, and beside it the masks `[H, W, n]` of each of the `limit` classes with the largest; the figure."""
    known = np.unique(class_ids[class_ids > 0])
    areas = {int(id_): int(mask[:, :, class_ids == id_].astype(bool).sum()) for id_ in known}
    top = sorted((id_ for id_ in areas if areas[id_]), key=lambda id_: (-areas[id_], id_))[:limit]
    pictures, titles = [_rgb(image)], [f"H x W = {image.shape[0]} x {image.shape[1]}"]
    for id_ in top:
        of_class = mask[:, :, class_ids == id_].astype(np.int32)
        pictures.append((of_class * np.arange(1, of_class.shape[-1] + 1)).sum(axis=-1))
        titles.append(class_names[id_])
    pictures += [np.zeros(image.shape[:2], np.int32)] * (limit - len(top))
    titles += ["-"] * (limit - len(top))
    return display_images(pictures, titles, cols=limit + 1, cmap="Blues_r")


def display_differences(
    image: np.ndarray,
    gt_box: np.ndarray,
    gt_class_id: np.ndarray,
    gt_mask: np.ndarray,
    pred_box: np.ndarray,
    pred_class_id: np.ndarray,
    pred_score: np.ndarray,
    pred_mask: np.ndarray,
    class_names: Sequence[str],
    title: str = "",
    ax: Any = None,
    show_mask: bool = True,
    show_box: bool = True,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.5,
) -> Any:
    """Instances in green and predictions in red on one image; a caption gives score and overlap (`compute_matches`)."""
    from mrcnn.evaluation import compute_matches

    truth, predicted = (gt_box, gt_class_id, gt_mask), (pred_box, pred_class_id, pred_score, pred_mask)
    _, pred_match, overlaps = compute_matches(*truth, *predicted, iou_threshold, score_threshold)
    order = np.argsort(-np.asarray(pred_score), kind="stable")
    best = [row[int(j)] if j >= 0 else row.max(initial=0.0) for row, j in zip(overlaps, pred_match, strict=True)]
    scores = np.asarray(pred_score)[order]
    return display_instances(
        image,
        np.concatenate([gt_box, pred_box[order]]),
        np.concatenate([gt_mask, pred_mask[..., order]], axis=-1),
        np.concatenate([gt_class_id, pred_class_id[order]]),
        class_names,
        title=title or "green: instances, red: predictions (score / overlap)",
        ax=ax,
        show_mask=show_mask,
        show_bbox=show_box,
        colors=[(0.0, 1.0, 0.0)] * len(gt_box) + [(1.0, 0.0, 0.0)] * len(pred_box),
        captions=[""] * len(gt_box) + [f"{score:.2f} / {iou:.2f}" for score, iou in zip(scores, best, strict=True)],
    )


def draw_boxes(
    image: np.ndarray,
    boxes: np.ndarray | None = None,
    refined_boxes: np.ndarray | None = None,
    masks: np.ndarray | None = None,
    captions: Sequence[str] | None = None,
    visibilities: Sequence[int] | None = None,
    title: str = "",
    ax: Any = None,
) -> Any:
    """Boxes before (dotted) and after refinement (solid, joined by a line), with masks `[H, W, n]` and captions.

    Arguments:
        visibilities: of each box, 0 grey and dotted, 1 coloured and dotted, 2 coloured and solid.
    """
    count = len(boxes) if boxes is not None else len(refined_boxes) if refined_boxes is not None else 0
    palette = random_colors(max(count, 1))
    axes, shown = _axes(ax, (12, 12)), _rgb(image)
    for i in range(count):
        seen = visibilities[i] if visibilities is not None else 1
        color: Any = "gray" if seen == 0 else palette[i]
        place = None
        if boxes is not None and np.any(boxes[i]):
            place = boxes[i]
            style = "solid" if seen == 2 else "dotted"
            _rectangle(axes, place, color, linewidth=2, linestyle=style, alpha=0.5 if seen == 0 else 1.0)
        if refined_boxes is not None and seen > 0:
            if place is not None:
                axes.plot(*zip(place[1::-1], refined_boxes[i][1::-1], strict=True), color=color, linewidth=1)
            place = refined_boxes[i]
            _rectangle(axes, place, color, linewidth=2)
        if captions is not None and place is not None:
            paper = {"facecolor": "white", "alpha": 0.5, "pad": 2, "edgecolor": "none"}
            axes.text(place[1], place[0], captions[i], size=11, verticalalignment="top", color="black", bbox=paper)
        if masks is not None:
            shown = apply_mask(shown, masks[:, :, i], palette[i])
    return _finish(axes, shown, title, ax)


def draw_rois(
    image: np.ndarray,
    rois: np.ndarray,
    refined_rois: np.ndarray,
    mask: np.ndarray,
    class_ids: np.ndarray,
    class_names: Sequence[str],
    limit: int = 10,
) -> Any:
    """`limit` regions, evenly chosen, before and after refinement (`draw_boxes`); background dotted and grey.

    Arguments:
        mask: `[n, h, w]` of each region's class, or `[n, h, w, classes]`, laid into `rois`.
    """
    from mrcnn.images import unmold_mask

    chosen = np.linspace(0, len(rois) - 1, min(limit, len(rois))).astype(int)
    masks = np.zeros((*image.shape[:2], len(chosen)), bool)
    for place, i in enumerate(chosen):
        y1, x1, y2, x2 = np.clip(np.asarray(rois[i][:4], int), 0, np.tile(image.shape[:2], 2))
        if class_ids[i] > 0 and y2 > y1 and x2 > x1:
            of_class = mask[i] if mask.ndim == 3 else mask[i, :, :, class_ids[i]]
            masks[:, :, place] = unmold_mask(of_class, (y1, x1, y2, x2), image.shape)
    positive = int((class_ids > 0).sum())
    return draw_boxes(
        image,
        rois[chosen],
        refined_rois[chosen],
        masks,
        captions=[class_names[class_ids[i]] if class_ids[i] > 0 else "" for i in chosen],
        visibilities=[int(class_ids[i] > 0) for i in chosen],
        title=f"{len(chosen)} of {len(rois)} regions; {positive} of all positive",
    )


def plot_precision_recall(AP: float, precisions: np.ndarray, recalls: np.ndarray) -> Any:
    """The curve of `mrcnn.evaluation.compute_ap`; the axes."""
    axes = _axes(None, (6, 6))
    axes.plot(recalls, precisions)
    axes.set(title=f"Precision-recall curve, AP@50 = {AP:.3f}", xlim=(0, 1.1), ylim=(0, 1.1))
    axes.set(xlabel="recall", ylabel="precision")
    return _show(axes)


def plot_overlaps(
    gt_class_ids: np.ndarray,
    pred_class_ids: np.ndarray,
    pred_scores: np.ndarray,
    overlaps: np.ndarray,
    class_names: Sequence[str],
    threshold: float = 0.5,
) -> Any:
    """The overlaps `[predictions, instances]` of `compute_ap` as a table of colours; the axes."""
    instances, predictions = gt_class_ids[gt_class_ids != 0], pred_class_ids[pred_class_ids != 0]
    axes = _axes(None, (12, 10))
    axes.imshow(overlaps, interpolation="nearest", cmap="Blues", vmin=0, vmax=1)
    names = [f"{class_names[int(id_)]} ({pred_scores[i]:.2f})" for i, id_ in enumerate(predictions)]
    axes.set_yticks(range(len(names)), names)
    axes.set_xticks(range(len(instances)), [class_names[int(id_)] for id_ in instances], rotation=90)
    for (i, j), overlap in np.ndenumerate(overlaps):
        match = gt_class_ids[j] == pred_class_ids[i]
        verdict = "" if overlap <= threshold else "\nmatch" if match else "\nwrong class"
        color = "white" if overlap > 0.5 else "black"
        axes.text(j, i, f"{overlap:.3f}{verdict}", ha="center", va="center", size=9, color=color)
    axes.set(xlabel="instances", ylabel="predictions")
    return _show(axes)


def display_table(table: Sequence[Sequence[Any]]) -> None:
    """Rows of cells in columns: as HTML in a notebook, as text elsewhere."""
    notebook = sys.modules.get("IPython")  # which has it imported
    if notebook is not None and notebook.get_ipython() is not None:
        rows = ("".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) for row in table)
        page = "<table>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"
        notebook.display.display(notebook.display.HTML(page))
        return
    widths = [max(len(str(cell)) for cell in column) for column in zip(*table, strict=True)]
    for row in table:
        print("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def display_weight_stats(model: Any) -> None:
    """A table of all weights of `MaskRCNN`: shape, smallest, largest, standard deviation; those that are all equal
    (which a training never leaves, but for biases it does not touch) are marked."""
    from keras import ops

    from mrcnn.weights import leaf_layers, weighted_layers

    table = [["WEIGHT", "SHAPE", "MIN", "MAX", "STD"]]
    for layer in (leaf for outer in weighted_layers(model.keras_model) for leaf in leaf_layers(outer)):
        for variable in layer.weights:
            values = ops.convert_to_numpy(variable)
            mark = " (all equal)" if values.min() == values.max() else ""
            name = f"{layer.name}/{variable.name}{mark}"
            numbers = (f"{value:+10.4f}" for value in (values.min(), values.max(), values.std()))
            table.append([name, str(tuple(values.shape)), *numbers])
    display_table(table)


def _rgb(image: np.ndarray) -> np.ndarray:
    image = image[..., None] if image.ndim == 2 else image
    return (np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image[..., :3]).astype(np.uint8)


def _axes(ax: Any, figsize: tuple[float, float]) -> Any:
    import matplotlib.pyplot as plt

    return ax if ax is not None else plt.subplots(1, figsize=figsize)[1]


def _rectangle(axes: Any, box: Sequence[float], color: Any, **style: Any) -> None:
    from matplotlib.patches import Rectangle

    y1, x1, y2, x2 = box
    axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, edgecolor=color, facecolor="none", **style))


def _border(image: np.ndarray) -> tuple[float, float, float, float]:
    """Where a mask with one more pixel on each side lies on `image`, as matplotlib's `extent`."""
    height, width = image.shape[:2]
    return -1.0, float(width), -1.0, float(height)


def _finish(axes: Any, image: np.ndarray, title: str, ax: Any) -> Any:
    height, width = image.shape[:2]
    axes.imshow(image)
    axes.set(title=title, xlim=(-10, width + 10), ylim=(height + 10, -10))
    axes.axis("off")
    return axes if ax is not None else _show(axes)


def _show(axes: Any) -> Any:
    import matplotlib.pyplot as plt

    plt.show()
    return axes
