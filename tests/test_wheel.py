"""A wheel of the project works where no repository is around it, and its dependencies are those that are pinned."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from adlib import ROOT

# No other adlib may be found: pip would leave out what is installed already.
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP"))}

# Runs in the fresh environment; what it prints last is judged here.
PROGRAM = """
import importlib, json, pkgutil
import numpy as np
import adlib
from adlib.runs import describe
from adlib.explorer import ThresholdExplorer
from adlib.runs import lesson_parameters
from adlib.runs.published import read_published

modules = [found.name for found in pkgutil.walk_packages(adlib.__path__, "adlib.")]
for name in modules:
    importlib.import_module(name)
problems = describe("set")
maps = np.random.default_rng(0).random((4, 256, 256), np.float32)
page = ThresholdExplorer(maps, labels=np.array([False, False, True, True])).to_html("page.html")
try:
    lesson_parameters("01_stfpm")
except FileNotFoundError as error:
    no_lessons = str(error)
print(json.dumps([adlib.__file__, str(adlib.ROOT), modules, problems, len(read_published()), str(page), no_lessons]))
"""


def test_an_installed_wheel_works(tmp_path, bolt):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "set").mkdir(parents=True)
    bolt.rename(elsewhere / "set/bolt")
    python = install(build_wheel(tmp_path / "source"), tmp_path / "venv")
    printed = subprocess.run([python, "-c", PROGRAM], cwd=elsewhere, env=CLEAN, stdout=subprocess.PIPE, text=True,
                             check=True).stdout
    file, root, modules, problems, published, page, no_lessons = json.loads(printed.splitlines()[-1])
    assert Path(file).is_relative_to(tmp_path / "venv"), "the wheel's adlib, not this repository's"
    assert Path(root) == elsewhere
    sources = [path for path in (ROOT / "adlib").rglob("*.py") if path != ROOT / "adlib/__init__.py"]
    assert len(modules) == len(sources)
    assert problems == []
    assert re.search(r"^bolt +10 +3 +4 +4 ", printed, re.M)
    assert published > 1000
    assert Path(page) == elsewhere / "page.html"
    assert "render" in Path(page).read_text()
    assert "they come with adlib's repository" in no_lessons
    assert not other_files(ROOT / "adlib") ^ other_files(Path(file).parent), "the wheel holds every file of adlib"


def build_wheel(source: Path) -> Path:
    """Build in a copy, so that nothing is left here, and without a network."""
    shutil.copytree(ROOT / "adlib", source / "adlib", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip(sys.executable, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", source / "dist", source)
    return next((source / "dist").glob("adlib-*.whl"))


def install(wheel: Path, folder: Path) -> Path:
    """A fresh environment with the wheel; it borrows all other packages from this one, but not its editable adlib."""
    venv.create(folder)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pip(python, "install", "--no-deps", wheel)
    site = next(folder.rglob("site-packages"))
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib"))    # .pth files in there are not followed
    return python


def pip(python: Path | str, command: str, *options: object) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--python", str(python), command, "--no-index", "--quiet",
                    "--disable-pip-version-check", *map(str, options)], env=CLEAN, check=True)


def other_files(package: Path) -> set[str]:
    return {path.relative_to(package).as_posix() for path in package.rglob("*")
            if path.is_file() and path.suffix not in (".py", ".pyc")}


def read_dependencies(extra: str = "") -> list[Requirement]:
    """What adlib needs, or an extra of it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [Requirement(text) for text in
            (project["optional-dependencies"][extra] if extra else project["dependencies"])]


def test_dependencies_are_what_adlib_imports():
    trees = [ast.parse(path.read_text()) for path in (ROOT / "adlib").rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    names = {module.split(".")[0] for module in modules} - sys.stdlib_module_names - {"adlib"}
    projects = packages_distributions()
    optional = {needed.name for needed in read_dependencies("export")}
    imported = {canonicalize_name(projects.get(name, [name])[0]) for name in names}
    assert imported - optional == {needed.name for needed in read_dependencies()}


def test_dependencies_are_pinned():
    """Else `pip install -r requirements.txt` could bring another version than the tests run with."""
    pins = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "requirements.txt").read_text(), re.M))
    assert [str(needed) for needed in [*read_dependencies(), *read_dependencies("export")]
            if needed.name not in pins or not needed.specifier.contains(pins[needed.name])] == []
