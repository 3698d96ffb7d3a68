"""One's own photographs: a folder of good ones becomes a category, a run on it a page of heatmaps."""

import base64
import html
import io
import shlex
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from numpy.typing import ArrayLike
from PIL import Image

from adlib import find_input
from adlib.data.category import Category, cut_category, split_validation
from adlib.data.images import Range, as_images, find_range, read_picture
from adlib.data.listing import SUFFIXES, images_in, some, visible
from adlib.explorer.quantize import CMAP, normal_scale
from adlib.metrics import alarms_allowed
from adlib.networks.teacher import Teacher
from adlib.recipes import known
from adlib.runs import record
from adlib.runs.detector import METHODS, make_detector
from adlib.runs.folder import explained
from adlib.runs.parameters import LESSON_OF, complete_parameters, lesson_parameters, resolve
from adlib.runs.promise import describe_promise
from adlib.settings import printable, write
from adlib.training import damp_borders, predict

FEWEST_PHOTOGRAPHS = 8
THUMBNAIL = 220     # px, its longer side
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


def train(good: str | Path, new: str | Path | None = None, *, out_dir: str | Path = "runs",
          method: str = "stfpm", image_size: str | int = "auto", tiles: str | int = 1, aspect: str = "auto",
          budget: str = "demo", steps: str | int = "auto") -> Path:
    """Train a method on a folder of good photographs and write a run with `sheet.html`; the path of the run's folder.

    Without a folder of new ones, the good ones that were held back are shown. `tiles` and `aspect` may be "auto": the
    photographs' size decides, and nothing else. `steps` are those of each stage, by default the budget's.

    Raises
    ------
    FileNotFoundError, ValueError
        Photographs that are missing, too few or unreadable, see `folder_category`; an unknown method.
    """
    lesson = LESSON_OF[known(method, METHODS)]
    good, new = find_input(good).resolve(), find_input(new).resolve() if new else None
    own = {"data_root": str(good.parent), "category": good.name, "budget": budget, "image_size": image_size,
           "out_dir": str(out_dir)}
    own |= {name: steps for name in lesson_parameters(lesson) if name.endswith("steps")}
    meant = resolve(complete_parameters(lesson, own | {"tiles": tiles, "aspect": aspect}))
    data = folder_category(good, new, image_size=meant["image_size"], tiles=tiles, aspect=aspect)
    if data.frame:
        own |= {"tiles": max(data.seen("test").grid), "aspect": "keep" if data.frame.keep else "stretch"}
    elif tiles == "auto":
        print(f"{good.name}: whole photographs, as they are not large", flush=True)
    parameters = complete_parameters(lesson, own) | {"good": str(good), "new": str(new or "")}
    run = record.start(method, parameters)
    with run.timed("train"):
        model, history = make_detector(method, Teacher(), data, budget=budget,
                                       steps=None if steps == "auto" else int(steps))
    with run.timed("predict"):
        damp_borders(model, data.seen("validation"))
        maps, validation_maps = (predict(model, data.seen(part)) for part in ("test", "validation"))
    record.finish(run, model, data, maps=maps, scores=model.image_scores(maps), validation_maps=validation_maps,
                  report={}, history=history)
    return run.folder


def folder_category(good: str | Path, new: str | Path | None = None, *, image_size: int = 128, tiles: int | str = 1,
                    aspect: str = "stretch") -> Category:
    """A category from one folder of good photographs, of any sizes, and one of new ones.

    The same share as ever is held back for validation. Without `new`, the held-back ones stand in as test images.
    Nothing is known of the new ones: all labels are False, and there are no masks.

    Raises
    ------
    FileNotFoundError
        No such folder, or no photographs in it; says what is there instead.
    ValueError
        Fewer than 8 good ones, or a file that cannot be read.
    """
    good, paths = find_input(good), photographs(good)
    if len(paths) < FEWEST_PHOTOGRAPHS:
        raise ValueError(f"{good.resolve()} holds {len(paths)} photographs, at least {FEWEST_PHOTOGRAPHS} are needed: "
                         f"a fifth of them, at least two, is held back to set the threshold, and from fewer than six "
                         f"others there is too little to learn what is normal; take more of good parts")
    kept, held = split_validation(len(paths))
    test = photographs(new) if new else [paths[i] for i in held]
    value_range = find_range(paths)
    images = as_images(paths, image_size, value_range)
    category = Category(
        name=good.resolve().name,
        train=images[kept],
        validation=images[held],
        test=as_images(test, image_size, value_range),
        masks=None,
        labels=torch.zeros(len(test), dtype=torch.bool),
        defects=["new" if new else "good"] * len(test),
        paths=test,
        value_range=value_range,
    )
    parts = {"train": [paths[i] for i in kept], "validation": [paths[i] for i in held], "test": test}
    cut_category(category, parts, {}, tiles=tiles, aspect=aspect)
    return category


def photographs(folder: str | Path) -> list[Path]:
    """The images in a folder; prints which other files are left out."""
    folder = find_input(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder.resolve()} is not a folder; give one that holds photographs")
    found, kinds = images_in(folder), ", ".join(sorted(SUFFIXES))
    others = [path.name for path in visible(folder) if path.is_file() and path not in found]
    left_out = f"{len(others)} files of other kinds ({some(others)})"
    if not found:
        inner = [path.name for path in visible(folder) if images_in(path)]
        fix = (f"its sub-folders {', '.join(inner)} do: give one of them" if inner else
               f"it has {left_out}: export photographs (.heic, raw) as JPEG" if others else "it is empty")
        raise FileNotFoundError(f"{folder.resolve()} holds no photographs that can be read ({kinds}); {fix}")
    if others:
        print(f"{folder}: left out {left_out}; these are read: {kinds}")
    return found


def show_results(folder: Path, *, most: int = 10) -> None:
    """Write the sheet of a run on photographs into its folder; print the highest scores and what to do next."""
    found = record.load_run(folder)
    threshold, new = found.entry["thresholds"]["image"], found.entry["parameters"]["new"]
    words = explain_threshold(threshold, len(found.validation_scores), bool(new))
    paths = [find_input(path) for path in found.paths]
    with explained(folder):
        sheet = write_sheet(folder / "sheet.html", f"Photographs in {new or found.entry['parameters']['good']}", words,
                            paths=paths, maps=found.maps, scores=found.scores, threshold=threshold,
                            validation_maps=found.validation_maps, value_range=found.entry.get("value_range"))
    print(f"\n{'score':>10}           photograph")
    for i in (-found.scores).argsort(kind="stable")[:most]:
        verdict = "flagged" if found.scores[i] >= threshold else "passed "
        print(f"{found.scores[i]:>10.4g}  {verdict}  {printable(paths[i].name)}")
    print(f"\n{words}\n\nsheet: {sheet}\nrun:   {folder}\nTo score others with it, files or folders:\n"
          f"    python -m adlib score {shlex.quote(str(folder))} photographs\n"
          f"or in Python:\n"
          f"    from adlib.runs import load_run\n"
          f"    print(load_run({str(folder)!r}).score(['photograph.jpg']).scores)", flush=True)


def explain_threshold(threshold: float, n: int, new: bool) -> str:
    """How the threshold was chosen, and how far it can be trusted."""
    words = (f"The threshold, {threshold:.4g}, was set by {n} good photographs that were held back: nothing was learnt "
             f"from them. (Where a network trains, they helped to choose its start or its end, and they showed how far "
             "the borders of heatmaps shine.) On average, and as long as new photographs are taken like these, it "
             f"flags {describe_promise(n)}.")
    if not new:
        flagged = f"at most {k} of them" if (k := alarms_allowed(n) - 1) else "none"
        words += (f" The photographs shown are the held-back ones themselves, so {flagged} can be flagged: the sheet "
                  f"shows what normal scores look like.")
    return words


# The page ------------------------------------------------------------------------------------------------------------


def write_sheet(path: Path, title: str, explanation: str, *, paths: list[Path], maps: ArrayLike, scores: ArrayLike,
                threshold: float, validation_maps: ArrayLike, value_range: Range | None = None) -> Path:
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
    value_range : (float, float), optional
        What is black and white in photographs of more than 8 bits.
    """
    maps, scores = np.asarray(maps), np.asarray(scores)
    scale = normal_scale(validation_maps, np.zeros(len(validation_maps), bool))
    figures = [photograph_figure(read_picture(paths[i], value_range), paths[i].name, maps[i], scores[i],
                                 scores[i] >= threshold, scale) for i in np.argsort(-scores)]
    stops = ", ".join(mpl.colors.to_hex(mpl.colormaps[CMAP](x)) for x in np.linspace(0, 1, 9))
    style = f"{PAGE_STYLE}.scale {{ background: linear-gradient(to right, {stops}) }}"
    page = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{html.escape(title)}</title><style>{style}</style>
<h1>{html.escape(title)}</h1>
<p>{int((scores >= threshold).sum())} of {len(scores)} are flagged. {html.escape(explanation)}</p>
<div class="scale" role="img" aria-label="Colour scale of the heatmaps, from dark to bright"></div>
<div class="ends"><span>{scale['vmin']:.3g}</span><span>{scale['vmax']:.3g} and more</span></div>
<p>Left the photograph, right its heatmap, all on this one scale: 99.9 % of the area of the held-back good photographs
is darker than the middle of it.</p>
<main>{''.join(figures)}</main></html>
"""
    return write(path, lambda file: file.write(page.encode(errors="backslashreplace")))


def photograph_figure(photo: Image.Image, name: str, heat: np.ndarray, score: float, flagged: bool,
                      scale: dict[str, float]) -> str:
    """A photograph, its heatmap at the same aspect, and the verdict."""
    photo.thumbnail((THUMBNAIL, THUMBNAIL))
    name, verdict = html.escape(printable(name)), "&#9650; flagged" if flagged else "passed"
    where = "above" if flagged else "below"
    return (f'<figure{" class=flagged" if flagged else ""}><img src="{jpeg_url(photo)}" alt="photograph {name}"> '
            f'<img src="{jpeg_url(paint_heat(heat, scale, photo.size))}" '
            f'alt="heatmap of {name}: score {score:.4g}, {where} the threshold">'
            f"<figcaption><strong>{verdict}</strong>, score {score:.4g}<br>{name}</figcaption></figure>")


def paint_heat(heat: np.ndarray, scale: dict[str, float], size: tuple[int, int]) -> Image.Image:
    """A (256, 256) map in colour, at the (width, height) of its photograph."""
    colours = mpl.colormaps[CMAP](mpl.colors.Normalize(**scale)(heat), bytes=True)[..., :3]     # (256, 256, 3)
    return Image.fromarray(colours).resize(size)


def jpeg_url(image: Image.Image) -> str:
    """An image as a data URL, so that the page needs no other file."""
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.getvalue()).decode()
