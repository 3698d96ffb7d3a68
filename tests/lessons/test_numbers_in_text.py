"""Numbers that are written into the lessons' text: each is known here, with what it comes from, and checked.

What a run gives is computed in its cell, and what a sweep gives by `adlib.lessons.quotes`. So a number in the text is a
given (an exercise's, a worked example's, a method's setting), or it is a paper's or follows by arithmetic.
"""

import re

import nbformat
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from adlib import metrics
from adlib.lessons.ablations import find_grid
from adlib.lessons.paper_comparison import published_rows
from adlib.runs.parameters import NOTEBOOKS
from adlib.runs.published import read_published

NUMBER = re.compile(r"(?<![\w.])\d[\d,]*\.\d+(?: ?%)?|(?<![\w.])\d[\d,]* ?(?:%|points)")
LEFT_OUT = (r"\$\$.*?\$\$", r"```.*?```", r"\$[^$\n]*\$", r"`[^`]*`", r"(?<=\])\([^)]*\)", r"\*\*References.*",
            r"<details>.*?</details>")
GIVEN = None                # an exercise's or an example's, a definition, or a setting
MEASURED = "by a run of the lesson; its memory"
SINGLE, PAPERS_METRICS = ["level 1", "level 2", "level 3"], ("image_auroc", "pixel_auroc", "pro")


def paper(method: str, metric: str, *, dataset: str = "mvtec", column: str = "value", **columns):
    """Of a mean over categories, as printed."""
    def look():
        rows = read_published()
        rows = rows[(rows["method"] == method) & (rows["metric"] == metric) & (rows["dataset"] == dataset)
                    & (rows["category"] == "mean")]
        for name, value in columns.items():
            rows = rows[rows[name] == value]
        return rows[column].dropna().iloc[0]
    return look


def row(grid: str, label: str, metric: str):
    return lambda: published_rows(find_grid(grid)).loc[label, metric]


def differences(grid: str, metric: str, base: str):
    rows = published_rows(find_grid(grid))[metric]
    return (rows[base] - rows.drop(base)).dropna()


def tiny():
    g = np.zeros((2, 4, 4), bool)
    g[0, :2, :2] = g[0, 3, 3] = True
    s = np.array([[[.9, .8, .3, .1], [.7, .2, .1, .1], [.4, .1, .1, .1], [.1, .1, .1, .6]],
                  [[.85, .05, .05, .05], [.05, .05, .05, .05], [.05, .05, .05, .05], [.05, .05, .05, .05]]])
    return s, g


def careless_pro():
    """With `np.interp` on a curve that rises vertically."""
    s, g = tiny()
    order = np.argsort(-s.ravel(), kind="stable")
    worth = np.where(metrics.label_regions(g).ravel() == 1, 1 / 8, np.where(g.ravel(), 1 / 2, 0))
    last = np.append(np.diff(s.ravel()[order]) != 0, True)
    overlap = np.append(0, worth[order].cumsum()[last])
    fpr = np.append(0, ((~g.ravel()[order]).cumsum() / (~g).sum())[last])
    x = np.append(fpr[fpr <= 0.3], 0.3)
    return np.trapezoid(np.interp(x, fpr, overlap), x) / 0.3


def best_of(n: int) -> float:
    """Mean of the largest of n standard normal numbers."""
    return quad(lambda x: x * n * norm.pdf(x) * norm.cdf(x) ** (n - 1), -10, 10)[0]


KNOWN = {
    "00_data_and_metrics": {
        "1.6": MEASURED, "6.25": lambda: 25 / 4, "0.915": careless_pro, "0.861": lambda: metrics.pro(*tiny()),
        **dict.fromkeys(("0.85", "0.3", "90 %", "0.97", "0.5", "0.2", "0.4", "0.9", "5 %"), GIVEN)},
    "01_stfpm": {"1.6": MEASURED, **dict.fromkeys(("0.4", "0.9", "4.0"), GIVEN)},
    "02_destseg": {
        "1.3": MEASURED, "1.8": MEASURED, "12.8": lambda: 0.4 * 32,
        "72.2 %": row("destseg_5", "without L1", "pixel_ap"),
        "75.8 %": paper("destseg", "pixel_ap", paper="DeSTSeg", table="2"),
        "94.5": row("destseg_4", "5: den + ed", "image_auroc"),
        "98.6 %": row("destseg_4", "8: den + ed + seg", "image_auroc"),
        "54.0": row("destseg_4", "5: den + ed", "pixel_ap"), "58.5": row("destseg_4", "5: den + ed", "iap"),
        "76.4 %": row("destseg_4", "8: den + ed + seg", "iap"),
        **dict.fromkeys(("0.5", "0.2", "0.8", "0.4", "0.003", "0.15", "0.1", "0.01"), GIVEN)},
    "03_reverse_distillation": {
        "1.7": MEASURED, "0.5": GIVEN, "0.005": GIVEN, "0.999": GIVEN,
        "98.5": paper("rd4ad", "image_auroc", paper="MaskedRD"),
        "97.8": paper("rd4ad", "pixel_auroc", paper="MaskedRD"),
        "93.9": paper("rd4ad", "pro", paper="MaskedRD")},
    "04_masked_reverse_distillation": {
        "1.7": MEASURED, "99.1": paper("masked_rd", "image_auroc"),
        "97.8": paper("rd4ad", "pixel_auroc", paper="MaskedRD"), "98.5": paper("masked_rd", "pixel_auroc"),
        "93.9": paper("rd4ad", "pro", paper="MaskedRD"),
        "95.9": paper("masked_rd", "pro"),
        **dict.fromkeys(("108.7", "0.6225", "0.6232", "0.9989"), "counted and simulated for WideResNet50"),
        **dict.fromkeys(("0.5", "0.001", "0.005"), GIVEN)},
    "05_ablations": {
        "0.8": MEASURED, "98 %": GIVEN,
        "15 points": lambda: differences("stfpm_3", "image_auroc", "levels 1, 2, 3")[SINGLE].max(),
        "34 points": lambda: differences("stfpm_4", "image_auroc", "ImageNet").max(),
        "0.1": lambda: abs(differences("destseg_6", "image_auroc", "product")["distance"]),
        "0.3": lambda: min(differences("masked_rd_5", m, "with generator").iloc[0] for m in PAPERS_METRICS),
        "0.6": lambda: max(differences("masked_rd_5", m, "with generator").iloc[0] for m in PAPERS_METRICS),
        "2 points": lambda: max(differences("masked_rd_6", m, "SimAM + SCConv").max() for m in PAPERS_METRICS)},
    "06_failure_cases": {
        "1.8": MEASURED, "37.5 %": lambda: 100 * 6 / 16, "4.2": lambda: np.hypot(3, 3),
        **dict.fromkeys(("99.9 %", "0.2", "95 %"), GIVEN)},
    "07_feature_space": {
        "1.7": MEASURED, "90.9": paper("masked_rd", "image_auroc", dataset="cifar10"),
        **dict.fromkeys(("1.0", "0.2", "0.5", "95 %", "1.96"), GIVEN)},
    "08_threshold_explorer": {
        "1.2": MEASURED, "8 %": lambda: 100 / 13,
        **dict.fromkeys(("10 %", "0.1 %", "5 %", "1 %", "2 %", "99.9 %", "2.5", "3.5"), GIVEN)},
    "09_results": {
        "0.8": MEASURED, "98.6": paper("destseg", "image_auroc", paper="DeSTSeg"),
        "0.4": paper("destseg", "image_auroc", paper="DeSTSeg", column="spread"),
        "98.5": paper("PatchCore", "image_auroc", paper="DeSTSeg"),
        "0.85": lambda: best_of(3), "1.54": lambda: best_of(10),
        **dict.fromkeys(("0.5", "0.1", "5 %", "95 %", "80 %", "3 points"), GIVEN)},
}


def written(lesson: str) -> set[str]:
    found = set()
    for cell in nbformat.read(NOTEBOOKS / f"{lesson}.ipynb", as_version=4).cells:
        if cell.cell_type != "markdown":
            continue
        text = cell.source
        for pattern in LEFT_OUT:
            text = re.sub(pattern, " ", text, flags=re.S)
        text = re.sub(r"^(\*\*Contents\*\*|\|).*$", " ", text, flags=re.M)
        text = re.sub(r"([Ss]ections?|[Tt]ables?|Figs?\.?|equations?) \d+(\.\d+)?", " ", text)
        found |= {m[0] for m in NUMBER.finditer(text)}
    return found


@pytest.mark.parametrize("lesson", KNOWN)
def test_every_number_in_the_text_is_known(lesson):
    unknown = written(lesson) - set(KNOWN[lesson])
    assert unknown == set(), "compute it in the cell, quote an extract, or name here what it comes from"


@pytest.mark.parametrize(("lesson", "number"), [(lesson, number) for lesson, known in KNOWN.items()
                                                for number, source in known.items() if callable(source)])
def test_a_number_in_the_text_is_right(lesson, number):
    digits = re.match(r"\d[\d,]*(?:\.(\d+))?", number)
    value = KNOWN[lesson][number]()
    assert f"{value:.{len(digits[1] or '')}f}" == digits[0].replace(",", "")


def test_a_wrong_number_is_noticed(monkeypatch):
    monkeypatch.setitem(KNOWN["05_ablations"], "35 points", KNOWN["05_ablations"]["34 points"])
    with pytest.raises(AssertionError):
        test_a_number_in_the_text_is_right("05_ablations", "35 points")
