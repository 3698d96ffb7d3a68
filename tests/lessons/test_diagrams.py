"""Diagrams: shapes come from the tensors, the SVG is sharp, the same every time, and says what it shows."""

import re
from xml.etree import ElementTree

import pytest
import torch
from matplotlib.text import Text

from adlib.lessons.plots import as_svg, destseg, new_figure, rd4ad, show, stfpm
from adlib.networks.destseg import DeSTSeg
from adlib.networks.masked_rd import MaskedRD
from adlib.networks.stfpm import STFPM
from adlib.networks.teacher import Teacher

SIZE = 64


@pytest.fixture(scope="module")
def teacher():
    return Teacher("resnet18", weights="random")


@pytest.fixture(scope="module")
def image():
    return torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


def written(figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(Text))


@torch.no_grad()
def draw_stfpm(teacher, image, levels=(1, 2, 3)):
    model = STFPM(teacher, levels=levels).eval()
    t, s = model.features(image)
    d = model.level_maps(t, s)
    return stfpm.stfpm_architecture(image[0], dict(zip(levels, t, strict=True)), s, [x[0] for x in d], model.fuse(d)[0])


@torch.no_grad()
def draw_masked_rd(teacher, image, levels=(1, 2, 3)):
    model = MaskedRD(teacher, levels=levels).eval()
    t, s = model.rebuild(image)
    masks = model.draw_masks(s, torch.Generator().manual_seed(0))
    d = model.level_maps(t, model.restore(s, masks))
    every = teacher(image)
    column = {"MSFF": model.bottleneck.fusion(every), "embedding": model.bottleneck(every)}
    decoded = model.decode(column["embedding"])
    hidden = [x * m for x, m in zip(s, masks, strict=True)]
    return rd4ad.rd_architecture(image[0], every, decoded, [x[0] for x in d], model.fuse(d)[0],
                                 bottleneck=column, levels=list(levels), hidden=hidden)


@torch.no_grad()
def draw_destseg(teacher, image, decoder=True):
    model = DeSTSeg(teacher, student_width=8, width=4, encoder_decoder=decoder).eval()
    t, s = model.features(image)
    d = [x[0] for x in model.level_maps(t, s)]
    return destseg.student_pyramids(image[0], image[0], t, s, d, destseg.encoder_features(model, image))


def test_shapes_are_those_of_the_tensors(teacher, image):
    assert re.findall(r"teacher, level (\d)\n(\d+ x \d+ x \d+)", written(draw_stfpm(teacher, image))) == [
        ("1", "64 x 16 x 16"), ("2", "128 x 8 x 8"), ("3", "256 x 4 x 4")]
    assert "bottleneck\n64 x 2 x 2" in written(draw_destseg(teacher, image))
    assert "bottleneck" not in written(draw_destseg(teacher, image, decoder=False))
    text = written(draw_masked_rd(teacher, image, levels=(1, 3)))
    assert "MSFF\n256 x 4 x 4" in text
    assert "embedding\n512 x 2 x 2" in text
    assert text.count("generator") == text.count("1 - cos") == 2


def test_nothing_is_drawn_outside(teacher, image):
    for figure in (draw_stfpm(teacher, image), draw_destseg(teacher, image), draw_masked_rd(teacher, image)):
        ax = figure.axes[0]
        figure.draw_without_rendering()
        for text in ax.texts:
            if text.get_text():
                x, y = ax.transAxes.inverted().transform(text.get_window_extent().get_points()).T
                assert -0.03 <= min(x) < max(x) <= 1.03, text.get_text()
                assert -0.03 <= min(y) < max(y) <= 1.03, text.get_text()


def test_the_svg_says_what_it_shows(teacher, image):
    figures = [draw_stfpm(teacher, image) for _ in range(2)]
    first, second = (as_svg(figure, 'a "small" < large') for figure in figures)
    assert first == second
    root = ElementTree.fromstring(first)
    assert root.get("aria-label") == 'a "small" < large'
    assert root.get("role") == "img"
    pictures = [node for node in root.iter() if node.tag.endswith("image")]
    assert len(pictures) == 2 + 3 * (3 + 3 + 1)             # image, map; of each level two stacks and a distance
    assert not re.search(r'(src|href)="https?:', first)


def test_only_diagrams_are_svg(teacher, image, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *found, **options: shown.append((found, options)))
    plain, _ = new_figure(1, 1, width=1, height=1)
    for figure, kinds in [(plain, {"image/png", "text/plain"}),
                          (draw_stfpm(teacher, image), {"image/png", "image/svg+xml", "text/plain"})]:
        shown.clear()
        show(figure, "caption", alt="what is seen")
        ((bundle,), options), ((caption,), _) = shown
        assert bundle.keys() == kinds
        assert options["metadata"]["image/png"]["alt"] == "what is seen"
        assert caption.data == "*caption*"
