"""Draw the pictures of docs/how-it-works into docs/img, with the library and real photos.

    python docs/pictures.py

Drawings are SVG, in which the photo is a JPEG; pictures of the library are JPEG.
"""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import skimage.data
import torch

import heatmap
from heatmap.scoring.bands.plan import BandPlan, BandStep
from heatmap.scoring.bands.scanner import Scanner

Pixels = npt.NDArray[np.uint8]

IMAGES = Path(__file__).parent / "img"
ORANGE, BLUE, GREEN, GREY, DARK = "#e8590c", "#1971c2", "#2f9e44", "#ced4da", "#343a40"


class Drawing:
    """An SVG on white, of a width and height in px."""

    def __init__(self, width: float, height: float, text_px: int = 15) -> None:
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
            f'font-family="sans-serif" font-size="{text_px}" fill="{DARK}">',
            f'<rect width="{width:g}" height="{height:g}" fill="#fff"/>',
        ]

    def photo(self, pixels: Pixels, x: float, y: float, width: float, height: float) -> None:
        jpeg = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
        data = base64.b64encode(jpeg.tobytes()).decode()
        self.parts.append(
            f'<image x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" '
            f'preserveAspectRatio="none" href="data:image/jpeg;base64,{data}"/>'
        )

    def rectangle(self, x: float, y: float, width: float, height: float, **look: object) -> None:
        self._shape("rect", {"x": x, "y": y, "width": width, "height": height}, look)

    def outline(self, xyxy: tuple[float, ...], colour: str, **look: object) -> None:
        left, top, right, bottom = xyxy
        self.rectangle(
            *(left, top, right - left, bottom - top),
            **{"fill": "none", "stroke": colour, "stroke_width": 3, **look},
        )

    def dot(self, x: float, y: float, colour: str, radius: float = 3) -> None:
        look = {"fill": colour, "stroke": "#fff"}
        self._shape("circle", {"cx": x, "cy": y, "r": radius}, look)

    def text(self, x: float, y: float, text: str, **look: object) -> None:
        self._shape("text", {"x": x, "y": y}, look, escape(text))

    def _shape(
        self, kind: str, place: dict[str, float], look: dict[str, object], inside: str = ""
    ) -> None:
        where = [f'{name}="{value:.6g}"' for name, value in place.items()]
        how = [f'{name.replace("_", "-")}="{value}"' for name, value in look.items()]
        self.parts.append(f"<{kind} {' '.join(where + how)}>{inside}</{kind}>")

    def save(self, name: str) -> None:
        (IMAGES / name).write_text("\n".join([*self.parts, "</svg>", ""]), encoding="utf-8")


def draw_grid(cat: Pixels, grid: heatmap.ScoreGrid) -> None:
    """Windows of the cat, and what each says."""
    geometry = grid.geometry
    rows, columns = geometry.grid_hw
    height, width = cat.shape[:2]
    top, bottom, left, right = geometry.margins_tblr
    extended = cv2.copyMakeBorder(cat, top, bottom, left, right, cv2.BORDER_REFLECT_101)
    drawing = Drawing(extended.shape[1], extended.shape[0] + 40, text_px=11)
    pale = (extended * 0.45 + 255 * 0.55).astype(np.uint8)
    pale[top : top + height, left : left + width] = cat
    drawing.photo(pale, 0, 0, extended.shape[1], extended.shape[0])
    drawing.outline((left, top, left + width, top + height), "#fff", stroke_width=2)
    for (row, column), colour in (((0, 0), ORANGE), ((0, 1), BLUE)):
        xyxy = (side + shift for side, shift in zip(
            geometry.window_xyxy(row, column), (left, top, left, top), strict=True
        ))  # fmt: skip
        drawing.outline(tuple(xyxy), colour, stroke_dasharray="8 5" if column else "none")
    for row in range(rows):
        for column in range(columns):
            x, y = geometry.centre_xy(row, column)
            colour = {(0, 0): ORANGE, (0, 1): BLUE}.get((row, column), DARK)
            drawing.dot(x + left, y + top, colour, 5 if colour != DARK else 3)
    line = extended.shape[0] + 16
    drawing.text(4, line, "window (0, 0), 224 px wide", fill=ORANGE, font_weight="bold")
    drawing.text(190, line, "window (0, 1), 32 px to the right", fill=BLUE, font_weight="bold")
    said = (
        f"dots: the centres of {rows} x {columns} windows; pale: the photo, extended by reflection"
    )
    drawing.text(4, line + 17, said)
    drawing.save("grid-windows.svg")
    draw_scores(grid)


def draw_scores(grid: heatmap.ScoreGrid) -> None:
    probabilities = grid.class_map("Egyptian cat")
    side, gap = 52, 2
    rows, columns = probabilities.shape
    drawing = Drawing(columns * side, rows * side)
    for row in range(rows):
        for column in range(columns):
            share = float(probabilities[row, column])
            drawing.rectangle(
                *(column * side + gap / 2, row * side + gap / 2, side - gap, side - gap),
                fill=ORANGE,
                fill_opacity=f"{min(1, share / 0.5):.3f}",
                stroke=GREY,
            )
            drawing.text(
                *(column * side + side / 2, row * side + side / 2 + 5),
                f"{share:.2f}",
                text_anchor="middle",
            )
    drawing.save("grid-scores.svg")


def draw_bands(scorer: heatmap.Scorer) -> None:
    """Which rows of some layers are where, in the middle of a tall photo."""
    band_px, height_px = 128, 1536
    scanner = Scanner(scorer.network, (height_px, 512))
    feature = scanner.links[-1].node
    shape = scanner.shapes[feature]
    plan = BandPlan.of(scanner.links, scanner.shapes, (0, shape[-2]), (0, shape[-1]))
    starts = plan.starts(band_px)
    now = len(starts) // 2
    steps = list(plan.steps(starts))
    before, step = steps[now - 1 : now + 1]
    scale, gap, left, top, wide = 0.28, 10, 80, 64, 96
    shown = layers(plan, step, before)
    drawing = Drawing(left + (wide + gap) * len(shown), top + height_px * scale + 84)
    for number, (node, name) in enumerate(shown):
        x, rows = left + number * (wide + gap), plan.row_lengths[node]
        px = height_px * scale / rows
        first, end = step.rows[node]
        kept = before.kept_from[node]
        spans = [(0, kept, GREY), (kept, first, GREEN), (first, end, ORANGE)]
        drawing.rectangle(x, top, wide, height_px * scale, fill="#fff", stroke=GREY)
        for start, stop, colour in spans:
            drawing.rectangle(x, top + start * px, wide, max(0, stop - start) * px, fill=colour)
        lines = name.split("\n")
        for place, line in enumerate(lines):
            drawing.text(
                *(x + wide / 2, top - 10 - 18 * (len(lines) - 1 - place)),
                line,
                text_anchor="middle",
            )
        if number:
            continue
        for band, start in enumerate(starts[:-1]):
            y = top + (start + band_px / 2) * scale + 5
            drawing.text(left - 8, y, f"band {band + 1}", text_anchor="end")
    line = top + height_px * scale + 30
    for place, (colour, text) in enumerate(
        [
            (ORANGE, f"computed in band {now + 1}, just now"),
            (GREEN, "kept from earlier bands, since later rows need it"),
            (GREY, "computed once, used, and no longer in memory"),
        ]
    ):
        drawing.rectangle(left, line - 13 + place * 22, 16, 16, fill=colour)
        drawing.text(left + 24, line + place * 22, text)
    drawing.save("bands.svg")


def layers(plan: BandPlan, step: BandStep, before: BandStep) -> list[tuple[torch.fx.Node, str]]:
    """The photo and, of each stride, the tensor of which most rows are kept, with captions."""
    photo_rows, chosen = plan.row_lengths[plan.photo], {}
    for link in plan.links:
        rows = plan.row_lengths[link.node]
        kept = step.rows[link.node][0] - before.kept_from[link.node]
        # Padded tensors are a few rows longer than their stride says.
        if photo_rows % rows == 0 and kept >= chosen.get(photo_rows // rows, (0, None))[0]:
            chosen[photo_rows // rows] = kept, link.node
    return [
        (node, "photo" if node is plan.photo else f"layer at\nstride {stride}")
        for stride, (_, node) in chosen.items()
    ]


def draw_sharp_maps(photo: Pixels, scorer: heatmap.Scorer, name: str) -> None:
    """One class by its windows, by its sharp map, and the box that follows."""
    positions = scorer.score_positions(photo, heatmap.Placement(scale=1))
    windows = positions.windows
    groups = windows.classes.find_all([name])
    maps = heatmap.sharp_maps([positions], groups)
    (best,) = heatmap.localize(windows, [name], conf=0.01, max_det=1)
    (tight,) = heatmap.tighten([best], maps, groups)
    for file, grid, box in (
        ("sharp-windows.jpg", windows, best.xyxy),
        ("sharp-map.jpg", maps, tight.xyxy),
    ):
        picture = heatmap.overlay(photo, grid, name, boxes_xyxy=[box])
        heatmap.write_image(IMAGES / file, picture, overwrite=True)


def draw_scales(photo: Pixels, scorer: heatmap.Scorer) -> None:
    """The most confident window of each scale, on the photo and as the network sees it."""
    height, width = photo.shape[:2]
    gap, side = 14, 150
    drawing = Drawing(width + gap + side + 180, max(height, 3 * (side + gap)))
    drawing.photo(photo, 0, 0, width, height)
    for place, (scale, colour) in enumerate([(0.5, BLUE), (1, GREEN), (2, ORANGE)]):
        grid = scorer.score(photo, heatmap.Placement(scale=scale))
        best = heatmap.localize(grid, ["espresso"], conf=0, max_det=1)[0]
        drawing.outline(best.xyxy, colour)
        left, top, right, bottom = (round(edge) for edge in best.xyxy)
        margin = max(0, -left, -top, right - width, bottom - height)
        wide = cv2.copyMakeBorder(photo, *[margin] * 4, cv2.BORDER_REFLECT_101)
        seen = wide[top + margin : bottom + margin, left + margin : right + margin]
        seen = cv2.resize(seen, (224, 224), interpolation=cv2.INTER_AREA)
        x, y = width + gap, place * (side + gap)
        drawing.photo(seen, x, y, side, side)
        drawing.outline((x, y, x + side, y + side), colour)
        for line, text in enumerate(
            (f"scale {scale:g}", f"sees {224 / scale:g} px", f"espresso {best.confidence:.0%}")
        ):
            weight = "normal" if line else "bold"
            drawing.text(x + side + 12, y + 50 + 24 * line, text, fill=colour, font_weight=weight)
    drawing.save("scales.svg")


def draw_difference(cat: Pixels, scorer: heatmap.Scorer) -> None:
    """Sliding beside cropping, as `heatmap verify` draws it."""
    report = heatmap.verify(cat, scorer, windows=1000)
    picture = heatmap.draw_report(cat, report, "Egyptian cat")
    heatmap.write_image(IMAGES / "verify.jpg", picture, overwrite=True)


def main() -> None:
    cat, coffee = skimage.data.chelsea(), skimage.data.coffee()
    scorer = heatmap.prepare(engine="slide", backend="torch")
    grid = scorer.score(cat, heatmap.Placement(scale=1))
    draw_grid(cat, grid)
    overlay = heatmap.overlay(cat, grid, "Egyptian cat")
    heatmap.write_image(IMAGES / "grid-heatmap.jpg", overlay, overwrite=True)
    draw_bands(scorer)
    draw_sharp_maps(coffee, scorer, "espresso")
    draw_scales(coffee, scorer)
    draw_difference(cat, scorer)


if __name__ == "__main__":
    main()
