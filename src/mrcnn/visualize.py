"""Pictures of instances with matplotlib, under the names that notebooks written for Matterport's package use."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import Any

import numpy as np


def random_colors(N: int, bright: bool = True) -> list[tuple[float, float, float]]:
    """`N` colours evenly around the circle of hues, RGB from 0 to 1, the same at every call."""
    return [colorsys.hsv_to_rgb(i / N, 1.0, 1.0 if bright else 0.7) for i in range(N)]


def apply_mask(image: np.ndarray, mask: np.ndarray, color: Sequence[float], alpha: float = 0.5) -> np.ndarray:
    """`image` `[H, W, 3]` (0 to 255) with `color` (0 to 1) laid over it where `mask` `[H, W]` is set; a copy."""
    tinted = image * (1 - alpha) + alpha * 255 * np.asarray(color)
    return np.where(np.asarray(mask, bool)[..., None], tinted, image).astype(image.dtype)


def display_images(images: Sequence[np.ndarray], titles: Sequence[str] | None = None, cols: int = 4) -> Any:
    """The images in rows of `cols`; returns matplotlib's figure."""
    import matplotlib.pyplot as plt

    rows = -(-len(images) // cols)
    figure, axes = plt.subplots(rows, cols, figsize=(14, 14 * rows / cols), squeeze=False)
    for i, axis in enumerate(axes.ravel()):
        axis.axis("off")
        if i < len(images):
            axis.imshow(images[i])
            axis.set_title(titles[i] if titles is not None else "", fontsize=9)
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
    colors: Sequence[Sequence[float]] | None = None,
    captions: Sequence[str] | None = None,
) -> Any:
    """An image with its instances: boxes, masks, names, scores. Returns matplotlib's axes; the caller shows or saves.

    Args:
        image: `[H, W, 3]` uint8.
        boxes: `[n, (y1, x1, y2, x2)]` pixels.
        masks: bool `[H, W, n]`, or None.
        class_ids: `[n]`, into `class_names`.
        captions: stand instead of name and score.
    """
    import matplotlib.pyplot as plt
    from matplotlib.patches import Rectangle

    if not len(boxes) == len(class_ids) == (len(boxes) if masks is None else masks.shape[-1]):
        shape = None if masks is None else masks.shape
        raise ValueError(f"boxes, masks and class_ids differ in number: {len(boxes)}, {shape}, {len(class_ids)}")
    axes = ax if ax is not None else plt.subplots(1, figsize=figsize)[1]
    palette = colors or random_colors(max(len(boxes), 1))
    shown = image.copy()
    for i, (y1, x1, y2, x2) in enumerate(boxes):
        if show_mask and masks is not None:
            shown = apply_mask(shown, masks[:, :, i], palette[i])
        if show_bbox:
            frame = Rectangle((x1, y1), x2 - x1, y2 - y1, linewidth=2, edgecolor=palette[i], facecolor="none")
            axes.add_patch(frame)
        name = class_names[class_ids[i]]
        caption = captions[i] if captions is not None else name if scores is None else f"{name} {scores[i]:.3f}"
        axes.text(x1, y1 + 8, caption, color="white", size=11, backgroundcolor="none")
    axes.imshow(shown)
    axes.set_title(title)
    axes.axis("off")
    return axes
