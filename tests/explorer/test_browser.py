"""The explorer in Chromium: its numbers are Python's, in the static page, in JupyterLab and in an exported notebook."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from helpers import leave
from scipy import ndimage

from adlib import ROOT
from adlib.data.category import load_category
from adlib.explorer.paint import PaintADefect, differs
from adlib.explorer.predictions import read_predictions
from adlib.explorer.widget import ThresholdExplorer
from adlib.lessons.pages import write_page
from adlib.networks.nearest import NearestPatch
from adlib.networks.teacher import Teacher
from adlib.training import predict

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
             "--disable-component-update", "--disable-sync", "--no-first-run"]
SHOTS = os.environ.get("ADLIB_SHOTS")       # a folder to leave screenshots in
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


def case(n=10, size=48, seed=0) -> dict:
    """Smooth maps that see square defects, two of them in every other image."""
    rng = np.random.default_rng(seed)
    maps, masks = np.empty((n, size, size), np.float32), np.zeros((n, size, size), bool)
    for i in range(n):
        if i % 2 == 0:
            for y, x in rng.integers(2, size // 2 - 8, (2, 2)) + [[0, 0], [size // 2, size // 2]]:
                masks[i, y:y + 6, x:x + 7] = True
        maps[i] = np.kron(rng.random((size // 4, size // 4)), np.ones((4, 4))) + rng.random() * 0.8 * masks[i]
    images = rng.integers(90, 160, (n, 3, size, size), dtype=np.uint8)
    images[:, 0][masks] = 250
    return {"source": maps, "images": images, "masks": masks, "labels": masks.any(axis=(1, 2)),
            "validation_maps": rng.random((3, size, size))}


def two_methods(*, validated: bool = False) -> ThresholdExplorer:
    """Methods of which only the first has validation images, or both have."""
    given = case()
    given["source"] = {"First": given["source"], "Second": 10 * np.sqrt(case(seed=1)["source"] + given["source"])}
    second = {"Second": 4 + 9 * case(seed=2)["validation_maps"]} if validated else {}
    given["validation_maps"] = {"First": given["validation_maps"]} | second
    return ThresholdExplorer(**given)


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser, tmp_path):
    """A function that opens a widget's static page, offline; afterwards the console must be free of errors."""
    errors, contexts = [], []

    def open_page(shown, *, width=1100, theme="light", ready="canvas[aria-label]"):
        path = shown if isinstance(shown, Path) else shown.to_html(tmp_path / f"{len(contexts)}.html")
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme, offline=True)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: m.type == "error" and errors.append(m.text))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda r: r.url.startswith(("file:", "data:", "blob:")) or errors.append(r.url))
        page.goto(path.as_uri())
        page.wait_for_selector(ready)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []


EXPLORER = "document.querySelector('[data-adlib-static]').widget"


def drawn(page, action: str) -> None:
    """Do something to the page's explorer and wait until the picture of the wanted image is there."""
    page.evaluate(f"""() => new Promise((done) => {{
        const e = {EXPLORER};
        e.host.addEventListener("adlib:drawn", function seen(event) {{
            if (event.detail.index !== e.index || event.detail.code !== e.code) return;
            e.host.removeEventListener("adlib:drawn", seen), done();
        }});
        {action};
        e.redraw();
    }})""")


def state(page) -> dict:
    return page.evaluate(f"""() => {{ const e = {EXPLORER}; return Object.fromEntries(
        ["threshold", "thresholds", "index", "opacity", "view", "method", "link"].map((n) => [n, e.get(n)])); }}""")


def read(page, table: str, column: int) -> dict:
    """Numbers that stand in a table, in full."""
    cells = page.locator(f"{table} tbody tr td[data-number]:nth-of-type({column})").all()
    return {c.get_attribute("data-number"): float(c.get_attribute("data-value") or "nan") for c in cells}


def assert_numbers_are_pythons(page, shown, index):
    found, everything = shown.numbers(index), shown.numbers()
    counts = {f"image_{name}": everything[f"image_{name}"] for name in ("tp", "fp", "fn", "tn")}
    keys = [key for key in everything if key not in {*counts, "regions"}]
    assert read(page, ".numbers", 1) == pytest.approx({k: found[k] for k in keys}, nan_ok=True, rel=1e-12)
    assert read(page, ".numbers", 2) == pytest.approx({k: everything[k] for k in keys}, nan_ok=True, rel=1e-12)
    assert read(page, ".confusion", 1) | read(page, ".confusion", 2) == counts
    assert page.locator(".numbers td[data-number=regions_found]").all_text_contents() == [
        f"{n['regions_found']} of {n['regions']}" for n in (found, everything)]
    here, = page.locator(".confusion td.here").all()
    assert found[here.get_attribute("data-number")] == 1


def picture(page) -> str:
    return page.locator("canvas").first.evaluate("canvas => canvas.toDataURL()")


def shoot(page, name: str) -> None:
    if SHOTS:
        Path(SHOTS).mkdir(parents=True, exist_ok=True)
        page.wait_for_timeout(200)
        page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)


# --- the static page ------------------------------------------------------------------------------------------------

def test_numbers_are_pythons_at_every_threshold_for_every_image(opened):
    shown = ThresholdExplorer(**case())
    page = opened(shown)
    edges = shown.coded[0].edges
    for code in [0, 1, *np.linspace(len(edges) // 2, len(edges) - 2, 6).astype(int), len(edges) - 1]:
        shown.threshold = edges[code]
        for index in (0, 1, 8):
            drawn(page, f"e.set({{index: {index}}}), e.setCode({code})")
            assert state(page)["threshold"] == shown.threshold
            assert_numbers_are_pythons(page, shown, index)


def test_methods_are_linked_as_in_python(opened):
    shown = two_methods()
    page = opened(shown)
    for method, link in [(0, "quantile"), (1, "quantile"), (1, "value"), (0, "off"), (0, "quantile")]:
        shown.method, shown.link = method, link
        drawn(page, f"e.setMethod({method}), e.setLink('{link}')")
        for t in np.quantile(shown.coded[method].edges, [0.1, 0.6, 0.95, 1]):
            shown.threshold = t
            drawn(page, f"e.setCode({list(shown.coded[method].edges).index(shown.threshold)})")
            assert state(page)["thresholds"] == shown.thresholds
            assert_numbers_are_pythons(page, shown, shown.index)
    rows = page.locator(".comparison tbody tr").all()
    assert [row.locator("td").nth(1).text_content() for row in rows] == [
        "{image_tp} of 5".format(**shown.numbers(method=k)) for k in (0, 1)]
    captions = page.locator("figcaption").all_text_contents()       # the scores of this image, not the thresholds
    scores = [float(re.search(r"score (\S+)", caption)[1]) for caption in captions]
    assert scores == pytest.approx([m.edges[m.scores[shown.index]] for m in shown.coded], rel=1e-3)
    page.get_by_role("radio", name="Second").check()
    assert state(page)["method"] == 1
    assert state(page)["threshold"] == shown.thresholds[1]


def test_methods_are_linked_by_validation_as_in_python(opened):
    shown = two_methods(validated=True)
    page = opened(shown)
    assert state(page)["link"] == shown.link == "validation"
    assert state(page)["thresholds"] == shown.thresholds
    for method in (0, 1):
        shown.method = method
        drawn(page, f"e.setMethod({method})")
        for code in np.linspace(0, len(shown.coded[method].edges) - 1, 20).astype(int):
            shown.threshold = shown.coded[method].edges[code]
            drawn(page, f"e.setCode({code})")
            assert state(page)["thresholds"] == shown.thresholds


def test_squeezed_scores_begin_on_ranks_and_an_arrow_moves_little(opened):
    given = case()
    given["source"][3] **= 40       # one image's scores dwarf the others'
    given["source"][3] *= 1000
    page = opened(ThresholdExplorer(**given))
    axis = page.get_by_role("combobox", name="Axis")
    assert axis.input_value() == "share"
    axis.select_option("score")
    drawn(page, "e.setCode(e.codeAt(0.0006))")
    before = state(page)["threshold"]
    page.get_by_role("slider", name="Threshold").focus()
    page.keyboard.press("ArrowRight")
    assert 0 < state(page)["threshold"] - before < 0.05 * before


@pytest.mark.parametrize("width", [340, 1100])
def test_the_axes_say_in_words_what_they_show(opened, width):
    page = opened(ThresholdExplorer(**case()), width=width)
    for axis, words in {"share": "share of pixels at or above, logarithmic", "score": "anomaly score"}.items():
        page.get_by_role("combobox", name="Axis").select_option(axis)
        drawn(page, "")
        plot = page.locator(".plots svg")
        told = plot.locator("text").all_text_contents()
        most = max(int(x) for text in told for x in re.findall(r"height: number of images, (\d+) at most", text))
        assert 1 <= most <= 10
        assert {words, "height: share of pixels, logarithmic"} <= set(told)
        outside = plot.evaluate("""(svg) => { const all = svg.getBoundingClientRect();
            return [...svg.querySelectorAll("text")].filter((text) => { const box = text.getBoundingClientRect();
                return box.left < all.left - 1 || box.right > all.right + 1; }).map((text) => text.textContent); }""")
        assert outside == []


def test_even_scores_begin_on_scores(opened):
    assert opened(ThresholdExplorer(**case())).get_by_role("combobox", name="Axis").input_value() == "score"


def test_the_cheapest_threshold_is_pythons(opened):
    shown = ThresholdExplorer(**case(seed=3))
    page = opened(shown)
    for costs in ([10, 1], [1, 10], [1, 1], [0, 1], [1, 0]):
        shown.costs = costs
        for label, cost in zip(("A missed image costs", "a false alarm"), costs, strict=True):
            page.get_by_label(label).fill(str(cost))
        page.get_by_role("button", name="Least cost").click()
        assert state(page)["threshold"] == shown.least_cost()
        shown.threshold = shown.least_cost()
        n = shown.numbers()
        drawn(page, "")
        assert page.locator(".costs output").text_content() == (
            f"cost now: {costs[0] * n['image_fn'] + costs[1] * n['image_fp']:g}")
    shown.costs = [10, 1]
    for p in (0.001, 0.05, 0.9):
        shown.prevalence = p
        drawn(page, f"e.set({{prevalence: {p}, costs: [10, 1]}})")
        page.get_by_role("button", name="Least cost").click()
        assert state(page)["threshold"] == shown.least_cost()
    page.get_by_label("Prevalence").fill("-2")
    assert page.evaluate(f"{EXPLORER}.get('prevalence')") == 0.01
    page.get_by_role("button", name="as in the test set").click()
    assert page.evaluate(f"{EXPLORER}.get('prevalence')") == 0.5


def test_a_suggestion_sets_its_threshold_and_says_what_it_used(opened):
    shown = ThresholdExplorer(**case())
    page = opened(shown)
    buttons = page.locator(".buttons button").all()
    assert len(buttons) == len(shown.suggestions) == 6
    for button, suggestion in zip(buttons, shown.suggestions, strict=True):
        button.click()
        shown.threshold = suggestion["threshold"]
        assert state(page)["threshold"] == shown.threshold
        assert button.locator("small").text_content() == (
            f"{suggestion['by']}, {'test' if suggestion['labels'] else 'no'} labels")
    assert "flatters" in page.locator(".suggest .note").text_content()


def test_every_view_draws_something_else_and_follows_the_threshold(opened):
    page = opened(ThresholdExplorer(**case()))
    seen = set()
    for view in ("Image", "Heatmap", "Mask", "Contours"):
        page.get_by_role("radio", name=view).check(force=True)
        drawn(page, "e.setPosition(0.4)")
        before = picture(page)
        drawn(page, "e.setPosition(0.7)")
        assert (picture(page) == before) == (view == "Image")
        seen.add(before)
    assert len(seen) == 4
    drawn(page, "e.set({truth: false})")
    assert picture(page) != before


def test_the_mask_is_painted_where_scores_reach_the_threshold_and_the_truth_around_the_defect(opened):
    maps, masks = np.zeros((1, 16, 16), np.float32), np.zeros((1, 16, 16), bool)
    maps[0, 2:5, 8:14], masks[0, 2:5, 8:14] = 1, True
    shown = ThresholdExplorer(maps, np.full((1, 3, 16, 16), 90, np.uint8), masks)
    shown.threshold, shown.view, shown.opacity, shown.truth = 0.5, "mask", 1, False
    page = opened(shown)

    def pixels():
        data = page.locator("canvas").evaluate("c => [...c.getContext('2d').getImageData(0, 0, 48, 48).data]")
        return np.array(data).reshape(48, 48, 4)[..., :3]

    amber = (pixels() == [255, 176, 0]).all(axis=2)
    assert np.array_equal(amber, np.kron(masks[0], np.ones((3, 3), bool)))
    drawn(page, "e.set({view: 'image', truth: true})")
    cyan, inner = (pixels() == [0, 229, 255]).all(axis=2), np.kron(masks[0], np.ones((3, 3), bool))
    edge = inner.copy()
    edge[8:13, 26:40] = False       # the line is two fine pixels wide, inside the defect
    assert np.array_equal(cyan, edge)


def test_keys_move_the_threshold_and_turn_the_pages(opened):
    shown = ThresholdExplorer(**case())
    page = opened(shown)
    edges = shown.coded[0].edges
    slider = page.get_by_role("slider", name="Threshold")
    slider.focus()
    page.keyboard.press("End")
    assert state(page)["threshold"] == edges[-1]
    page.keyboard.press("Shift+ArrowLeft")
    assert state(page)["threshold"] == edges[-2]
    page.keyboard.press("Home")
    assert state(page)["threshold"] == edges[0]
    moved = []
    for key in ("ArrowRight", "PageUp", "PageDown", "ArrowLeft"):
        before = state(page)["threshold"]
        page.keyboard.press(key)
        moved.append((state(page)["threshold"] - before) / (edges[-1] - edges[0]))
    assert moved == pytest.approx([1 / 400, 1 / 20, -1 / 20, -1 / 400], abs=2e-3)
    assert moved[0] > 0 > moved[3]
    page.wait_for_function(f"{EXPLORER}.slider.getAttribute('aria-valuetext').includes('reached by')")
    page.locator(".pictures").focus()
    for key, index in [("ArrowRight", 1), ("End", 9), ("ArrowLeft", 8), ("Home", 0), ("PageDown", 9)]:
        page.keyboard.press(key)
        assert state(page)["index"] == index
    page.locator(".threshold input").fill("0,75")
    page.keyboard.press("Enter")
    shown.threshold = 0.75
    assert state(page)["threshold"] == shown.threshold


def test_whatever_has_the_focus_shows_it_and_has_a_name(opened):
    page = opened(two_methods())
    page.locator(".pictures").focus()
    names = []
    for _ in range(30):
        page.keyboard.press("Tab")
        name, outline = page.evaluate("""() => { const e = document.activeElement.shadowRoot?.activeElement;
            if (!e) return [null, ""];
            const seen = e.parentNode.parentNode.className === "segments" ? e.nextSibling : e;
            return [e.getAttribute("aria-label") || e.labels?.[0]?.textContent || e.textContent,
                    getComputedStyle(seen).outlineStyle]; }""")
        if name is None:
            break
        assert outline == "solid", name
        names.append(name.strip())
    assert all(names)
    assert len(set(names)) >= 15
    unnamed = page.evaluate(f"""() => [...{EXPLORER}.root.querySelectorAll("canvas, svg")].filter((e) =>
        e.getAttribute("role") === "img" && !e.getAttribute("aria-label")).length""")
    assert unnamed == 0


def test_dragging_the_line_moves_the_threshold(opened):
    page = opened(ThresholdExplorer(**case()))
    box, before = page.locator(".plots svg").bounding_box(), state(page)["threshold"]
    page.mouse.move(box["x"] + 200, box["y"] + 60)
    page.mouse.down()
    low = state(page)["threshold"]
    page.mouse.move(box["x"] + 400, box["y"] + 80)
    page.mouse.up()
    high = state(page)["threshold"]
    page.mouse.move(box["x"] + 100, box["y"] + 80)
    assert high == state(page)["threshold"]
    assert low < high
    assert before != high


def test_an_axis_of_shares_puts_rare_scores_where_they_can_be_reached(opened):
    shown = ThresholdExplorer(**case())
    page = opened(shown)
    page.get_by_role("combobox", name="Axis").select_option("share")
    drawn(page, "e.setPosition(0.5)")
    pixels = shown.coded[0].pixels_at_or_above
    code = page.evaluate(f"{EXPLORER}.code")
    assert pixels[code] <= np.sqrt(pixels[0]) <= pixels[code - 1]
    assert "share of pixels at or above" in page.locator(".plots").text_content()


def test_thumbnails_are_ordered_by_score_and_mark_errors(opened):
    shown = ThresholdExplorer(**case())
    page = opened(shown)
    drawn(page, f"e.setCode({len(shown.coded[0].edges) // 2})")
    shown.threshold = state(page)["threshold"]
    thumbs = page.locator(".thumb").all()
    order = np.argsort(-shown.coded[0].scores.astype(int), kind="stable")
    assert [t.get_attribute("title") for t in thumbs] == [shown.names[i] for i in order]
    marks = [t.locator(".mark").text_content() for t in thumbs]
    n = shown.numbers()
    assert (marks.count("!"), marks.count("?")) == (n["image_fp"], n["image_fn"])
    assert n["image_fp"] + n["image_fn"] > 0
    thumbs[3].click()
    assert state(page)["index"] == order[3]
    drawn(page, "")
    assert thumbs[3].get_attribute("aria-current") == "true"


def test_the_points_sit_where_the_numbers_say(opened):
    shown = ThresholdExplorer(**case())
    page = opened(shown)
    n, coded = shown.numbers(), shown.coded[0]
    overlap = coded.overlap[np.searchsorted(coded.edges, shown.threshold)]
    fpr, recall = n["pixel_fpr"], n["pixel_recall"]
    expected = [(fpr, recall), (recall, n["pixel_precision"]), (fpr, overlap)]
    for curve, limit, (x, y) in zip(page.locator(".curves svg").all(), (1, 1, 0.3), expected, strict=True):
        dot = curve.locator(".dot")
        assert float(dot.get_attribute("cx")) == pytest.approx(40 + 210 * x / limit, abs=0.06)
        assert float(dot.get_attribute("cy")) == pytest.approx(24 + 150 * (1 - y), abs=0.06)


@pytest.mark.parametrize("width", [600, 1100])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_fits_and_can_be_read(opened, width, theme):
    page = opened(two_methods(), width=width, theme=theme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    cut = page.evaluate(f"""() => [...{EXPLORER}.root.querySelectorAll("button, label, td, th, h2, h3, span")]
        .filter((e) => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== "inline")
        .filter((e) => !e.closest(".unseen")).map((e) => e.textContent)""")
    assert cut == []
    for what in (".note", ".strong", ".uses", ".verdict", "td.right", "td.wrong"):
        assert contrast(page, what) >= 4.5, what
    shoot(page, f"static_{width}_{theme}")


def test_a_notebooks_theme_comes_before_the_systems(opened):
    page = opened(ThresholdExplorer(**case()), theme="dark")
    section = page.locator(".adlib")
    assert section.get_attribute("data-theme") == "dark"
    page.evaluate("document.body.dataset.jpThemeLight = 'true'")
    page.locator(".adlib[data-theme=light]").wait_for()


def contrast(page, what: str) -> float:
    """Contrast of a text with the explorer's ground, by WCAG."""
    colours = page.evaluate(f"""() => {{ const root = {EXPLORER}.root, e = root.querySelector("{what}");
        const style = getComputedStyle(e);
        return [e instanceof SVGElement ? style.fill : style.color,
                getComputedStyle(root.querySelector(".adlib")).backgroundColor]; }}""")
    light = sorted(luminance([int(x) for x in re.findall(r"\d+", colour)[:3]]) for colour in colours)
    return (light[1] + 0.05) / (light[0] + 0.05)


def luminance(rgb: list[int]) -> float:
    linear = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize(("given", "words"), [
    ({"source": np.full((10, 48, 48), 0.5)}, "Pixel precision"),
    ({"masks": None}, "There are no masks"),
    ({"masks": None, "labels": None}, "not known"),
    ({"masks": np.zeros((10, 48, 48), bool), "labels": np.zeros(10, bool)}, "No image is anomalous"),
    ({"images": None}, "Pixel precision"),
    ({"validation_maps": None}, "Pixel precision"),
], ids=["constant", "no masks", "no labels", "no anomalous image", "no images", "no validation"])
def test_what_is_missing_is_said_and_breaks_nothing(opened, given, words):
    page = opened(ThresholdExplorer(**case() | given))
    for position in (0, 0.3, 1):
        drawn(page, f"e.setPosition({position})")
    page.get_by_role("combobox", name="Axis").select_option("share")
    drawn(page, "e.go(1)")
    text = page.locator(".adlib").text_content()
    assert words in text
    assert ("Pixel precision" in text) == (given.get("masks", True) is not None)
    assert ("anomalous" in page.locator(".choice").text_content()) == (given.get("labels", True) is not None)
    assert "NaN" not in text
    assert "undefined" not in text
    shoot(page, f"missing_{words.split()[-1]}")


def test_one_image_is_enough(opened):
    given = case()
    page = opened(ThresholdExplorer(given["source"][:1], given["images"][:1], given["masks"][:1]))
    assert page.get_by_label("Previous image").is_disabled()
    assert page.get_by_label("Next image").is_disabled()


def test_of_many_images_some_are_shown_and_all_counted(opened):
    shown = ThresholdExplorer(**case(n=70, size=24))
    page = opened(shown)
    assert "64 of 70 images" in page.locator("header").text_content()
    assert page.locator(".thumb").count() == 64
    drawn(page, "e.go(1e9)")
    assert_numbers_are_pythons(page, shown, state(page)["index"])


# --- notebooks ------------------------------------------------------------------------------------------------------

CELLS = ["""import json, sys
from pathlib import Path
sys.path[:0] = [TESTS, str(Path(TESTS).parent)]
from test_browser import two_methods
explorer = two_methods()
def tell(change):
    state = {name: getattr(explorer, name) for name in ("threshold", "thresholds", "index", "method", "view")}
    numbers = {k: v for k, v in explorer.numbers().items() if v == v}
    Path("heard.part").write_text(json.dumps(state | {"numbers": numbers}))
    Path("heard.part").rename("heard.json")
explorer.observe(tell)
explorer""", """explorer.threshold = 0.9
explorer.index = 3
explorer.view = "contours\"""", """import ipywidgets
other = two_methods()
ipywidgets.VBox([other])"""]


def write_notebook(path: Path, sources: list[str] = CELLS, words: dict[str, str] | None = None) -> Path:
    """A notebook of some cells, in which words are replaced."""
    for word, by in (words or {"TESTS": repr(str(ROOT / "tests/explorer"))}).items():
        sources = [source.replace(word, by) for source in sources]
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, path)
    return path


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A running JupyterLab: its folder and address."""
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
    root = tmp_path_factory.mktemp("lab")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {f"JUPYTER_{name}_DIR": str(root / ".jupyter" / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}", "--allow-root",
               f"--ServerApp.root_dir={root}", "--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True",
               "--LabApp.expose_app_in_browser=True"]
    settings = root / ".jupyter/CONFIG/lab/user-settings/@jupyterlab/apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false", "checkForUpdates": false}')
    with (root / "log").open("w") as log:
        server = subprocess.Popen(command, env=os.environ | own, stdout=log, stderr=log, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: answers(f"{address}/api"), seconds=60)
        yield root, address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)


def answers(address: str) -> bool:
    try:
        return urllib.request.urlopen(address, timeout=2).status == 200
    except OSError:
        return False


def wait_for(true, *, seconds=20):
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)
    return found


def wait_for_numbers(page, shown, index):
    """Numbers follow a frame later, which a busy machine draws late: they must become Python's, and stay."""
    def pythons():
        try:
            return assert_numbers_are_pythons(page, shown, index) is None
        except AssertionError:
            return False

    with suppress(AssertionError):
        wait_for(pythons)
    assert_numbers_are_pythons(page, shown, index)      # if they did not, say which


def open_in_lab(browser, address: str, name: str):
    errors, page = [], browser.new_page(viewport={"width": 1300, "height": 1000})
    page.on("console", lambda m: m.type == "error" and errors.append(m.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{address}/lab/tree/{name}?reset")
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
    page.wait_for_function("window.jupyterapp.shell.currentWidget.sessionContext?.session?.kernel?.status === 'idle'",
                           timeout=60_000)
    return page, errors


LIVE = "document.querySelector('.jp-OutputArea-output .adlib-widget').widget"


def test_in_jupyterlab_the_widget_and_python_follow_each_other(browser, lab):
    root, address = lab
    write_notebook(root / "explorer.ipynb")
    page, errors = open_in_lab(browser, address, "explorer.ipynb")
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    live = page.locator(".adlib-widget").first
    live.locator("canvas[aria-label]").first.wait_for(timeout=120_000)
    heard = lambda: json.loads((root / "heard.json").read_text())       # noqa: E731

    # what Python set last is shown, and the static form is hidden beside the living widget
    shown = two_methods()
    shown.threshold, shown.index, shown.view = 0.9, 3, "contours"
    wait_for(lambda: page.evaluate(f"{LIVE}.get('threshold')") == shown.threshold)
    wait_for(lambda: page.evaluate(f"{LIVE}.get('index')") == 3)
    wait_for_numbers(live, shown, 3)
    assert page.locator("[data-adlib-static]").is_hidden()
    shoot(page, "lab")

    # drag, keys, a suggestion: the picture changes, and Python hears of it
    before = live.locator("canvas").first.evaluate("c => c.toDataURL()")
    svg = live.locator(".plots svg")
    svg.scroll_into_view_if_needed()
    box = svg.bounding_box()
    page.mouse.move(box["x"] + 160, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 230, box["y"] + 60, steps=5)
    page.mouse.up()
    page.wait_for_timeout(500)      # the last moves of the mouse may still be on their way
    dragged = page.evaluate(f"{LIVE}.get('threshold')")
    assert dragged != shown.threshold
    shown.threshold = dragged
    wait_for(lambda: heard()["threshold"] == dragged)
    wait_for(lambda: heard()["thresholds"] == shown.thresholds)
    wait_for_numbers(live, shown, 3)
    assert live.locator("canvas").first.evaluate("c => c.toDataURL()") != before
    wait_for(lambda: heard()["numbers"] == {k: v for k, v in shown.numbers().items() if v == v})
    assert heard()["numbers"] == {k: v for k, v in shown.numbers().items() if v == v}

    live.locator(".pictures").focus()
    page.keyboard.press("ArrowRight")
    wait_for(lambda: heard()["index"] == 4)
    live.get_by_role("slider", name="Threshold").focus()
    page.keyboard.press("ArrowUp")
    wait_for(lambda: heard()["threshold"] > dragged)
    wait_for(lambda: heard()["threshold"] == page.evaluate(f"{LIVE}.get('threshold')"))

    live.locator(".buttons button").last.click()
    wait_for(lambda: heard()["threshold"] == shown.suggestions[-1]["threshold"])
    live.get_by_role("radio", name="Second").check()
    wait_for(lambda: heard()["method"] == 1)
    wait_for(lambda: heard()["threshold"] == heard()["thresholds"][1])

    # without a static form beside it, the widget asks Python for everything
    inside = page.locator(".widget-vbox .adlib-widget")
    inside.locator("canvas[aria-label]").first.wait_for(timeout=30_000)
    assert inside.locator(".thumb").count() == 10

    # Python's turn again: its cell is run once more
    page.evaluate("""() => { const n = window.jupyterapp.shell.currentWidget.content; n.activeCellIndex = 1;
                             return window.jupyterapp.commands.execute('notebook:run-cell'); }""")
    wait_for(lambda: page.evaluate(f"{LIVE}.get('index')") == 3)
    assert errors == []
    page.close()


PLAYGROUNDS = ["""import sys
sys.path[:0] = TESTS
from test_playgrounds import film, noise_playground, tiny
curves = tiny()
curves""", "noise = noise_playground()\nnoise", """from adlib.explorer import PaintADefect
PaintADefect(FOLDERS)""", "film()",
    "from adlib.explorer import predictions\npredictions.ask('x', 'Is it?', ['yes', 'no'], out_dir=OUT_DIR)",
    "predictions.reveal('x', 'yes')",
    "predictions.ask('y', 'How many?', between=(0, 6), within=1, out_dir=OUT_DIR)", "predictions.reveal('y', 4)",
    "print(curves.numbers()['pixel_ap'], noise.seed)"]


def test_the_playgrounds_are_alive_in_jupyterlab(browser, lab, tmp_path):
    root, address = lab
    folder = leave(tmp_path, "stfpm")[0]
    words = {"TESTS": repr([str(ROOT / "tests/explorer"), str(ROOT / "tests")]), "FOLDERS": repr([str(folder)]),
             "OUT_DIR": repr(str(tmp_path))}
    write_notebook(root / "playgrounds.ipynb", PLAYGROUNDS, words)
    page, errors = open_in_lab(browser, address, "playgrounds.ipynb")
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    widgets = "[...document.querySelectorAll('.adlib-widget')].map((e) => e.widget)"
    there = "(w) => w?.goals || w?.image || w?.answer || w?.reels || w?.keep"
    page.wait_for_function(f"{widgets}.length === 6 && {widgets}.every({there})", timeout=120_000)
    assert page.locator("[data-adlib-static]:visible").count() == 0

    # a stroke of the mouse is judged, and judged as Python judges it; of many at once, the last one
    made, paint = PaintADefect(folder), f"{widgets}[2]"
    canvas = page.locator(".easel canvas")
    canvas.scroll_into_view_if_needed()
    for tool in ("brush", "line", "blot", "paste", "smudge", "erase"):
        page.evaluate(f"{paint}.tool = {tool!r}")
        box = canvas.bounding_box()
        page.mouse.move(box["x"] + 60, box["y"] + 100)
        page.mouse.down()
        page.mouse.move(box["x"] + 160, box["y"] + 140, steps=4)
        page.mouse.up()
    canvas.focus()
    for key in (" ", "ArrowDown", "ArrowDown", " "):
        page.keyboard.press(key)
    assert page.evaluate(f"{paint}.stroke") == 7
    page.wait_for_function(f"{paint}.answered === 7")
    pixels, mask = (np.array(page.evaluate(f"[...{paint}.{name}]"), np.uint8) for name in ("now", "mask()"))
    image = torch.from_numpy(pixels.reshape(64, 64, 3)).permute(2, 0, 1)
    changed = differs(pixels.reshape(64, 64, 3), made.image.permute(1, 2, 0).numpy())
    assert np.array_equal(mask.reshape(64, 64) > 0, changed)
    scores, ap, maps = made.judge(image[None], torch.from_numpy(mask.reshape(1, 64, 64) > 0))
    assert page.evaluate(f"{paint}.answer.scores") == pytest.approx(scores[0].tolist(), rel=1e-4)
    assert page.evaluate(f"{paint}.answer.ap") == pytest.approx(ap[0].tolist(), rel=1e-3)
    assert abs(np.array(page.evaluate(f"[...{paint}.heatOf]")) - maps[0].ravel().astype(int)).max() <= 1
    page.get_by_label("levels of").check()
    page.wait_for_function(f"{paint}.heatOf.length === 4 * 64 * 64")
    for width in (600, 1300):       # px of the window: no column of the table is cut
        page.set_viewport_size({"width": width, "height": 1000})
        canvas.scroll_into_view_if_needed()
        page.wait_for_timeout(500)
        shoot(page, f"lab_paint_{width}")
        seen, whole = (page.locator(".wide", has_text="Verdict").evaluate(f"(e) => e.{what}Width")
                       for what in ("client", "scroll"))
        assert whole <= seen
    for _ in range(7):
        page.get_by_role("button", name="Undo").click()
    page.wait_for_function(f"{paint}.answered === {paint}.stroke")
    assert page.evaluate(f"[...{paint}.now]") == made.image.permute(1, 2, 0).ravel().tolist()

    # after Run All what the run found is folded, and opens with the answer, which counts
    finding = page.locator("details[data-adlib-finding=x]")
    assert not finding.get_by_text("The answer: yes.").is_visible()
    page.get_by_role("radio", name="yes").check()
    page.get_by_role("slider", name="How sure?").fill("90")
    keep = page.get_by_role("button", name="Keep my prediction")
    keep.first.click()
    page.get_by_text("kept: right").wait_for()
    assert finding.get_by_text("The answer: yes.").is_visible()
    kept = {"question": "Is it?", "choice": "yes", "sure": 0.9, "late": False, "right": True}
    assert read_predictions(tmp_path) == {"x": kept}

    # a number is none before its slider was moved; and an answer does not count after a look at what was found
    assert keep.nth(1).is_disabled()
    shoot(page, "lab_prediction")
    page.locator("details[data-adlib-finding=y] summary").click()
    page.get_by_role("slider", name="Your guess").press("ArrowRight")
    keep.nth(1).click()
    page.get_by_text("it does not count").wait_for()
    assert read_predictions(tmp_path)["y"] == {"question": "How many?", "choice": 4, "sure": 0.5, "late": True}

    # Python hears of what is moved
    page.evaluate(f"{widgets}[0].set({{truth: {widgets}[0].get('truth').map((_, i) => i === 16)}})")
    page.evaluate(f"{widgets}[1].set({{seed: 41}}), {widgets}.forEach((w) => w.model.save_changes())")
    page.evaluate("""() => { const n = window.jupyterapp.shell.currentWidget.content; n.activeCellIndex = 8;
                             return window.jupyterapp.commands.execute('notebook:run-cell'); }""")
    page.locator(".jp-OutputArea-output pre", has_text=re.compile(r"0\.5\d* 41")).wait_for()
    assert errors == []
    page.close()


@pytest.mark.slow
def test_the_lesson_is_alive_in_jupyterlab(browser, lab, demo_root):
    root, address = lab
    lesson = nbformat.read(ROOT / "notebooks/08_threshold_explorer.ipynb", as_version=4)
    cell = next(c for c in lesson.cells if "parameters" in c.metadata.get("tags", []))
    for name, value in {"data_root": str(demo_root), "budget": "smoke", "out_dir": str(root / "runs")}.items():
        cell.source = re.sub(f"^{name} = \\S+", f"{name} = {value!r}", cell.source, flags=re.M)
    nbformat.write(lesson, root / "lesson.ipynb")
    page, errors = open_in_lab(browser, address, "lesson.ipynb")
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    live = page.locator(".adlib-widget:not([data-adlib-static])").first
    wait_for(lambda: page.evaluate("""() => { const c = window.jupyterapp.shell.currentWidget.content.widgets;
        return c.findLast((w) => w.model.type === "code").model.executionCount > 0; }"""), seconds=400)
    page.evaluate("""() => { const n = window.jupyterapp.shell.currentWidget.content;
        n.activeCellIndex = n.widgets.findIndex((w) => w.model.id === "explorer");
        return n.scrollToItem(n.activeCellIndex); }""")
    live.locator("canvas[aria-label]").first.wait_for(timeout=60_000)
    before = live.locator("canvas").first.evaluate("c => c.toDataURL()"), read(live, ".numbers", 2)
    live.locator(".buttons button").last.click()
    live.get_by_role("slider", name="Threshold").focus()
    page.keyboard.press("PageUp")
    wait_for(lambda: live.locator("canvas").first.evaluate("c => c.toDataURL()") != before[0])
    wait_for(lambda: read(live, ".numbers", 2) != before[1])
    shoot(page, "lesson")
    assert errors == []
    page.close()


def test_an_exported_notebook_holds_a_living_explorer_and_formulas(opened, tmp_path):
    from nbclient import NotebookClient

    notebook = nbformat.read(write_notebook(tmp_path / "explorer.ipynb"), as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_markdown_cell(r"The $\frac{a}{b}$ of" "\n\n$$\\sum_i x_i$$"))
    NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    nbformat.write(notebook, tmp_path / "explorer.ipynb")
    page = opened(write_page(tmp_path / "explorer.ipynb"))
    shown = two_methods()
    assert page.locator("[data-adlib-static] .adlib").count() == 1
    shown.threshold = 1.2
    drawn(page, f"e.setCode({list(shown.coded[0].edges).index(shown.threshold)})")
    assert_numbers_are_pythons(page, shown, 0)
    fraction, letter = (page.locator(what).first.bounding_box()["height"] for what in ("mfrac", "mfrac mi"))
    assert fraction > 1.5 * letter, "numerator above denominator"
    shoot(page, "nbconvert")


# --- speed ----------------------------------------------------------------------------------------------------------

@pytest.mark.slow
def test_on_a_methods_maps_of_photographs_too(opened, demo_root):
    data = load_category(demo_root, "gravel", image_size=128)
    pictures = load_category(demo_root, "gravel", image_size=256).test
    model = NearestPatch(Teacher(), seed=0).fit(data.train)
    shown = ThresholdExplorer({"nearest patch": predict(model, data.test)}, pictures, data.masks, data.labels,
                              names=[f"{d}/{p.name}" for d, p in zip(data.defects, data.paths, strict=True)],
                              validation_maps={"nearest patch": predict(model, data.validation)})
    page = opened(shown, width=1100)
    for suggestion in shown.suggestions:
        shown.threshold = suggestion["threshold"]
        for index in (1, 59):
            code = list(shown.coded[0].edges).index(shown.threshold)
            drawn(page, f"e.set({{index: {index}}}), e.setCode({code})")
            assert_numbers_are_pythons(page, shown, index)
    drawn(page, f"e.setCode(e.codeAt(0.6)), e.set({{index: {shown.index}}})")
    shoot(page, "readme")


@pytest.mark.slow
def test_three_hundred_images_open_at_once_and_the_picture_keeps_up_with_the_slider(browser, tmp_path, monkeypatch):
    monkeypatch.setattr("adlib.explorer.widget.SHOWN", 300)
    rng = np.random.default_rng(0)
    blurred = [ndimage.zoom(rng.random((300, 24, 24), np.float32), (1, 256 / 24, 256 / 24), order=1) for _ in range(2)]
    masks = np.zeros((300, 256, 256), bool)
    masks[::2, 100:140, 60:90] = True
    images = np.repeat((255 * blurred[1]).astype(np.uint8)[:, None], 3, axis=1)
    path = ThresholdExplorer(blurred[0] + 0.3 * masks, images, masks).to_html(tmp_path / "many.html")
    page = browser.new_page(viewport={"width": 1100, "height": 900})
    start = time.perf_counter()
    page.goto(path.as_uri())
    page.wait_for_selector("canvas[aria-label]")
    opening = time.perf_counter() - start
    times = page.evaluate("""async () => {
        const e = document.querySelector('[data-adlib-static]').widget, times = [];
        for (let i = 0; i < 60; i++) {
            e.slider.value = 3000 + 100 * i;
            const began = performance.now();
            e.slider.dispatchEvent(new Event("input"));
            await new Promise((done) => e.host.addEventListener("adlib:drawn", done, {once: true}));
            times.push(performance.now() - began);
        }
        return times; }""")
    print(f"{path.stat().st_size / 1e6:.1f} MB open in {opening:.2f} s; slider to picture {np.median(times):.0f} ms "
          f"(median), {max(times):.0f} ms at most")
    assert opening < 3
    assert np.median(times) < 50
