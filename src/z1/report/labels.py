"""Label placement: puts labels where they cover as little as possible.

Pure geometry, in pixels: a label tries the positions around its anchors, nearest first, and takes the one that covers
least. Boxes are (left, bottom, right, top). Draws nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import ceil, hypot

Box = tuple[float, float, float, float]
Spot = tuple[float, float]

_SIDES = ((1, 1), (-1, 1), (1, -1), (0, 1), (0, -1), (1, 0), (-1, -1), (-1, 0))


def place(
    anchors: Sequence[Spot], size: Spot, taken: Iterable[Box], frame: Box, gaps: Sequence[float]
) -> tuple[Box, float]:
    """The best box of `size` (width, height) beside one of `anchors`, `gaps` away, inside `frame`, and the share of it
    that covers something (0 for a free position).
    """
    taken = tuple(taken)
    options = [
        (gap / 4 + rank / 4 + first / 8, _beside(anchor, size, side, gap))
        for first, anchor in enumerate(anchors)
        for gap in gaps
        for rank, side in enumerate(_SIDES)
    ]
    costs = [_cost(box, taken, frame) for _, box in options]
    best = min(range(len(options)), key=lambda index: options[index][0] + costs[index])
    return options[best][1], costs[best] / (size[0] * size[1])


def groups(spots: Sequence[Spot], near: float) -> list[list[int]]:
    """Indices of `spots` in order, grouped: spots within `near` of the first of their group share its label."""
    found: list[list[int]] = []
    for index, (x, y) in enumerate(spots):
        if found and hypot(x - spots[found[-1][0]][0], y - spots[found[-1][0]][1]) < near:
            found[-1].append(index)
        else:
            found.append([index])
    return found


def line(spots: Sequence[Spot], thick: float = 5) -> list[Box]:
    """Small boxes along the line through `spots`."""
    boxes = []
    for (x0, y0), (x1, y1) in pairwise(spots):
        count = max(1, ceil(hypot(x1 - x0, y1 - y0) / thick))
        boxes += [around(x0 + (x1 - x0) * i / count, y0 + (y1 - y0) * i / count, thick / 2) for i in range(count + 1)]
    return boxes


def around(x: float, y: float, radius: float) -> Box:
    """The square around a spot."""
    return x - radius, y - radius, x + radius, y + radius


def _beside(anchor: Spot, size: Spot, side: tuple[int, int], gap: float) -> Box:
    away = gap * (0.75 if all(side) else 1.0)
    left = anchor[0] + side[0] * away - size[0] * (1 - side[0]) / 2
    bottom = anchor[1] + side[1] * away - size[1] * (1 - side[1]) / 2
    return left, bottom, left + size[0], bottom + size[1]


def _cost(box: Box, taken: Iterable[Box], frame: Box) -> float:
    area = (box[2] - box[0]) * (box[3] - box[1])
    left, bottom, right, top = box
    near = (one for one in taken if one[0] < right and one[2] > left and one[1] < top and one[3] > bottom)
    return sum(_overlap(box, one) for one in near) + 10 * (area - _overlap(box, frame))


def _overlap(a: Box, b: Box) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
