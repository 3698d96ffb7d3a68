"""Paint a defect: draw on a normal image, and see what trained methods make of it, stroke by stroke."""

import zlib
from dataclasses import replace
from time import perf_counter

import numpy as np
import torch
import torch.nn.functional as F
import traitlets
from scipy import ndimage
from torch import Tensor

from adlib import metrics
from adlib.data.category import load_category
from adlib.data.images import as_images
from adlib.data.tiles import Tiles
from adlib.demo.textures import read_photograph
from adlib.explorer.page import Playground, palette, read_script
from adlib.explorer.quantize import normal_scale
from adlib.explorer.sources import runs_of_source
from adlib.networks.layers import to_float
from adlib.runs.parameters import resolve
from adlib.runs.record import LoadedRun
from adlib.settings import MAP_SIZE
from adlib.training import predict

CONTRASTS = (0.05, 0.1, 0.15, 0.25, 0.4, 0.6, 0.8, 1.0)
SIDE = 64       # px of the maps that the browser gets: it shows them, and computes nothing on them


class PaintADefect(Playground):
    """Show a normal image to paint on, with the maps of up to four runs, their scores and thresholds.

    With a kernel the runs judge what is painted after each stroke; STFPM at 128 px takes 25 ms of one core. Without
    one, ten defects at eight contrasts have been judged beforehand.

    Parameters
    ----------
    source : run folder or LoadedRun, or a list or dict of them
        Runs on one category, at one image size.
    index : int, optional
        Which test image to paint on; by default the normal one that all runs are surest of.

    Attributes
    ----------
    defect, contrast : int
        Which of the ready-made defects, and which of its contrasts.

    Raises
    ------
    ValueError
        No runs, more than four, or runs on other images or of other sizes.
    """

    STATE = ("defect", "contrast")
    title = "Paint a defect"
    _esm = read_script("paint.js")
    defect = traitlets.Int(0, min=0, max=9).tag(sync=True)
    contrast = traitlets.Int(len(CONTRASTS) - 1, min=0, max=len(CONTRASTS) - 1).tag(sync=True)

    def __init__(self, source, index: int | None = None):
        self.runs = runs_of_source(source)
        if not 1 <= len(self.runs) <= 4:
            raise ValueError(f"give one to four runs' folders, not {len(self.runs)}: make one with python -m adlib run")
        first, *others = self.runs.values()
        given, size = first.entry["parameters"], first.entry["image_size"]
        for run in others:
            same = (run.entry["image_size"], run.frame) == (size, first.frame)
            if not same or run.paths.tolist() != first.paths.tolist():
                raise ValueError(f"{run.folder} saw other images than {first.folder}, or other tiles, or at "
                                 f"{run.entry['image_size']} px instead of {size}")
        meant = resolve(given)
        data = load_category(given["data_root"], given["category"], image_size=size, tiles=meant.get("tiles", 1),
                             aspect=meant.get("aspect", "stretch"))
        index = calmest(list(self.runs.values())) if index is None else index
        self.image, self.name = data.test[index], "/".join(data.paths[index].parts[-2:])
        self.seen = data.seen("test").pick([index])
        self.texture = as_images([read_photograph("coffee.png")], size)[0]
        self.thresholds = [run.entry["thresholds"]["image"] for run in self.runs.values()]
        self.scales = [normal_scale(run.maps, run.labels) for run in self.runs.values()]
        self.place = f"{given['category']}, {self.name}"
        super().__init__()
        self.on_msg(self._answer)

    def judge(self, images: Tensor, masks: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What the runs make of painted images.

        Parameters
        ----------
        images : (N, 3, S, S) uint8 tensor
        masks : (N, S, S) bool tensor
            Where they were painted on.

        Returns
        -------
        (N, R) scores, (N, R) pixel AP, NaN without a painted pixel, and (N, R, 64, 64) uint8 maps
            Of the R runs; maps on each run's colour scale, as in the heatmaps.
        """
        truth = F.interpolate(masks[:, None].float(), size=MAP_SIZE, mode="nearest")[:, 0].bool().numpy()
        scores, ap, shown = [], [], []
        for run, scale in zip(self.runs.values(), self.scales, strict=True):
            maps = predict(run.model, self.paint_tiles(images))
            scores.append(run.model.image_scores(maps, image_level=run.image_level).numpy())
            ap.append([metrics.average_precision(m, t) for m, t in zip(maps, truth, strict=True)])
            shown.append(shrink_heat(maps, **scale))
        return np.stack(scores, axis=1), np.array(ap).T, np.stack(shown, axis=1)

    def paint_tiles(self, images: Tensor) -> Tensor | Tiles:
        """What a network sees of painted images: where it sees tiles, the paint goes onto the image as they are cut."""
        if not self.seen.size:
            return images
        height, width = self.seen.images.shape[2:] if self.seen.boxes is None else self.seen.boxes[0].tolist()
        y, x = ((a - b) // 2 for a, b in zip(self.seen.images.shape[2:], (height, width), strict=True))
        paint = F.interpolate(images.float() - self.image.float(), size=(height, width), mode="bilinear")
        framed = self.seen.pick([0] * len(images))
        painted = framed.images.float()
        painted[:, :, y:y + height, x:x + width] += paint
        return replace(framed, images=painted.round().clamp(0, 255).byte())

    def levels(self, image: Tensor) -> np.ndarray:
        """(L, 64, 64) uint8: what each level of the first run says, on the scale of the image before it was painted."""
        network = next(iter(self.runs.values())).model
        with torch.inference_mode():
            both = to_float(torch.stack([image, self.image]).to(network.teacher.mean.device))
            found = network.features(both)
            levels = network.level_maps(*found) if isinstance(found, tuple) else network.level_maps(found)
        return np.concatenate([shrink_heat(level[:1], **normal_scale(level[1:].cpu(), [False])) for level in levels])

    def _answer(self, _, content: dict, buffers: list) -> None:
        """Judge what the browser painted, and send it back: image bytes (S, S, 3), then the mask's (S, S)."""
        began, size = perf_counter(), self.image.shape[-1]
        raw = torch.frombuffer(bytearray(buffers[0]), dtype=torch.uint8)
        image, mask = raw[:3 * size**2].reshape(size, size, 3).permute(2, 0, 1), raw[3 * size**2:].reshape(size, size)
        scores, ap, maps = self.judge(image[None], mask[None] > 0)
        levels = self.levels(image) if content["levels"] else np.zeros((0, SIDE, SIDE), np.uint8)
        answer = {"stroke": content["stroke"], "scores": scores[0].tolist(), "ap": as_numbers(ap[0])}
        self.send(answer | {"seconds": perf_counter() - began}, [maps[0].tobytes() + levels.tobytes()])

    def _contents(self, *, static: bool = False) -> tuple[dict, dict]:
        image = self.image.permute(1, 2, 0).numpy()
        made = ready_made(image, self.texture.permute(1, 2, 0).numpy())
        header = {"size": image.shape[0], "side": SIDE, "runs": list(self.runs), "thresholds": self.thresholds,
                  "name": self.name, "place": self.place, "contrasts": CONTRASTS, "defects": list(made)}
        arrays = {"palette": palette(), "pictures": [zlib.compress(np.ascontiguousarray(x).tobytes()) for x in
                                                     (image, self.texture.permute(1, 2, 0).numpy(), *made.values())]}
        clean = self.judge(self.image[None], torch.zeros(1, *self.image.shape[1:], dtype=torch.bool))
        header["clean"] = {"scores": clean[0][0].tolist(), "ap": as_numbers(clean[1][0])}
        arrays["clean"] = clean[2]
        if static:
            painted = np.stack([apply(image, delta, c) for delta in made.values() for c in CONTRASTS])
            images, masks = torch.from_numpy(painted).permute(0, 3, 1, 2), torch.from_numpy(differs(painted, image))
            scores, ap, maps = self.judge(images, masks)
            header |= {"scores": scores.tolist(), "ap": [as_numbers(row) for row in ap]}
            arrays["maps"] = [zlib.compress(m.tobytes()) for m in maps]
        return header, arrays


def calmest(runs: list[LoadedRun]) -> int:
    """The normal test image whose highest score, as a share of the run's threshold, is lowest."""
    normal = np.flatnonzero(~runs[0].labels) if not runs[0].labels.all() else np.arange(len(runs[0].labels))
    return int(normal[np.argmin(np.max([r.scores[normal] / r.entry["thresholds"]["image"] for r in runs], axis=0))])


def shrink_heat(maps: Tensor, *, vmin: float, vmax: float) -> np.ndarray:
    """(N, 64, 64) uint8 of (N, H, W) maps: 0 and 255 at the ends of a colour scale."""
    heat = ((maps.float().cpu() - vmin) / max(vmax - vmin, 1e-12)).clamp(0, 1)
    return (255 * F.interpolate(heat[:, None], size=SIDE, mode="area")[:, 0]).round().to(torch.uint8).numpy()


def as_numbers(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(v) else float(v) for v in values]


def apply(image: np.ndarray, delta: np.ndarray, contrast: float) -> np.ndarray:
    """An image with a share of a ready-made defect, (S, S, 3) uint8; halves go up, as in the browser."""
    return np.floor(image + contrast * delta + 0.5).clip(0, 255).astype(np.uint8)


def differs(painted: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Where a painted image is changed by more than one step of 255."""
    return (abs(painted.astype(int) - image) > 1).any(axis=-1)


def ready_made(image: np.ndarray, texture: np.ndarray) -> dict[str, np.ndarray]:
    """Ten defects by name, as (S, S, 3) int16: what each adds to the image at full contrast."""
    size = len(image)
    y, x = (np.mgrid[:size, :size] + 0.5) / size

    def disc(v, u, radius, soft=0.02):
        return np.clip((radius - np.hypot(y - v, x - u)) / soft + 0.5, 0, 1)

    def line(bend, width):
        along = np.clip((x - 0.3) / 0.4, 0, 1)
        away = np.hypot(y - 0.35 - 0.3 * along - bend * np.sin(np.pi * along), x - 0.3 - 0.4 * along)
        return np.clip((width - away) * size / 1.5 + 0.5, 0, 1)

    near, middle = image.astype(float), np.maximum(abs(y - 0.5), abs(x - 0.5))
    shapes = {      # where, and what is there at full contrast
        "dark scratch": (line(0, 0.008), 0), "bright scratch": (line(0, 0.008), 255), "hair": (line(0.15, 0.006), 20),
        "pinhole": (disc(0.5, 0.5, 0.02), 0), "hole": (disc(0.5, 0.5, 0.08), 0),
        "bright spot": (disc(0.4, 0.6, 0.05), 255), "stain": (disc(0.5, 0.5, 0.16, 0.2), 0.5 * near),
        "smear": (disc(0.5, 0.5, 0.14), ndimage.gaussian_filter(near, (4, 4, 0))),
        "turned patch": (middle < 0.13, near[::-1, ::-1]), "foreign patch": (disc(0.5, 0.5, 0.13), texture),
    }
    return {name: np.round(np.asarray(alpha, float)[..., None] * (target - near)).astype(np.int16)
            for name, (alpha, target) in shapes.items()}
