"""The demo set's three drawn objects, and what defects do to their parts.

A scene is plain data, so that a defect changes a part and everything else, down to the grain of the metal, is drawn
again exactly as it was.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter

from adlib.demo.render import (
    BOARD,
    Canvas,
    Part,
    grain,
    hexagon,
    inside,
    letters,
    rounded_box,
    shade,
    through_camera,
    window,
)

LACQUER, TIN = (0.045, 0.27, 0.14), (0.62, 0.62, 0.61)


@dataclass(frozen=True)
class Scene:
    """Everything that a drawing depends on; `pose` is shift x, shift y and turn (degrees) of the board."""

    draw: str
    parts: tuple[Part, ...]
    pose: tuple[float, float, float]
    light: float  # azimuth in the image, radians
    grain: int  # seed of the surface's texture
    tint: tuple[float, ...]
    outline: tuple[float, ...] = ()

    def with_part(self, i: int, **changes) -> "Scene":
        return replace(self, parts=(*self.parts[:i], replace(self.parts[i], **changes), *self.parts[i + 1 :]))


def render(scene: Scene) -> np.ndarray:
    """The scene as the camera sees it: (256, 256, 3) float32 in about [0, 1], without sensor noise."""
    canvas = DRAWINGS[scene.draw](scene)
    return np.clip(through_camera(shade(canvas, scene.light - np.deg2rad(scene.pose[2])), scene.pose), 0, 1)


def footprint(scene: Scene, *which: int) -> np.ndarray:
    """How much of each image pixel the parts cover, (256, 256) float32; for "nut", its upper face."""
    return through_camera(_cover([scene.parts[i] for i in which])[..., None], scene.pose)[..., 0]


def bare_foil(scene: Scene) -> np.ndarray:
    """How much of each image pixel a blister pack's foil covers, pockets left out."""
    cover = _cover([CARD]) - _cover([Part("tablet", x, y, 106, 106) for x, y in POCKETS])
    return through_camera(cover[..., None], scene.pose)[..., 0]


def _cover(parts) -> np.ndarray:
    cover = np.zeros((BOARD, BOARD), np.float32)
    for part in parts:
        if part.present:
            where, u, v = window(part)
            cover[where] = np.maximum(cover[where], inside(FOOTPRINTS[part.kind](u, v, part)))
    return cover


def nut_face(u, v, part):
    r = np.hypot(u, v)
    return np.max([hexagon(u, v, part.w / 2), r - 0.56 * part.w, 0.30 * part.w - r], axis=0)


FOOTPRINTS = {
    "nut": nut_face,
    "card": lambda u, v, p: rounded_box(u, v, p.w, p.h, 30),
    "tablet": lambda u, v, p: np.hypot(u, v) - p.w / 2,
    "can": lambda u, v, p: np.hypot(u, v) - p.w / 2,
    "ic": lambda u, v, p: rounded_box(u, v, p.w, p.h + 26),
    "resistor": lambda u, v, p: rounded_box(u, v, p.w, p.h, 2),
    "capacitor": lambda u, v, p: rounded_box(u, v, p.w, p.h, 3),
    "crystal": lambda u, v, p: rounded_box(u, v, p.w, p.h, p.h / 2),
}


def bitten(part: Part, u, v, scene: Scene):
    """Signed distance to the piece that broke off; the outline of the break comes with the scene."""
    reach = part.w / 2 / np.cos(np.pi / 6) if part.kind == "nut" else part.w / 2  # a nut breaks at a corner
    u, v = u - reach * np.cos(np.deg2rad(part.bite_at)), v - reach * np.sin(np.deg2rad(part.bite_at))
    r, phi = np.hypot(u, v), np.arctan2(v, u)
    ragged = sum(a * np.cos((k + 2) * phi + 7 * a) for k, a in enumerate(scene.outline))
    return r - part.bite * (1 + ragged)


# Hex nut


def sample_nut(rng: np.random.Generator) -> Scene:
    steel = np.array([(0.50, 0.51, 0.53), (0.51, 0.505, 0.49), (0.48, 0.50, 0.53)][rng.integers(3)])
    nut = Part("nut", BOARD / 2 + rng.uniform(-14, 14), BOARD / 2 + rng.uniform(-14, 14), rng.uniform(322, 336), 0,
               angle=rng.uniform(-9, 9), colour=tuple(steel * rng.uniform(0.95, 1.05)), label="8")
    mat = np.array([0.17, 0.19, 0.22]) * rng.uniform(0.93, 1.07)
    return Scene("nut", (nut,), (0, 0, rng.uniform(-4, 4)), np.deg2rad(-125 + rng.uniform(-7, 7)),
                 int(rng.integers(2**31)), tuple(mat), tuple(rng.uniform(-0.08, 0.08, 5)))


def draw_nut(scene: Scene) -> Canvas:
    rng, part = np.random.default_rng(scene.grain), scene.parts[0]
    fine, coarse = grain(rng, 0.9), grain(rng, 14)
    mat = np.asarray(scene.tint, np.float32) * (1 + 0.09 * fine + 0.05 * coarse)[..., None]
    canvas = Canvas(0.35 * fine, mat.astype(np.float32), np.full((BOARD, BOARD), 0.05, np.float32))
    where, u, v = window(part)
    r = np.hypot(u, v)
    flat = part.w / 2
    bore = 0.285 * part.w
    edge = hexagon(u, v, flat)
    # The turned chamfer leaves a round face; below it each corner falls away.
    top = 42 - np.maximum(r - 0.955 * flat, 0) * 0.55 - np.maximum(edge + 5, 0) * 1.2
    top -= np.maximum(0.325 * part.w - r, 0) * 0.9
    rings = np.interp(r, np.arange(len(fine)), gaussian_filter(rng.standard_normal(len(fine)), 1.2)).astype(np.float32)
    top += 0.20 * rings + 0.07 * fine[where] + 0.35 * coarse[where]
    top -= 2.2 * letters(part.label, 34, u, v - 0.435 * part.w)
    broken = bitten(part, u, v, scene) if part.bite else np.full_like(u, 99)
    rubble = 22 + 3.0 * grain(rng, 5)[where] + 0.5 * fine[where]
    top = np.where(broken < 0, np.minimum(top, rubble - 0.25 * broken), top)
    body = inside(edge) * inside(bore - r)
    metal = np.asarray(part.colour, np.float32) * (1 + 0.05 * coarse[where] + 0.06 * rings)[..., None]
    metal *= np.where(broken < 0, 0.72, 1.0)[..., None]
    canvas.paint(where, body, metal, gloss=np.where(broken < 0, 0.12, 0.75), height=top)
    thread(canvas, where, u, v, r, bore)
    return canvas


def thread(canvas, where, u, v, r, bore):
    """The bore's wall: turns of thread seen at a slant, a helix that darkens with depth, and the mat below."""
    depth = (bore - r) / (0.17 * bore)  # 0 at the rim, 1 at the innermost crest
    phase = 2 * np.pi * (3.2 * depth + np.arctan2(v, u) / (2 * np.pi))
    wall = inside(r - bore) * inside(0.83 * bore - r)
    glow = (0.30 + 0.24 * np.cos(phase)) * np.clip(1.15 - 0.75 * depth, 0.1, 1)
    canvas.paint(where, wall, np.stack([glow, glow, 1.03 * glow], -1), gloss=0.25, height=30 - 26 * depth)
    canvas.colour[where] *= (1 - 0.35 * inside(r - 0.83 * bore))[..., None]


# Blister pack


CARD = Part("card", BOARD / 2, BOARD / 2, 452, 464)
POCKETS = [(154 + 146 * col, 132 + 112 * row) for row in range(4) for col in range(3)]


def sample_blister(rng: np.random.Generator) -> Scene:
    batch = np.array([(0.80, 0.79, 0.75), (0.82, 0.78, 0.73), (0.77, 0.78, 0.78)][rng.integers(3)])
    parts = [
        Part("tablet", x + rng.normal(0, 1.2), y + rng.normal(0, 1.2), 84, 84, angle=rng.uniform(0, 360),
             colour=tuple(batch * rng.uniform(0.98, 1.02)), label="A5")
        for x, y in POCKETS
    ]
    pose = (*rng.uniform(-6, 6, 2), rng.uniform(-2.5, 2.5))
    foil = np.array([0.60, 0.61, 0.63]) * rng.uniform(0.92, 1.08)
    return Scene("blister", tuple(parts), pose, np.deg2rad(-130 + rng.uniform(-7, 7)), int(rng.integers(2**31)),
                 tuple(foil), tuple(rng.uniform(-0.08, 0.08, 5)))


def draw_blister(scene: Scene) -> Canvas:
    rng = np.random.default_rng(scene.grain)
    y, x = np.mgrid[:BOARD, :BOARD].astype(np.float32)
    fine, wrinkle = grain(rng, 0.8), grain(rng, (22, 30))
    card = _cover([CARD])
    knurl = np.sin((x + y) * 0.74) * np.sin((x - y) * 0.74)  # the rolled pattern of sealed foil
    foil = np.asarray(scene.tint, np.float32) * (1 + 0.03 * knurl + 0.015 * fine)[..., None]
    table = np.array([0.16, 0.22, 0.30], np.float32) * (1 + 0.05 * fine)[..., None]
    height = card * (10 + 0.45 * knurl + 1.2 * wrinkle) + 0.2 * fine
    colour = table + card[..., None] * (foil - table)
    canvas = Canvas(height.astype(np.float32), colour.astype(np.float32), 0.05 + 0.40 * card)
    for x, y in POCKETS:
        pocket(canvas, Part("pocket", x, y, 102, 102))
    for part in scene.parts:
        if part.present:
            draw_tablet(canvas, part, scene, fine)
    for x, y in POCKETS:
        glare(canvas, Part("pocket", x, y, 102, 102), scene)
    return canvas


def pocket(canvas, part):
    """The formed pocket: a raised rim, a darker bottom."""
    where, u, v = window(part)
    r = np.hypot(u, v)
    rim = np.exp(-(((r - 51) / 3.5) ** 2))
    canvas.height[where] += 4.5 * rim
    bottom = inside(r - 51)
    canvas.paint(where, 0.85 * bottom, (0.40, 0.41, 0.43), gloss=0.25)
    canvas.height[where] -= 5 * np.clip((51 - r) / 14, 0, 1) ** 2


def draw_tablet(canvas, part, scene, fine):
    where, u, v = window(part)
    r = np.hypot(u, v)
    body = inside(r - part.w / 2)
    dome = 14 + 15 * np.sqrt(np.clip(1 - (r / (part.w / 2)) ** 2.4, 0, 1)) + 0.22 * fine[where]
    dome -= 3.2 * np.exp(-((v / 2.0) ** 2))  # score line
    if part.label:
        dome -= 1.6 * letters(part.label, 24, u, v + 20) + 1.6 * letters(part.label, 24, u, v - 20)
    chalk = np.asarray(part.colour, np.float32) * (1 + 0.018 * fine[where])[..., None]
    if part.bite:
        broken = bitten(part, u, v, scene)
        dome = np.where(broken < 0, np.minimum(dome, 9 + 2.4 * fine[where] - 0.2 * broken), dome)
        body = body * (1 - inside(broken + 5))
        chalk = chalk * np.where(broken < 0, 0.80, 1.0)[..., None]
    canvas.paint(where, body, chalk, gloss=0.10, height=dome)


def glare(canvas, part, scene):
    """The clear dome's reflection of the lamp: a bright arc towards it, a weak one opposite, and a haze."""
    where, u, v = window(part)
    r, towards = np.hypot(u, v), scene.light - np.deg2rad(scene.pose[2])
    facing = (u * np.float32(np.cos(towards)) + v * np.float32(np.sin(towards))) / np.maximum(r, 1)
    arc = np.exp(-(((r - 45) / 2.6) ** 2)) * np.clip(facing, 0, 1) ** 10
    back = np.exp(-(((r - 46) / 2.2) ** 2)) * np.clip(-facing, 0, 1) ** 4
    canvas.colour[where] += (0.55 * arc + 0.20 * back + 0.02 * inside(r - 51))[..., None]


# Printed circuit

# kind, x, y, w, h, angle, label
LAYOUT = [
    ("ic", 292, 232, 168, 84, 0, "LM2904"), ("ic", 150, 424, 96, 74, 90, "24C02"), ("can", 446, 428, 104, 104, 0, "47"),
    ("crystal", 462, 116, 104, 40, 0, "12.00"), ("resistor", 112, 110, 52, 27, 0, "103"),
    ("resistor", 112, 160, 52, 27, 0, "472"), ("resistor", 112, 210, 52, 27, 0, "221"),
    ("resistor", 300, 352, 52, 27, 90, "103"), ("resistor", 350, 352, 52, 27, 90, "104"),
    ("capacitor", 250, 96, 46, 26, 0, ""), ("capacitor", 338, 96, 46, 26, 0, ""),
    ("capacitor", 470, 200, 46, 26, 90, ""), ("capacitor", 470, 290, 46, 26, 90, ""),
    ("capacitor", 262, 470, 34, 19, 0, ""), ("capacitor", 330, 470, 34, 19, 0, ""),
    ("resistor", 296, 522, 36, 19, 0, ""), ("capacitor", 96, 300, 34, 19, 90, ""),
]
COMPONENT_COLOURS = {"ic": (0.055, 0.055, 0.06), "resistor": (0.07, 0.07, 0.08), "capacitor": (0.50, 0.37, 0.25),
           "can": (0.62, 0.63, 0.64), "crystal": (0.60, 0.60, 0.58)}


def sample_circuit(rng: np.random.Generator) -> Scene:
    codes = ["103", "472", "221", "104", "331", "680"]
    parts = [
        Part(kind, x + rng.normal(0, 1.1), y + rng.normal(0, 1.1), w, h, angle + rng.normal(0, 0.9),
             tuple(np.array(COMPONENT_COLOURS[kind]) * rng.uniform(0.9, 1.12)),
             str(rng.choice(codes)) if kind == "resistor" and label else label)
        for kind, x, y, w, h, angle, label in LAYOUT
    ]
    pose = (*rng.uniform(-5, 5, 2), rng.uniform(-1.5, 1.5))
    return Scene("circuit", tuple(parts), pose, np.deg2rad(-120 + rng.uniform(-7, 7)), int(rng.integers(2**31)),
                 tuple(np.array(LACQUER) * rng.uniform(0.85, 1.15) * rng.uniform(0.95, 1.05, 3)))


@lru_cache(maxsize=1)
def bare_board() -> tuple[np.ndarray, ...]:
    """What is the same on every board: how much of lacquer, bare metal and white print shows, and the relief.

    Lacquer counts more than once where copper lies below it.
    """
    copper, tin, white = (Image.new("L", (2 * BOARD, 2 * BOARD)) for _ in range(3))
    route(ImageDraw.Draw(copper), ImageDraw.Draw(tin))
    pad, ink = ImageDraw.Draw(tin), ImageDraw.Draw(white)
    for i, (kind, x, y, w, h, angle, _) in enumerate(LAYOUT):
        for px, py, pw, ph in pads(kind, w, h):
            quad(pad, x, y, angle, px, py, pw, ph, fill=255)
        if kind == "can":
            ink.ellipse([2 * (x - w / 2 - 8), 2 * (y - w / 2 - 8), 2 * (x + w / 2 + 8), 2 * (y + w / 2 + 8)],
                        outline=255, width=5)
        else:
            quad(ink, x, y, angle, 0, 0, w + 16, h + (44 if kind == "ic" else 14), outline=255, width=4)
        name = {"ic": "U", "can": "C", "crystal": "Y", "resistor": "R", "capacitor": "C"}[kind] + str(i + 1)
        ink.text((2 * x - 20, 2 * (y - (w if angle else h) / 2 - 34)), name, 255, ImageFont.load_default(30))
    copper, tin, white = (np.asarray(layer.reduce(2), np.float32) / 255 for layer in (copper, tin, white))
    tin, white = 0.92 * tin, 0.80 * white * (1 - np.clip(2 * tin, 0, 1))  # no print on bare metal
    relief = 1.6 * gaussian_filter(copper, 0.8) + 1.6 * gaussian_filter(tin, 2.0)
    return (1 + 0.6 * copper) * (1 - tin) * (1 - white), tin * (1 - white), white, relief


def route(copper, tin):
    """Tracks with 45 degree bends between vias; the same on each board, so a constant seed draws them."""
    rng = np.random.default_rng(5)
    for _ in range(46):
        x, y = rng.integers(9, 51, 2) * 20
        points = [(x, y)]
        for _ in range(int(rng.integers(2, 5))):
            angle, length = rng.integers(8) * np.pi / 4, rng.integers(3, 12) * 20
            x, y = np.clip([x + length * np.cos(angle), y + length * np.sin(angle)], 170, 2 * BOARD - 170)
            points.append((x, y))
        copper.line(points, 255, width=int(rng.choice([6, 8, 14])), joint="curve")
        for px, py in (points[0], points[-1]):
            tin.ellipse([px - 11, py - 11, px + 11, py + 11], 200)
            tin.ellipse([px - 4, py - 4, px + 4, py + 4], 0)


def pads(kind, w, h):
    """(x, y, w, h) of a part's solder pads, in its own axes."""
    if kind == "ic":
        n = 7 if w > 120 else 4
        return [((k - (n - 1) / 2) * 22, side * (h / 2 + 11), 13, 24) for k in range(n) for side in (-1, 1)]
    if kind == "can":
        return [(-30, 0, 34, 22), (30, 0, 34, 22)]
    reach, wide = (w / 2 - 10, 24) if kind == "crystal" else (w / 2 - 3, 0.42 * w)
    return [(side * reach, 0, wide, h + 4) for side in (-1, 1)]


def quad(pen, x, y, angle, px, py, pw, ph, **style):
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    corners = [(px - pw / 2, py - ph / 2), (px + pw / 2, py - ph / 2), (px + pw / 2, py + ph / 2),
               (px - pw / 2, py + ph / 2)]
    pen.polygon([(2 * (x + c * a - s * b), 2 * (y + s * a + c * b)) for a, b in corners], **style)


def draw_circuit(scene: Scene) -> Canvas:
    rng = np.random.default_rng(scene.grain)
    lacquer, tin, white, relief = bare_board()
    fine, coarse = grain(rng, 0.8), grain(rng, 25)
    layers = lacquer * (1 + 0.03 * fine + 0.04 * coarse), tin * (1 + 0.05 * fine), white
    colour = np.stack(layers, -1) @ np.array([scene.tint, TIN, (0.85, 0.86, 0.83)], np.float32)
    canvas = Canvas(relief + 0.10 * fine, colour, 0.22 + 0.28 * tin - 0.17 * white)
    for part in scene.parts:
        if part.present:
            COMPONENTS[part.kind](canvas, part, fine)
    return canvas


def draw_ic(canvas, part, fine):
    where, u, v = window(part)
    count = len(pads("ic", part.w, part.h)) // 2
    along = (u + count * 11) % 22 - 11  # all leads at once: one, repeated every 22 px
    lead = inside(rounded_box(along, np.abs(v) - part.h / 2 - 10, 9, 22, 1)) * (np.abs(u) < count * 11)
    knee = 4 + 7 * np.clip(1 - (np.abs(v) - part.h / 2) / 18, 0, 1)
    canvas.paint(where, lead, (0.72, 0.72, 0.73), gloss=0.8, height=knee)
    edge = rounded_box(u, v, part.w, part.h, 2)
    plastic = np.asarray(part.colour, np.float32) * (1 + 0.10 * fine[where])[..., None]
    dot = inside(np.hypot(u + part.w / 2 - 13, v - part.h / 2 + 13) - 5)
    canvas.paint(where, inside(edge), plastic, gloss=0.20,
                 height=20 + 0.22 * fine[where] - 1.2 * np.clip(edge + 6, 0, 6) - 2.5 * dot)
    ink = letters(part.label, 22, u, v + 2) * inside(edge)
    canvas.paint(where, 0.55 * ink, (0.66, 0.66, 0.64))


def draw_chip(canvas, part, fine):
    """Chip resistor or capacitor: a body between two tinned ends, in a fillet of solder."""
    where, u, v = window(part)
    edge = rounded_box(u, v, part.w, part.h, 2 if part.kind == "resistor" else 3)
    solder = inside(rounded_box(u, v, part.w + 10, part.h + 2, 5)) * (np.abs(u) > 0.30 * part.w)
    canvas.paint(where, solder, TIN, gloss=0.9, height=7 - 0.8 * np.clip(edge, 0, 8))
    cap = np.clip((np.abs(u) - 0.31 * part.w) + 0.5, 0, 1)[..., None]
    body = np.asarray(part.colour, np.float32) * (1 + 0.05 * fine[where])[..., None]
    colour = body + cap * (np.asarray((0.76, 0.76, 0.74), np.float32) - body)
    canvas.paint(where, inside(edge), colour, gloss=0.18 + 0.5 * cap[..., 0],
                 height=12 + 0.15 * fine[where] - 0.5 * np.clip(edge + 4, 0, 4) ** 1.4)
    if part.label:
        canvas.paint(where, 0.85 * letters(part.label, 17, u, v) * inside(edge), (0.80, 0.80, 0.78))


def draw_can(canvas, part, fine):
    """Electrolytic capacitor: a rounded aluminium can with a black polarity mark, on its base."""
    where, u, v = window(part)
    r = np.hypot(u, v)
    canvas.paint(where, inside(rounded_box(u, v, part.w, part.w, 14)), (0.06, 0.06, 0.06), gloss=0.2, height=8.0)
    top = 40 - 0.10 * np.clip(r - part.w / 2 + 9, 0, None) ** 2 - 1.2 * np.exp(-(((r - part.w * 0.36) / 2) ** 2))
    body = np.asarray(part.colour, np.float32) * (1 + 0.03 * fine[where])[..., None]
    canvas.paint(where, inside(r - part.w / 2), body, gloss=0.7, height=top + 0.1 * fine[where])
    mark = inside(r - part.w * 0.43) * np.clip(-u - 0.19 * part.w, 0, 1)
    canvas.paint(where, 0.93 * mark, (0.04, 0.04, 0.05), gloss=0.15)
    canvas.paint(where, 0.8 * letters(part.label, 24, u - 10, v), (0.07, 0.07, 0.08))


def draw_crystal(canvas, part, fine):
    where, u, v = window(part)
    flange = rounded_box(u, v, part.w, part.h, part.h / 2)
    canvas.paint(where, inside(flange), part.colour, gloss=0.8, height=5.0)
    top = 24 - 0.09 * np.clip(flange + 12, 0, None) ** 2 + 0.12 * fine[where]
    canvas.paint(where, inside(flange + 5), part.colour, gloss=0.8, height=top)
    canvas.paint(where, 0.65 * letters(part.label, 17, u, v), (0.12, 0.12, 0.12))


COMPONENTS = {"ic": draw_ic, "resistor": draw_chip, "capacitor": draw_chip, "can": draw_can, "crystal": draw_crystal}
DRAWINGS = {"nut": draw_nut, "blister": draw_blister, "circuit": draw_circuit}
SAMPLERS = {"hex_nut": sample_nut, "blister": sample_blister, "circuit": sample_circuit}


# What defects do to parts: the changed scene, and which parts to mark


def chipped_nut(scene: Scene, level: float, rng) -> tuple[Scene, list[int]]:
    return scene.with_part(0, bite=80 * (26 / 80) ** level, bite_at=30 + 60 * int(rng.integers(6))), []


def missing_tablet(scene: Scene, level: float, rng) -> tuple[Scene, list[int]]:
    """An empty pocket; at higher levels a broken tablet."""
    i = int(rng.integers(len(scene.parts)))
    if level < 0.3:
        return scene.with_part(i, present=False), [i]
    return scene.with_part(i, bite=48 * (15 / 48) ** ((level - 0.3) / 0.7), bite_at=rng.uniform(0, 360)), []


def moved_tablet(scene: Scene, level: float, rng) -> tuple[Scene, list[int]]:
    return _displaced(scene, int(rng.integers(len(scene.parts))), rng, by=32 * (9 / 32) ** level, turn=0)


def odd_tablet(scene: Scene, level: float, rng) -> tuple[Scene, list[int]]:
    return _recoloured(scene, int(rng.integers(len(scene.parts))), 0.8 * (0.16 / 0.8) ** level, rng)


def missing_component(scene: Scene, level: float, rng) -> tuple[Scene, list[int]]:
    """The larger the component, the more obvious that it is not there."""
    i = _component(scene, level, rng)
    return scene.with_part(i, present=False), [i]


def moved_component(scene: Scene, level: float, rng) -> tuple[Scene, list[int]]:
    """Shifted and turned on its pads; the last level lies just outside the tolerance of good boards."""
    i = int(rng.choice([k for k, part in enumerate(scene.parts) if part.kind != "can"]))
    return _displaced(scene, i, rng, by=18 * (5 / 18) ** level, turn=45 * (7 / 45) ** level)


def odd_component(scene: Scene, level: float, rng) -> tuple[Scene, list[int]]:
    chips = [i for i, part in enumerate(scene.parts) if part.kind in ("resistor", "capacitor", "crystal")]
    return _recoloured(scene, int(rng.choice(chips)), 0.95 * (0.4 / 0.95) ** level, rng)


def _component(scene, level, rng) -> int:
    by_area = sorted(range(len(scene.parts)), key=lambda i: -scene.parts[i].w * scene.parts[i].h)
    return by_area[int(np.clip(round(level * (len(by_area) - 1) + rng.uniform(-1, 1)), 0, len(by_area) - 1))]


def _displaced(scene, i, rng, *, by, turn):
    part, way = scene.parts[i], rng.uniform(0, 2 * np.pi)
    there = {"x": part.x + by * np.cos(way), "y": part.y + by * np.sin(way)}
    return scene.with_part(i, **there, angle=part.angle + turn * rng.choice([-1, 1])), [i]


def _recoloured(scene, i, amount, rng):
    other = np.array([(0.80, 0.20, 0.18), (0.15, 0.34, 0.78), (0.86, 0.72, 0.15), (0.60, 0.25, 0.62)][rng.integers(4)])
    colour = np.asarray(scene.parts[i].colour)
    return scene.with_part(i, colour=tuple(colour + amount * (other - colour))), [i]


CHANGES = {
    "hex_nut": {"missing_part": chipped_nut},
    "blister": {"missing_part": missing_tablet, "misplaced_part": moved_tablet, "wrong_colour": odd_tablet},
    "circuit": {"missing_part": missing_component, "misplaced_part": moved_component, "wrong_colour": odd_component},
}
