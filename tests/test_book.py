"""The book, built of two small executed lessons, or in the slow tests of all: what links, shows, asks and weighs."""

import base64
import importlib.util
import io
import json
import os
import re
import shutil
import sys
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from adlib import ROOT
from adlib.runs.parameters import NOTEBOOKS

DOCS = ROOT / "docs"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SHOTS = os.environ.get("ADLIB_SHOTS")       # a folder to leave screenshots in
TOOLS = (DOCS / "node_modules").is_dir() and all(map(importlib.util.find_spec, ("sphinx", "myst_nb", "sphinx_design")))
pytestmark = pytest.mark.skipif(not TOOLS, reason="the book's tools are not installed: make book-tools")
sys.path.insert(0, str(DOCS))
MB = 2**20


# Two lessons ---------------------------------------------------------------------------------------------------------


def picture(alt: str):
    png = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 300, 3), np.uint8)).save(png, "PNG")
    data = {"image/png": base64.b64encode(png.getvalue()).decode(), "text/plain": "<Image>"}
    return new_output("display_data", data=data, metadata={"image/png": {"alt": alt}})


def said(text: str):
    return new_output("display_data", data={"text/markdown": text, "text/plain": "<Markdown>"})


def widget():
    from adlib.explorer.widget import ThresholdExplorer

    maps = np.random.default_rng(0).random((6, 64, 64), np.float32)
    masks = np.zeros(maps.shape, bool)
    masks[::2, 20:40, 20:40] = True
    images = np.random.default_rng(1).integers(0, 255, (6, 3, 96, 96), np.uint8)
    return new_output("display_data", data={"text/html": ThresholdExplorer(maps + masks, images, masks)._form()})


def prediction(folder: Path) -> tuple:
    """A form, and what the run found."""
    from adlib.explorer.predictions import Finding, ask

    form = ask("01-x", "What will it become?", ["nothing", "a third"], out_dir=folder)
    found = Finding("01-x", form.question, "not answered", "The answer: a third. From "
                    "[`demo.csv`](results/demo.csv), for [02](02_destseg.ipynb) and [09](09_results.ipynb).",
                    folded=True)
    return (new_output("display_data", data={"text/html": form._form(), "text/plain": "x"}),
            new_output("display_data", data={"text/html": found._repr_html_(), "text/plain": repr(found)}))


def small_lesson(title: str, *cells, folder: str = "/srv/somebody/adlib"):
    """An executed lesson of a few cells, as papermill leaves it."""
    head = (f"# {title}\n\nA teacher and a student.\n\nAfter this lesson you can\n\n- **derive** the loss;\n\n"
            f"**Before:** nothing. **Contents** (7 minutes to read).")
    first = [new_markdown_cell(head, id="title"),
             new_code_cell('category = "circuit"  # one\nbudget = "demo"  # two\nseed = 0  # three', id="parameters",
                           metadata={"tags": ["parameters", "run"]}, execution_count=1),
             new_code_cell(f'# Parameters\nbudget = "smoke"\nout_dir = "{folder}/runs"', id="injected",
                           metadata={"tags": ["injected-parameters"]}, execution_count=2)]
    for cell in cells:
        cell.metadata["papermill"] = {"duration": 2.0}
        if cell.cell_type == "code":
            cell.execution_count = 3
    told = {"end_time": "2026-01-01", "exception": None, "duration": 42.0, "parameters": {"out_dir": f"{folder}/runs"},
            "input_path": f"{folder}/notebooks/x.ipynb", "output_path": f"{folder}/runs/lessons/x.ipynb"}
    return new_notebook(cells=[*first, *cells], metadata={"papermill": told, "widgets": {"state": {}}, "kernelspec": {
        "name": "python3", "display_name": "Python 3"}})


def write_small_lessons(folder: Path) -> None:
    form, found = prediction(folder)
    one = small_lesson(
        "01 · STFPM: a small one",
        new_markdown_cell("## 1 · The loss\n\nThe angle, by its cosine:\n\n$$\\ell(p) = 1 - \\cos\\angle(t, s)$$\n\n"
                          "**Predict:** how far does it fall?", id="loss", metadata={"tags": ["recall"]}),
        new_code_cell("import torch\n\nfrom adlib.losses import cosine_distance\n\na = torch.ones(1, 2, 1, 1)\n"
                      "b = 2 * a\n"
                      "d = cosine_distance(a, b)  # (B, H, W)", id="by-hand", metadata={"tags": ["recall"]}),
        new_code_cell("from adlib import metrics\n\nmetrics.auroc([1, 2], [0, 1])", id="fall", outputs=[
            said("It falls to **zero**."), new_output("stream", name="stdout", text="run written to "
                                                      "/srv/somebody/adlib/runs/stfpm/demo\n")]),
        new_code_cell('predictions.ask("01-x", "What will it become?", ["nothing", "a third"])', id="ask",
                      outputs=[form]),
        new_code_cell('predictions.reveal("01-x", "a third")', id="reveal", outputs=[found]),
        new_code_cell("draw()", id="figure", outputs=[picture("A row of noise."), said("*Noise with $\\sigma$ of 4.*")],
                      metadata={"tags": ["cover"]}),
        new_code_cell("draw()", id="again", outputs=[picture("The same."), said("*Once more. And more.*")]),
        new_code_cell("explorer", id="explorer", outputs=[widget(), new_output("display_data", data={
            "application/vnd.jupyter.widget-view+json": {"model_id": "x"}, "text/plain": "x"})]),
        new_code_cell("# Solution: half.\nanswer = 0.8", id="solution", metadata={"tags": ["solution"]},
                      outputs=[new_output("stream", name="stdout", text="right: gradients are linear")]),
        new_markdown_cell("## Recap\n\n1. The student imitates.\n\n**References.** A [paper](https://arxiv.org/abs/"
                          "2103.04257); code: [`losses.py`](../adlib/losses.py).\n\n**Next:** "
                          "[02 · DeSTSeg](02_destseg.ipynb), and much later [09](09_results.ipynb).", id="recap"))
    two = small_lesson("02 · DeSTSeg: another", new_markdown_cell("## 1 · Noise\n\nPerlin noise.", id="noise"),
                       new_code_cell("draw()", id="figure", outputs=[picture("A lattice."), said("*Noise.*")]),
                       new_markdown_cell("## Recap\n\n1. It repairs.", id="recap"))
    nbformat.write(one, folder / "01_stfpm.ipynb")
    nbformat.write(two, folder / "02_destseg.ipynb")


@pytest.fixture(scope="module")
def book(tmp_path_factory) -> Path:
    import build

    folder = tmp_path_factory.mktemp("book")
    write_small_lessons(folder)
    return build.build(build.read_lessons(folder), folder / "site", work=folder / "work",
                       repository="https://github.com/somebody/adlib")


@pytest.fixture(scope="module")
def whole_book() -> Path:
    """What `make book` has left."""
    lessons = {path.stem for path in NOTEBOOKS.glob("*.ipynb")}
    if not lessons <= {path.stem for path in (ROOT / "book/lessons").glob("*.html")}:
        pytest.skip("book/ does not hold every lesson: make book RUN=1")
    return ROOT / "book"


def page(book: Path, name: str) -> str:
    return (book / name).read_text(encoding="utf-8")


# What is on the pages ------------------------------------------------------------------------------------------------


def test_a_lesson_as_a_page(book):
    text = page(book, "lessons/01_stfpm.html")
    assert text.count("<figure") == 2
    assert 'alt="A row of noise."' in text
    assert re.search(r'<figcaption>.*Noise with <span class="formula">\\sigma</span> of 4', text, re.S)
    assert "widget-view" not in text
    assert "somebody/adlib/runs" not in text
    assert "run written to runs/stfpm/demo" in text
    assert "budget smoke, category circuit, seed 0" in text
    assert "injected" not in text
    assert re.search(r"The loss</[^>]*>[^<]*, 16 s", text), "eight cells of two seconds"
    assert re.search(r'<a class="right-next"\s+href="02_destseg.html"', text)


def test_a_solution_is_folded_with_what_it_prints(book):
    folds = re.findall(r"<details.*?</details>", page(book, "lessons/01_stfpm.html"), re.S)
    assert sum("right: gradients are linear" in fold and "Solution" in fold for fold in folds) == 1
    assert not any("<details open" in fold for fold in folds)


def test_code_leads_to_the_reference_and_to_the_source(book):
    text = page(book, "lessons/01_stfpm.html")
    assert re.search(r'href="\.\./api/losses\.html#adlib\.losses\.cosine_distance"', text)
    assert 'href="../source/adlib/losses.html#cosine_distance"' in text
    assert 'href="../source/adlib/metrics.html#auroc"' in text
    assert 'href="../source/adlib/losses.html"' in text, "the link of the references"


def test_terms_explain_themselves(book):
    text = page(book, "lessons/01_stfpm.html")
    found = re.findall(r'<a class="term" data-meaning="The frozen [^"]*" href="../glossary.html#term-teacher">', text)
    assert len(found) == 1


def test_a_lesson_that_is_not_there_is_no_link(book):
    assert "09_results" not in page(book, "lessons/01_stfpm.html")


def test_recall_asks_and_folds_the_answer(book):
    text = page(book, "recall/01_stfpm.html")
    folds = re.findall(r"<details.*?</details>", text, re.S)
    asked = re.sub(r"<details.*?</details>", "", text, flags=re.S)
    plain = unescape(re.sub(r"<[^>]*>", "", asked))
    assert "d = ____  # (B, H, W)" in plain
    assert "a = torch.ones(1, 2, 1, 1)" in plain, "what is given is shown"
    assert "How far does it fall?" in plain
    assert "derive the loss" in plain
    assert "What will it become?" in plain
    for answer in ("cosine_distance(a, b)", r"\cos\angle", "zero", "The student imitates", "a third"):
        assert answer not in plain
        assert any(answer in unescape(re.sub(r"<[^>]*>", "", fold)) for fold in folds), answer


def test_blanks_leave_what_is_given_and_what_checks():
    import recall

    code = ("w, path = 3.0, []\nfor step in range(3):\n    w -= rate[step] * w\n    path.append(w)\n    shown = f(1)\n"
            "assert_close(w, given)\nreturned = [x for x in path]")
    assert recall.blank(code).splitlines() == [
        "w, path = 3.0, []", "for step in range(3):", "    w -= ____", "    ____", "    shown = f(1)",
        "assert_close(w, given)", "returned = ____"]


def test_the_gallery_leads_to_each_figure(book):
    tiles = re.findall(r'<a href="(lessons/\w+\.html)#(fig-[\w-]+)"><img loading="lazy" alt="([^"]+)" src="([^"]+)">',
                       page(book, "gallery.html"))
    assert [tile[2] for tile in tiles] == ["A row of noise.", "The same.", "A lattice."]
    assert all((book / tile[3]).exists() for tile in tiles)


def test_the_first_sentence_of_a_caption_is_whole():
    import build

    assert build.first_sentence("Maps of a level (after Fig. 1). And more.") == "Maps of a level (after Fig. 1)."
    assert build.first_sentence("No other sentence") == "No other sentence"


def test_a_lesson_folds_what_its_run_found(book):
    folds = re.findall(r"<details data-adlib-finding=.*?</details>", page(book, "lessons/01_stfpm.html"), re.S)
    assert len(folds) == 1
    assert "The answer: a third." in folds[0]
    assert re.search(r'From <code[^>]*>.*?demo\.csv.*?</code>, for <a [^>]*href="02_destseg\.html">02</a> and 09\.',
                     folds[0], re.S), "links of HTML outputs are mended, too"


def test_the_front_page(book):
    text = page(book, "index.html")
    assert "data-fills" in text, "a live explorer"
    assert text.count("sd-card-img-top") == 2
    assert "7 minutes to read, executed in 42 s" in text
    assert "Afterwards you can train and explain student-teacher feature pyramid matching." in text
    assert re.search(r"<td>.*destseg.*</td>", text)
    assert re.search("<td>.*\\d\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}\\d.*</td>", text)
    assert "make demo" in text


def test_notebooks_for_elsewhere(book):
    there = nbformat.read(book / "notebooks/01_stfpm.ipynb", as_version=4)
    assert there.cells[1:] == nbformat.read(NOTEBOOKS / "01_stfpm.ipynb", as_version=4).cells
    assert "git clone -q --depth 1 https://github.com/somebody/adlib adlib" in there.cells[0].source
    assert ('href="https://colab.research.google.com/github/somebody/adlib/blob/gh-pages/notebooks/01_stfpm.ipynb"'
            in page(book, "lessons/01_stfpm.html"))


def test_the_library_is_in_the_reference_and_every_source_in_the_book(book):
    for module, name in (("losses", "focal_loss"), ("networks", "stfpm.STFPM"), ("recipes", "rd4ad"),
                         ("perlin", "corrupt"), ("training", "fit"), ("data", "category.load_category"),
                         ("metrics", "iap")):
        assert re.search(rf'id="adlib\.([a-z_]+\.)?{name}"', page(book, f"api/{module}.html")), name
    modules = {path.relative_to(ROOT).with_suffix("") for path in (ROOT / "adlib").rglob("*.py")}
    modules = {path for path in modules if path.name != "__init__"}
    assert {path for path in modules if not (book / "source" / f"{path}.html").exists()} == set()


def test_a_lesson_that_stopped_is_left_out(tmp_path, capsys):
    import build

    write_small_lessons(tmp_path)
    stopped = json.loads((tmp_path / "02_destseg.ipynb").read_text())
    stopped["cells"][-2]["execution_count"] = None
    (tmp_path / "02_destseg.ipynb").write_text(json.dumps(stopped))
    assert [lesson.stem for lesson in build.read_lessons(tmp_path)] == ["01_stfpm"]
    told = capsys.readouterr().out
    assert "not in the book: 02_destseg" in told
    assert "01_stfpm was executed from an older text" in told


# Links and weights ---------------------------------------------------------------------------------------------------


def pages_of(book: Path) -> list[Path]:
    return [path for path in sorted(book.rglob("*.html")) if "_static" not in path.parts]


def links_and_anchors(path: Path) -> tuple[set[str], set[str]]:
    text = re.sub(r"<script.*?</script>", "", path.read_text(encoding="utf-8"), flags=re.S)
    return ({unescape(a) for a in re.findall(r'<[^>]* (?:href|src)="([^"]*)"', text)},
            {unescape(a) for a in re.findall(r'<[^>]* id="([^"]*)"', text)})


def broken_links(book: Path) -> list[str]:
    """Links of all pages that lead to no file or no anchor of the book; those that lead outside are not followed."""
    pages = {path.resolve(): links_and_anchors(path) for path in pages_of(book)}
    broken = []
    for path, (links, _) in pages.items():
        for link in links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            anchors = pages.get(target, (None, None))[1]
            lost = parts.fragment and anchors is not None and unquote(parts.fragment) not in anchors
            if lost or not target.exists():
                broken.append(f"{path.relative_to(book.resolve())}: {link}")
    return sorted(broken)


def size_with_pictures(path: Path) -> int:
    """Bytes of a page with its pictures, without the data of its widgets."""
    links, _ = links_and_anchors(path)
    shown = {(path.parent / link).resolve() for link in links if re.search(r"\.(webp|png|svg|jpe?g)$", link)}
    return path.stat().st_size + sum(file.stat().st_size for file in shown)


def without_alt(path: Path) -> list[str]:
    pictures = re.findall(r"<img[^>]*>", path.read_text(encoding="utf-8"))
    return [tag for tag in pictures if not re.search(r' alt="[^"]+"', tag)]


def check_pages(book: Path) -> None:
    assert broken_links(book) == []
    sizes = {str(path.relative_to(book)): size_with_pictures(path) for path in pages_of(book)}
    assert {name: size for name, size in sizes.items() if size > 3 * MB} == {}
    assert sum(path.stat().st_size for path in book.rglob("*") if path.is_file()) < 60 * MB
    silent = {str(path.relative_to(book)): without_alt(path) for path in pages_of(book)}
    assert {name: tags for name, tags in silent.items() if tags} == {}
    named = re.compile("|".join(map(re.escape, {str(ROOT), str(Path.home()), "/tmp/"})))
    texts = {path: path.read_text(encoding="utf-8") for path in pages_of(book) if "source" not in path.parts}
    assert {path for path, text in texts.items() if named.search(text)} == set(), "a path of this machine"


def test_links_weights_and_alt_texts(book):
    check_pages(book)


def test_a_broken_link_is_noticed(tmp_path):
    (tmp_path / "a.html").write_text('<a href="b.html#there"></a> <a href="b.html#gone"></a> <img src="c.png" alt="">')
    (tmp_path / "b.html").write_text('<p id="there"></p> <a href="https://example.org/x"></a>')
    assert broken_links(tmp_path) == ["a.html: b.html#gone", "a.html: c.png"]
    assert without_alt(tmp_path / "a.html") == ['<img src="c.png" alt="">']


@pytest.mark.slow
def test_links_weights_and_alt_texts_of_all(whole_book):
    check_pages(whole_book)


# In a browser --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=[
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"])
        yield chromium
        chromium.close()


class Visit:
    """A book's pages in Chromium without a network; notes what goes wrong, and what was asked for from outside."""

    def __init__(self, browser, book: Path, *, theme: str = "light", width: int = 1280):
        self.book, self.wrong, self.theme = book, [], theme
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme, offline=True)
        self.page = self.context.new_page()
        self.page.on("console", lambda m: self.note(m.text, m.type not in ("error", "warning")))
        self.page.on("pageerror", lambda error: self.note(str(error), False))
        self.page.on("request", lambda asked: self.note(asked.url, asked.url.startswith(("file:", "data:", "blob:"))))

    def note(self, told: str, good: bool) -> None:
        if not good:
            self.wrong.append(told)

    def open(self, name: str):
        self.page.goto(f"{self.book.as_uri()}/{name}", wait_until="load")
        self.page.wait_for_function("document.body.dataset.jpThemeLight !== undefined")
        for form in self.page.locator("[data-adlib-static]").all():     # each begins when it is seen
            form.scroll_into_view_if_needed()
            form.locator(".adlib").wait_for(state="attached")
        self.page.evaluate("document.querySelector(location.hash || 'body').scrollIntoView()")
        return self.page

    def faults(self) -> list[str]:
        """What axe-core calls serious or critical on the page that is open."""
        self.page.add_script_tag(path=DOCS / "node_modules/axe-core/axe.min.js")
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations'], preload: false})")
        return [f"{v['id']}: {v['nodes'][0]['html'][:160]}" for v in found["violations"]
                if v["impact"] in ("serious", "critical")]


@pytest.fixture
def visit(browser):
    made = []

    def start(book: Path, **options) -> Visit:
        made.append(Visit(browser, book, **options))
        return made[-1]

    yield start
    for one in made:
        one.context.close()
        assert one.wrong == []


CHECKED = ("index.html", "lessons/01_stfpm.html", "recall/01_stfpm.html", "gallery.html", "glossary.html",
           "api/losses.html", "search.html", "source/adlib/losses.html")


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 400)])
def test_pages_offline(book, visit, theme, width):
    visitor = visit(book, theme=theme, width=width)
    for name in CHECKED:
        opened = visitor.open(name)
        assert visitor.faults() == [], name
        assert opened.evaluate("document.documentElement.scrollWidth") <= width, f"{name} scrolls sideways"
        assert opened.evaluate("document.body.dataset.jpThemeLight") == str(theme == "light").lower()
    opened = visitor.open("lessons/01_stfpm.html")
    assert opened.locator(".formula .katex").count() == opened.locator(".formula").count() >= 2
    assert opened.evaluate("document.fonts.check('16px KaTeX_Main')")
    assert opened.locator(".katex-error").count() == 0


def test_the_widget_lives_and_follows_the_theme(book, visit):
    opened = visit(book).open("lessons/01_stfpm.html")
    assert opened.locator(".adlib").first.get_attribute("data-theme") == "light"
    opened.evaluate("document.documentElement.dataset.theme = 'dark'")
    opened.wait_for_selector(".adlib[data-theme=dark]")


def test_search_needs_no_server(book, visit):
    opened = visit(book).open("search.html?q=imitates")
    opened.wait_for_selector("#search-results li a")
    assert "01_stfpm" in opened.locator("#search-results li a").first.get_attribute("href")


def test_a_term_shows_its_meaning(book, visit):
    opened = visit(book).open("lessons/01_stfpm.html")
    term = opened.locator("a.term").first
    term.hover()
    assert "frozen network" in term.evaluate("e => getComputedStyle(e, '::after').content")


@pytest.mark.slow
def test_every_page_offline(whole_book, visit):
    """Every page but the copies of sources; leaves the README's pictures where ADLIB_SHOTS says."""
    visitor, faults = visit(whole_book), {}
    for name, shot in (("index.html", "book_front"),
                       ("lessons/01_stfpm.html#fig-01-stfpm-architecture-0", "book_lesson")):
        if SHOTS:
            visitor.open(name).wait_for_timeout(500)
            visitor.page.screenshot(path=Path(SHOTS) / f"{shot}.png")
    for path in pages_of(whole_book):
        name = str(path.relative_to(whole_book))
        if not name.startswith("source"):
            opened = visitor.open(name)
            faults[name] = visitor.faults() + opened.locator(".katex-error").all_inner_texts()
    assert {name: found for name, found in faults.items() if found} == {}
