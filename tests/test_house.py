"""The shape of the package: floors, rooms, names. CONTRIBUTING.md says what for."""

import ast
import importlib
import re
import shutil
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

from adlib import ROOT, __version__

PACKAGE = ROOT / "adlib"
CORE = ("networks", "losses.py", "perlin.py", "metrics.py", "data", "training.py", "recipes.py")
ROOMS = ("demo", "runs", "explorer", "lessons")
# A method or a lesson may have a module in several rooms: its network, its figures, its exercises.
LESSON_MODULES = {"ablations", "data_and_metrics", "destseg", "failure_cases", "feature_space", "masked_rd", "rd4ad",
                  "resolution", "results", "stfpm", "threshold_explorer"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def check_contract(folder: Path) -> subprocess.CompletedProcess:
    """Judge the adlib in a folder by the contract of its pyproject.toml."""
    program = "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command as c; c()"
    return subprocess.run([sys.executable, "-c", program, "--no-cache"], cwd=folder, capture_output=True, text=True,
                          check=False)


def test_imports_only_go_down():
    judged = check_contract(ROOT)
    assert judged.returncode == 0, judged.stdout


@pytest.mark.parametrize(("module", "line", "complaint"), [
    ("losses.py", "from adlib.networks import layers", "adlib.losses is not allowed to import adlib.networks"),
    ("data/images.py", "def late():\n    from adlib import runs", "adlib.data is not allowed to import adlib.runs"),
    ("stray.py", "", "stray"),
])
def test_the_contract_notices(tmp_path, module, line, complaint):
    shutil.copytree(PACKAGE, tmp_path / "adlib", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "adlib" / module).open("a") as file:
        file.write(f"\n{line}\n")
    judged = check_contract(tmp_path)
    assert judged.returncode == 1
    assert complaint in judged.stdout


def test_the_listing():
    found = {path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    assert found == {"__init__.py", "__main__.py", "py.typed", "settings.py", *CORE, *ROOMS}


def test_the_core_is_small():
    files = [path for path in MODULES if path.relative_to(PACKAGE).parts[0] in CORE]
    lines = {str(path.relative_to(PACKAGE)): len(path.read_text().splitlines()) for path in files}
    assert sum(lines.values()) <= 3500, lines


@pytest.mark.parametrize("room", [path.parent for path in MODULES if path.name == "__init__.py"],
                         ids=lambda room: room.relative_to(ROOT).as_posix())
def test_a_room_has_a_face(room):
    name, found = ".".join(room.relative_to(ROOT).parts), {}
    exec(f"from {name} import *", found)        # raises where a name does not exist
    assert found.keys() - {"__builtins__"} == set(importlib.import_module(name).__all__)


def defined_names(module: Path) -> list[str]:
    """Functions, classes and constants of a module's top level."""
    names = []
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names += [n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)]
    return [name for name in names if not (name.startswith("__") and name.endswith("__"))]


def test_a_name_means_one_thing():
    where = defaultdict(set)
    for module in MODULES:
        for name in defined_names(module):
            where[name].add(module.relative_to(PACKAGE).as_posix())
    repeated = {name: sorted(modules) for name, modules in where.items() if len(modules) > 1}
    assert repeated == {}


def test_only_lessons_repeat_the_name_of_a_module():
    where = defaultdict(list)
    for module in MODULES:
        where[module.stem].append(module.relative_to(PACKAGE).as_posix())
    del where["__init__"]
    repeated = {name: modules for name, modules in where.items() if len(modules) > 1}
    assert repeated.keys() <= LESSON_MODULES, repeated


# A path of somebody's machine, or the number of a thread that readers do not have.
PRIVATE = re.compile(r"(?<![\w./])/(home|root|work|Users|mnt)/\w|\bissue #?\d|[#(]\d+\)? (issue|pull request)", re.I)


def test_nothing_speaks_of_the_workshop():
    folders = ("adlib", "docs", "notebooks", "tests", ".ci", ".github")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    files += [*ROOT.glob("*.*"), ROOT / "Makefile", ROOT / "data/README.md"]
    texts = {path: path.read_text(encoding="utf-8") for path in files if path.is_file() and path != Path(__file__)
             and path.suffix not in (".png", ".pt", ".pyc") and "node_modules" not in path.parts}
    assert len(texts) > 100
    found = {path.name: PRIVATE.search(text)[0] for path, text in texts.items() if PRIVATE.search(text)}
    assert found == {}


def test_versions_agree():
    pins = dict(re.findall(r"^([a-z-]+)==(\S+)", (ROOT / "requirements.txt").read_text(), re.M))
    hooks = re.findall(r"repo: \S+/(\S+)\n +rev: v?(\S+)", (ROOT / ".pre-commit-config.yaml").read_text())
    assert dict(hooks) == {"ruff-pre-commit": pins["ruff"], "nbstripout": pins["nbstripout"]}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {__version__}\n" in citation
    assert f"\nlicense: {project['license']}\n" in citation
