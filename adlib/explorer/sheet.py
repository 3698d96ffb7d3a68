"""One page that shows how photographs scored: no script, nothing from outside, light or dark as the system is."""

import base64
import html
import io
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageOps

from adlib.lessons.plots import CMAP, Array, normal_scale
from adlib.settings import write

SIDE = 220      # px, longer side of a thumbnail
PAGE_STYLE = """
:root { color-scheme: light dark; --line: #8888; --flag: light-dark(#b00020, #ff8a80) }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); gap: 1rem }
figure { margin: 0; padding: .6rem; border: 1px solid var(--line); border-radius: .4rem }
figure.flagged { border: 3px solid var(--flag) } .flagged strong { color: var(--flag) }
figure img { width: 49%; vertical-align: top } figcaption { overflow-wrap: anywhere }
.scale { height: 1rem; max-width: 30rem; border: 1px solid var(--line) }
.ends { display: flex; justify-content: space-between; max-width: 30rem }
"""


def write_sheet(path: Path, title: str, explanation: str, *, paths: list[Path], maps: Array, scores: Array,
                threshold: float, validation_maps: Array) -> Path:
    """Write photographs and their heatmaps, the highest score first; those from the threshold on are marked.

    Parameters
    ----------
    path : Path
        Of the HTML file.
    title, explanation : str
        The explanation says how the threshold was chosen.
    paths : list of N paths
    maps, scores : (N, 256, 256), (N,) float arrays
    threshold : float
    validation_maps : (V, 256, 256) float array
        Of normal images; they set the colour scale of all heatmaps.
    """
    maps, scores = np.asarray(maps), np.asarray(scores)
    scale = normal_scale(validation_maps, np.zeros(len(validation_maps), bool))
    figures = [photograph_figure(paths[i], maps[i], scores[i], scores[i] >= threshold, scale) for i in np.argsort(-scores)]
    stops = ", ".join(mpl.colors.to_hex(mpl.colormaps[CMAP](x)) for x in np.linspace(0, 1, 9))
    page = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{html.escape(title)}</title><style>{PAGE_STYLE}.scale {{ background: linear-gradient(to right, {stops}) }}</style>
<h1>{html.escape(title)}</h1>
<p>{int((scores >= threshold).sum())} of {len(scores)} are flagged. {html.escape(explanation)}</p>
<div class="scale" role="img" aria-label="Colour scale of the heatmaps, from dark to bright"></div>
<div class="ends"><span>{scale['vmin']:.3g}</span><span>{scale['vmax']:.3g} and more</span></div>
<p>Left the photograph, right its heatmap, all on this one scale: 99.9 % of the area of the held-back good photographs
is darker than the middle of it.</p>
<main>{''.join(figures)}</main></html>
"""
    return write(path, lambda file: file.write(page.encode()))


def photograph_figure(path: Path, heat: np.ndarray, score: float, flagged: bool, scale: dict[str, float]) -> str:
    """A photograph, its heatmap at the same aspect, and the verdict."""
    with Image.open(path) as file:
        photo = ImageOps.exif_transpose(file).convert("RGB")
    photo.thumbnail((SIDE, SIDE))
    colours = mpl.colormaps[CMAP](mpl.colors.Normalize(**scale)(heat), bytes=True)[..., :3]     # (256, 256, 3)
    name, verdict = html.escape(path.name), "&#9650; flagged" if flagged else "passed"
    where = "above" if flagged else "below"
    return (f'<figure{" class=flagged" if flagged else ""}><img src="{encode_jpeg(photo)}" alt="photograph {name}"> '
            f'<img src="{encode_jpeg(Image.fromarray(colours).resize(photo.size))}" '
            f'alt="heatmap of {name}: score {score:.4g}, {where} the threshold">'
            f"<figcaption><strong>{verdict}</strong>, score {score:.4g}<br>{name}</figcaption></figure>")


def encode_jpeg(image: Image.Image) -> str:
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.getvalue()).decode()
