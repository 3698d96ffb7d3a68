"""The book: executed lessons as a static site that needs no network. `make book` runs this; it executes nothing itself.

    python docs/build.py [EXECUTED] [OUT]       # by default runs/lessons and book
    python docs/build.py --run                  # executes first what is missing, at budget demo
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from html import escape
from pathlib import Path

import pages
import recall
import sources
from pages import Lesson

from adlib import ROOT
from adlib.runs.parameters import NOTEBOOKS

DOCS = Path(__file__).parent
CATEGORY = "circuit"
ROOMS = ("demo", "runs", "explorer", "lessons")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("executed", nargs="?", type=Path, default=ROOT / "runs/lessons", help="executed lessons")
    parser.add_argument("out", nargs="?", type=Path, default=ROOT / "book", help="folder of the site")
    parser.add_argument("--run", action="store_true", help="execute the lessons that are missing, at budget demo")
    options = parser.parse_args()
    if options.run:
        execute_missing(options.executed)
    lessons = read_lessons(options.executed)
    if not lessons:
        print(f"no executed lesson in {options.executed}; `make demo` leaves five, `make book RUN=1` makes all",
              file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as work:
        build(lessons, options.out, work=Path(work))
    print(f"the book: {(options.out / 'index.html').resolve()}")
    return 0


def execute_missing(folder: Path) -> None:
    """Execute the lessons that are not there yet or were executed from another text, and the runs that they read."""
    from adlib.demo import generate
    from adlib.runs.execute import READS, run_lessons

    generate.ensure(generate.root(0))       # once, before lessons run side by side
    sources = sorted(NOTEBOOKS.glob("*.ipynb"))
    missing = [source.stem for source in sources if not is_current(folder / source.name, source)]
    print(f"to execute: {', '.join(missing) or 'nothing'}")
    options, out = ["--category", CATEGORY, "--out-dir", str(folder.parent)], folder.parent
    run_lessons([lesson for lesson in missing if lesson in READS], options, out_dir=out)
    if "05_ablations" in missing:
        sweep = ["sweep", "--table", "stfpm_3", "--categories", CATEGORY, "--seeds", "0,1,2", "--budget", "demo",
                 "--out-dir", str(out)]
        subprocess.run([sys.executable, "-m", "adlib", *sweep], check=True)
    run_lessons([lesson for lesson in missing if lesson not in READS], options, out_dir=out)


def is_current(executed: Path, source: Path) -> bool:
    try:
        return not pages.differs(pages.read_lesson(executed), source)
    except (OSError, ValueError):
        return False


def read_lessons(folder: Path) -> list[Lesson]:
    """The executed lessons of a folder in reading order; says which are left out, or older than their text."""
    lessons = []
    for source in sorted(NOTEBOOKS.glob("*.ipynb")):
        try:
            lessons.append(pages.read_lesson(folder / source.name))
        except (OSError, ValueError):
            print(f"not in the book: {source.stem}, which was not executed to its end")
        else:
            if pages.differs(lessons[-1], source):
                print(f"{source.stem} was executed from an older text than notebooks/{source.name}")
    return lessons


def build(lessons: list[Lesson], out: Path, *, work: Path, repository: str | None = None) -> Path:
    """Write the site of some executed lessons into a folder, which is emptied first; returns the folder."""
    repository = read_repository() if repository is None else repository
    write_sources(lessons, work / "source", repository=repository)
    shutil.rmtree(out, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "sphinx", "-b", "html", "-q", "-W", "--keep-going", "-d", work / "doctrees",
                    work / "source", out], check=True)
    sources.write_sources_of_adlib(out)
    (out / "notebooks").mkdir()
    for lesson in lessons:
        pages.write_notebook(NOTEBOOKS / f"{lesson.stem}.ipynb", out / "notebooks" / f"{lesson.stem}.ipynb",
                             repository=repository)
    (out / ".nojekyll").touch()
    (out / ".buildinfo").unlink(missing_ok=True)
    return out


def read_repository() -> str:
    """Where the project is published, of pyproject.toml; empty where it is not."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["adlib"]["repository"]


def write_sources(lessons: list[Lesson], source: Path, *, repository: str) -> None:
    """Everything that Sphinx reads: this folder, and a page per lesson, its twin, the gallery, the front page."""
    shutil.copytree(DOCS, source, ignore=shutil.ignore_patterns("node_modules", "__pycache__", "*.json", "build.py",
                                                                "pages.py", "recall.py"))
    for folder in ("lessons/figures", "static/thumbnails"):
        (source / folder).mkdir(parents=True, exist_ok=True)
    katex = DOCS / "node_modules/katex/dist"
    wanted = re.compile(r"fonts$|\.woff2$|katex\.min\.")
    shutil.copytree(katex, source / "static/katex", ignore=lambda _, names: [n for n in names if not wanted.search(n)])
    in_book = {lesson.stem for lesson in lessons}
    for lesson in lessons:
        (source / "recall" / f"{lesson.stem}.md").write_text(recall.write_twin(lesson, in_book), encoding="utf-8")
        pages.write_page(lesson, source, in_book, repository=repository)
    fill(source / "index.md", explorer=front_explorer(lessons, source), cards=cards(lessons, ""),
         start=of_readme("## Two commands", "`make demo` ends like this"), results=results_table())
    fill(source / "lessons/index.md", cards=cards(lessons, ""), pages="\n".join(sorted(in_book)))
    fill(source / "recall/index.md", pages="\n".join(sorted(in_book)))
    fill(source / "api/index.md", **{room: sources.list_modules(room) for room in ROOMS})
    for package in ("networks", "data"):
        fill(source / f"api/{package}.md", modules=sources.list_reference(package))
    fill(source / "gallery.md", figures="\n".join(map(gallery_of, lessons)))


def fill(page: Path, **parts: str) -> None:
    """Put the parts of a page where it names them, as %NAME% on a line of its own."""
    text = page.read_text(encoding="utf-8")
    for name, part in parts.items():
        assert text.count(f"%{name}%") == 1, (page, name)
        text = text.replace(f"%{name}%", part)
    page.write_text(text, encoding="utf-8")


def of_readme(begin: str, end: str) -> str:
    """A part of the README, from behind one line to before another."""
    return (ROOT / "README.md").read_text(encoding="utf-8").split(f"\n{begin}\n")[1].split(f"\n{end}")[0].strip()


def results_table() -> str:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = re.search(r"^\| method \| image AUROC.*?(?=\n\n)", readme, re.M | re.S)[0]
    return table.replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}")


def afterwards() -> dict[str, str]:
    """What the reader can do after each lesson, as the README says."""
    rows = re.findall(r"^\| \[[^]]*\]\(notebooks/(\w+)\.ipynb\) \| (.*) \|$", (ROOT / "README.md").read_text(), re.M)
    return dict(rows)


def cards(lessons: list[Lesson], folder: str) -> str:
    aims = afterwards()
    return "\n".join(["::::::{grid} 1 2 3 3", ":gutter: 3", ":class-container: cards", "",
                      *(card(lesson, aims.get(lesson.stem, "")) for lesson in lessons), "::::::"])


def card(lesson: Lesson, aim: str) -> str:
    picture = ([f":img-top: /static/thumbnails/{lesson.cover.name}.webp", f":img-alt: {lesson.cover.alt}"]
               if lesson.cover else [])
    foot = [f"{lesson.minutes} minutes to read"] if lesson.minutes else []
    foot.append(f"executed in {pages.duration(lesson.seconds)}")
    return "\n".join([f":::::{{grid-item-card}} {lesson.title}", f":link: /lessons/{lesson.stem}", ":link-type: doc",
                      *picture, "", f"Afterwards you can {aim}." if aim else "", "",
                      "::::{card-footer}", ", ".join(foot), "::::", ":::::"])


def front_explorer(lessons: list[Lesson], source: Path) -> str:
    """The static form of the largest widget of the last lesson that has one: the threshold explorer, if it is there."""
    forms = [(lesson, output.data["text/html"]) for lesson in lessons for cell in lesson.notebook.cells
             for output in cell.get("outputs", []) if "data-fills" in output.get("data", {}).get("text/html", "")]
    if not forms:
        return ""
    lesson, form = next((f for f in reversed(forms) if f[0].stem == "08_threshold_explorer"), forms[-1])
    return f'```{{raw}} html\n<div class="front">\n{form.replace("../_static", "_static")}\n</div>\n```'


def gallery_of(lesson: Lesson) -> str:
    tiles = [f'<a href="lessons/{lesson.stem}.html#fig-{f.name}"><img loading="lazy" alt="{escape(f.alt)}" '
             f'src="_static/thumbnails/{f.name}.webp"><span>{escape(first_sentence(f.caption))}</span></a>'
             for f in lesson.figures]
    return "\n".join([f"## {lesson.title}\n", '<div class="gallery">', *tiles, "</div>\n"])


def first_sentence(caption: str) -> str:
    return re.split(r"(?<=\.)(?<!Fig\.)\s", re.sub(r"[`$\\]", "", caption))[0]


if __name__ == "__main__":
    sys.exit(main())
