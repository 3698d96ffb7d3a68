"""Sentences follow their extract: on the committed one, on one with known answers, and on one with names exchanged."""

import re

import nbformat
import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from adlib.lessons import ablations as grids
from adlib.lessons import paper_comparison, quotes
from adlib.lessons.plots import ablations as plots
from adlib.lessons.quotes import ablations, failure_cases, feature_space, results
from adlib.lessons.quotes.results import grade, samples
from adlib.runs import tables
from adlib.runs.parameters import NOTEBOOKS

SHOWN = ["image_auroc", "pixel_ap"]
SENTENCES = [
    ("verdicts", failure_cases.say_false_alarms, ()), ("causes", failure_cases.say_causes, ()),
    ("feature_space", feature_space.say_own_hits, ()), ("films", feature_space.say_films, ()),
    ("demo", results.say_claims, ()), ("demo", results.say_reverse_distillations, ()),
    ("demo", results.say_winners, (SHOWN,)), ("demo", results.say_kinds, (SHOWN,)),
    ("demo", results.say_front, (SHOWN,)), ("demo", results.say_regret, (SHOWN,)),
    ("demo", results.say_best_seeds, ("image_auroc",)), ("threads", results.say_threads, ()),
    ("ablations", ablations.say_parts, ("masked_rd",)),
    ("ablations", ablations.say_origin, ()),  ("effects", feature_space.say_seen, ()),
    ("demo", results.say_beside_baseline, ("rd4ad",)),
]
EXCHANGED = {"stfpm": "destseg", "destseg": "rd4ad", "rd4ad": "masked_rd", "masked_rd": "nearest", "nearest": "stfpm"}


def committed(name: str) -> pd.DataFrame:
    rows = quotes.read_quoted(name)
    if not len(rows):
        pytest.skip(f"no {name}.csv")
    return rows


def exchanged(rows: pd.DataFrame) -> pd.DataFrame:
    """The same rows, the methods' names exchanged."""
    method = rows["method"].map(EXCHANGED)
    return rows.assign(method=method, **({"variant": method} if "variant" in rows else {}))


@pytest.mark.parametrize(("name", "say", "arguments"), SENTENCES)
def test_a_sentence_stands_on_its_extract_and_follows_another(name, say, arguments):
    rows = committed(name)
    text = say(rows, *arguments)
    assert "nan" not in text
    assert len(text) > 60
    assert say(rows.sample(frac=1, random_state=0), *arguments) == text      # the order of rows says nothing
    other = say(rows[rows["seed"] == rows["seed"].min()], *arguments)
    assert "nan" not in other
    assert other != text
    if any(method in text for method in EXCHANGED) and name not in ("threads", "ablations"):
        assert say(exchanged(rows), *arguments) != text


@pytest.mark.parametrize(("name", "say", "arguments"), SENTENCES)
@pytest.mark.parametrize("gap", ["method", "category"])
def test_a_sentence_bears_gaps(name, say, arguments, gap):
    rows = committed(name)
    for value in sorted(set(rows[gap])) if rows[gap].nunique() > 1 else []:
        assert say(rows[rows[gap] != value], *arguments)


def test_a_missing_extract_is_said(monkeypatch, capsys):
    monkeypatch.setattr(quotes, "EXTRACTS", "notebooks/nowhere")
    for name, say, arguments in SENTENCES:
        assert not len(quotes.read_quoted(name))
        quotes.quote(name, say, *arguments)
    assert capsys.readouterr().out.count("Markdown") == len(SENTENCES)


@pytest.mark.parametrize("lesson", sorted(NOTEBOOKS.glob("0[3-9]*.ipynb")), ids=lambda path: path.stem)
def test_no_number_of_the_sweep_is_typed(lesson):
    texts = [cell.source for cell in nbformat.read(lesson, as_version=4).cells if cell.cell_type == "markdown"]
    about = [part for text in texts for part in text.split("\n\n") if re.search("reference (sweep|runs)", part)]
    assert [part for part in about if re.search(r"\d\.\d|\d %|\d of \d|\d (points|runs|misses)", part)] == []


def test_words():
    assert [quotes.listing(x) for x in ([], ["a"], ["a", "b"], "abc")] == ["none", "a", "a and b", "a, b and c"]
    assert quotes.percent(1, 4) == "25 %"
    assert quotes.method_order({"destseg", "mine", "nearest"}) == ["nearest", "destseg", "mine"]


# Known answers -------------------------------------------------------------------------------------------------------


def sweep(values: dict[str, np.ndarray], categories=("brick", "circuit")) -> pd.DataFrame:
    """demo.csv of (categories, seeds) arrays by method, the same in all metrics."""
    rows = [{"method": m, "category": categories[c], "seed": n, "dataset": "demo", "budget": "demo", "backbone": "b",
             "image_size": 128} | dict.fromkeys(tables.METRICS, x) | dict.fromkeys(tables.PARTS, float(k + 1))
            for k, (m, v) in enumerate(values.items()) for (c, n), x in np.ndenumerate(np.asarray(v, float))]
    return tables.fill_columns(pd.DataFrame(rows))


def test_claims_by_hand():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.001, (6, 3))
    floor = np.full((6, 3), 0.5)
    here = floor + noise + np.array([0.2, 0, -0.05, 0, 0, 0])[:, None]      # one category makes the mean
    rows = sweep({"nearest": floor, "stfpm": floor + noise / 10, "destseg": floor + 0.1 + noise, "rd4ad": here},
                 ("brick", "grass", "gravel", "blister", "circuit", "hex_nut"))
    found = [grade(samples(rows, m, "nearest", "pro"), comparisons=24) for m in ("stfpm", "destseg", "rd4ad")]
    assert found == ["", "**", "*"]
    text = results.say_claims(rows)
    assert "| destseg | +10.0\\*\\* (6 of 6) |" in text
    assert "| rd4ad | +2.5\\* (" in text
    assert "| stfpm | +0.0 (" in text or "| stfpm | -0.0 (" in text
    worse = results.say_claims(sweep({"nearest": floor, "destseg": floor - 0.1 + noise}, sorted(set(rows["category"]))))
    assert "| destseg | -10.0\\*\\* (0 of 6) |" in worse


def test_a_grade_is_the_textbooks_test():
    from scipy import stats

    rng, passed = np.random.default_rng(1), 0
    for _ in range(400):
        each = {c: (rng.normal(0, 1, 3).tolist(), rng.normal(0, 1, 3).tolist()) for c in "abcdef"}
        passed += grade(each, comparisons=1) != ""
    assert 8 <= passed <= 34                                        # 5 % of 400, give or take three deviations
    each = {c: ([x, x + 1e-9], [0.0, 1e-9]) for c, x in zip("abc", (1.0, 2.0, 6.0), strict=True)}
    assert (grade(each, comparisons=1) == "**") == (stats.ttest_1samp([1.0, 2.0, 6.0], 0).pvalue < 0.05)
    assert grade({"a": ([1.0], [0.0])}, comparisons=1) == ""


def test_a_grade_does_not_hang_on_the_numbering_of_seeds():
    rng = np.random.default_rng(2)
    x = rng.normal(0.5, 0.01, (6, 3))
    one = sweep({"nearest": x, "stfpm": x + 0.01 + rng.normal(0, 0.002, (6, 3))},        # as pairs they hardly spread
                ("brick", "grass", "gravel", "blister", "circuit", "hex_nut"))
    other = one.assign(seed=one["seed"].where(one["method"] != "stfpm", (one["seed"] + 1) % 3))
    grades = [results.grade_pairs(rows, [("stfpm", "nearest")], tables.METRICS) for rows in (one, other)]
    assert grades[0] == grades[1]


def test_tables_of_choice_by_hand():
    rows = sweep({"nearest": [[0.5, 0.5], [0.9, 0.9]], "stfpm": [[0.7, 0.6], [0.8, 0.88]]})
    text = results.say_regret(rows, ["pro"])
    assert "| nearest | 7.5 | 15.0 (*brick*) |" in text
    assert "| stfpm | 3.0 | 6.0 (*circuit*) |" in text
    assert "stfpm in PRO" in text
    assert "changes with the seed on 0 of the 2 categories" in results.say_winners(rows, ["pro"])
    mixed = sweep({"nearest": [[0.5, 0.65], [0.9, 0.9]], "stfpm": [[0.7, 0.6], [0.8, 0.88]]})
    assert "changes with the seed on 1 of the 2 categories (*brick*)" in results.say_winners(mixed, ["pro"])
    assert "nearest (0.700, 3 s), then stfpm (0.745, 6 s)" in results.say_front(rows, ["pro"])
    kinds = results.say_kinds(rows, ["pro"])                        # brick is a texture, circuit an object
    assert "nearest +40.0, stfpm +19.0. The highest mean: stfpm on textures (0.65), nearest on objects (0.90)" in kinds
    best = results.say_best_seeds(rows, "pro")
    assert "adds 0.0 to 4.5 points of PRO, and the largest gap between the means of two methods is 4.5" in best
    assert "turn 0 pairs" in best
    behind = sweep({"nearest": [[0.5, 0.5], [0.9, 0.9]], "stfpm": [[0.7, 0.6], [0.6, 0.8]]})     # 0.675, best 0.75
    assert "turn 1 pair around: stfpm past nearest." in results.say_best_seeds(behind, "pro")


def test_films_by_hand():
    rows = pd.DataFrame({"method": ["stfpm"] * 3, "category": ["a", "b", "c"], "highest_ratio": [2.0, 4.0, 4.0],
                         "last_ratio": [2.0] * 3, "defect_since": [1.0, 1.5, 0.5], "normal_since": [1.0, 3.0, 1.0]})
    text = feature_space.say_films(rows)
    assert "stfpm: within 1 % of its highest in the last picture in 1 of 3 runs; it turns back on b and c, in 1 " \
           "mainly because the normal images rise and in 1 mainly because the defects sink" in text


def test_what_students_see_by_hand():
    rows = pd.DataFrame({"method": "stfpm", "level": [1, 1, 2, 2], "own": [0.1, 0.1, 0.3, 0.3], "other": [0.2] * 4,
                         "position": [0.05, 0.2, 0.2, 0.4], "teacher_apart": 1.0, "student_apart": 1.0})
    assert "stfpm: 2 and 1 of 2 at level 1 and 0 and 1 of 2 at level 2" in feature_space.say_seen(rows)


def test_hits_by_hand():
    same = {"category": "a", "seed": 0, "level": [1, 1, 2, 2], "positions": 100, "kind": ["normal", "anomalous"] * 2}
    rows = pd.concat([pd.DataFrame({"method": "rd4ad", "hit@1": [0.9, 0.1, 0.05, 0.04], **same}),
                      pd.DataFrame({"method": "stfpm", "hit@1": [0.9, 0.2, 0.5, 0.3], **same})])
    text = feature_space.say_own_hits(rows)
    assert "| rd4ad | 0.90 / 0.10 | 0.05 / 0.04 |" in text
    assert "furthest ahead of anomalous (unrounded) for rd4ad at level 1 (+0.80) and stfpm at level 2 (+0.20)" in text
    assert "rd4ad: *a* (level 2)" in text


def test_failures_by_hand():
    rows = pd.DataFrame({"dataset": "demo", "category": ["brick", "circuit"], "method": ["nearest", "stfpm"], "seed": 0,
                         "normal": 20, "false_alarms": [5, 1], "anomalous": 40, "misses": 0})
    assert "25 % of the normal test images of the textures and 5 % of" in failure_cases.say_false_alarms(rows)
    causes = pd.DataFrame({"dataset": "demo", "method": "stfpm", "seed": 0, "kind": "miss", "category": "circuit",
                           "defect": ["missing_part", "missing_part", "dent"], "failures": [3, 2, 4],
                           "cause": ["missing or misplaced part", "too small", "missing or misplaced part"]})
    text = failure_cases.say_causes(causes)
    assert "Of the 9 misses on the drawn parts, most often suggested: *missing or misplaced part* (7) and" in text
    assert "suggested for 7 misses, of which 3 are in folders of that name. The others: 4 dent of *circuit*." in text
    assert "of the 5 misses in those folders the rule names 3" in text


# Ablations -----------------------------------------------------------------------------------------------------------


def extracted(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    grid = grids.find_grid(name)
    return paper_comparison.compare_with_paper(paper_comparison.select_rows(rows, grid), grid)


def test_ablations_hold_their_own_base_rows():
    rows = committed("ablations")
    for name in ("stfpm_3", "stfpm_4", "stfpm_5", "destseg_4", "destseg_6", "masked_rd_5", "masked_rd_6", "mask_ratio"):
        found = extracted(rows, name)
        assert set(found["base"]) <= {*grids.find_grid(name).base}
        counts = [tuple(map(int, pair)) for pair in re.findall(r"(\d+) of (\d+) rows", ablations.say_findings(found))]
        others = found[(found["label"] != found["base"]) & found["points"].notna()].groupby("metric", sort=False)
        expected = [((f["points"].abs() > f["margin"]).sum(), len(f)) for _, f in others]
        assert counts == (expected if any(n for n, _ in expected) else [])
    assert {"rd4ad", "stfpm"} <= {*rows["method"]}
    assert committed("threads").groupby("threads").size().nunique() == 1     # each run with either number


@pytest.mark.parametrize("name", ["stfpm_3", "destseg_6"])
def test_a_star_of_a_forest_stands_where_zero_lies_outside_the_margin(name):
    found = extracted(committed("ablations"), name)
    figure = plots.difference_forest(found, grids.find_grid(name))
    compared = found[found["label"] != found["base"]]
    for ax, metric in zip(figure.axes, found["metric"].unique(), strict=True):
        rows = compared[compared["metric"] == metric]
        stars = [text.xy[0] for text in ax.texts if text.get_text() == "*"]
        assert stars == list(rows["points"][rows["points"].abs() > rows["margin"]])
        assert len(ax.get_yticks()) == len(rows)


def test_agreement_counts_follow_the_runs():
    rows = committed("ablations")
    text = ablations.say_agreement({"stfpm_3": extracted(rows, "stfpm_3")})
    level_1 = (rows["method"] == "stfpm") & (rows["setting"] == "levels=[1]")
    turned = rows.assign(**{m: rows[m].where(~level_1, 1.5) for m in ("image_auroc", "pixel_auroc", "pro")})
    other = ablations.say_agreement({"stfpm_3": extracted(turned, "stfpm_3")})
    counts = [list(map(int, re.search(r"Of (\d+) .*?, (\d+) agree .*?, (\d+) contradict", x).groups()))
              for x in (text, other)]
    assert counts[1] == [counts[0][0], counts[0][1] - 3, counts[0][2] + 3]
    assert "*level 1* in PRO (stfpm_3)" in other
    assert "*level 1* in PRO" not in text
    assert ablations.say_agreement({}) == ""


def test_parts_by_hand():
    numbers = {"": (0.8, 0.81), "simam=False": (0.6, 0.61), "mask_ratio=0.75": (0.7, 0.71), "scconv=False": (0.81, 0.8)}
    rows = pd.DataFrame([
        {"method": "masked_rd", "setting": setting, "seed": k, "image_auroc": x, "pixel_ap": 0.5 + k, "pro": 0.5 + k}
        for setting, both in numbers.items() for k, x in enumerate(both)])
    text = ablations.say_parts(rows, "masked_rd")
    assert "worse than the full network: `mask_ratio=0.75` in image AUROC (0.705 against 0.805) and `simam" in text
    assert "better: none" in text
    assert "without it (`simam=False`)" in text             # a larger share of masks is no part that is left out
    few = rows.assign(image_auroc=rows["image_auroc"].where(rows["setting"] != "simam=False", 0.9))
    text = ablations.say_parts(few, "masked_rd")
    assert "better: `simam=False` in image AUROC (0.900 against 0.805)" in text
    assert "no part earns its place" in text
    assert "too few runs" in ablations.say_parts(rows[rows["seed"] == 0], "masked_rd")
    assert "too few runs" in ablations.say_parts(rows, "stfpm")


def test_orders_by_seed():
    rows = pd.DataFrame([(m, c, s, x) for c, s, a, b in [("x", 0, 0.9, 0.8), ("x", 1, 0.7, 0.8), ("y", 0, 0.6, 0.5),
                                                        ("y", 1, 0.6, 0.5)] for m, x in [("a", a), ("b", b)]],
                        columns=["method", "category", "seed", "pro"])
    orders = ablations.orders_by_category(rows, "pro")
    assert orders.loc["x"].tolist() == ["a > b", "b > a"]
    assert orders.loc["y"].tolist() == ["a > b", "a > b"]
    assert ablations.say_orders(orders).endswith("on 1 of 2 categories, and the winner on 1.")
    assert ablations.say_orders(ablations.orders_by_category(rows[:0], "pro")) == ""


def test_seeds_to_halve_a_margin():
    margins = {n: paper_comparison.chance_margin([0.0, 1.0] * (n // 2), [0.0, 1.0] * (n // 2)) for n in (4, 12)}
    assert ablations.seeds_to_halve(3) == 8
    assert ablations.seeds_to_halve(4) <= 12
    assert margins[12] < margins[4] / 2


def test_two_rows_are_compared_with_each_other_not_with_their_base():
    base, one, other = [0.9, 0.91, 0.92], [0.50, 0.52, 0.54], [0.60, 0.61, 0.62]
    rows = pd.DataFrame([{"variant": v, "seed": n, "pro": x, "image_auroc": 0.5}
                         for v, row in {"base": base, "one": one, "other": other}.items() for n, x in enumerate(row)])
    pair = ablations.compare_two_rows(rows, "one", "other", ["pro", "image_auroc"])
    spread = {2: (0.02 ** 2 + 0.01 ** 2) / 2, 3: (0.02 ** 2 + 0.01 ** 2 + 0.01 ** 2) / 3}
    by_hand = max((spread[n] * 2 / 3) ** 0.5 * student.ppf(1 - 0.025 / 2, 2 * n) for n in spread)
    assert pair["pro"] == pytest.approx((-9.0, 100 * by_hand))
    assert pair["image_auroc"] == (0, 0)
    text = ablations.say_two_rows(pair, "one", "other")
    beyond = f"PRO -9.00 points (**beyond** the margin of {100 * by_hand:.2f})"
    assert f"{beyond} and image AUROC +0.00 points (within" in text
    assert ablations.compare_two_rows(rows, "one", "absent", ["pro"]) == {}
    assert "no runs of *one* and *absent*" in ablations.say_two_rows({}, "one", "absent")


def test_causes_are_folded():
    text = failure_cases.fold_causes(["too small", "too faint", "border of the image"])
    assert text.startswith("<details><summary>The rules suggest ...</summary>")
    assert "**too small**. Also holds: too faint and border of the image." in text
    assert "Also" not in failure_cases.fold_causes(["too small"])


def test_the_rule_of_small_defects_is_held_against_discs():
    rates = {"stfpm": [0.1, 0.7, 1.0], "rd4ad": [0.1, 0.3, 1.0]}        # four cells of 8 px are a disc of 18 px
    text = failure_cases.say_small_rule([4, 16, 32], rates, 8, 0.4, 40)
    assert "below 18 px" in text
    assert "of 16 px and contrast 0.4 are seen: stfpm 70 % and rd4ad 30 %. So for stfpm such" in text
    for share in (0.2, 0.55):       # of 40, which is no clear majority
        seldom = failure_cases.say_small_rule([4, 16, 32], {"rd4ad": [0, share, 1]}, 8, 0.4, 40)
        assert "nothing here speaks against the rule" in seldom
    assert "No disc is as small" in failure_cases.say_small_rule([32], {"rd4ad": [1]}, 8, 0.4, 40)


def test_of_moved_parts_the_growth_is_told():
    alarms = {"nearest": [2, 2, 3, 3, 4], "stfpm": [1, 4, 4, 4, 9], "destseg": [4, 3, 10, 20, 20]}
    text = failure_cases.say_moved([0, 2, 4, 8, 16], alarms, 40, 128)
    assert ("Moved by 2 of 128 px, the alarms of stfpm grow most (from 2 % to 10 %); those of destseg go from 10 % "
            "to 8 %") in text
    assert "Moved by 4 of 128 px, the alarms of destseg grow most (from 10 % to 25 %); those of nearest go from" in text
    assert "8 of 128 px" not in text
    assert "One image more or less is 2.5 %" in text
    calm = failure_cases.say_moved([0, 2, 4, 8, 16], {"nearest": [2] * 5, "stfpm": [3] * 5}, 40, 128)
    assert "no method alarms more often" in calm
    alone = failure_cases.say_moved([0, 2, 4, 8, 16], {"stfpm": [1, 1, 2, 2, 2]}, 40, 128)
    assert "grow most (from 2 % to 5 %), as for all" in alone


def test_causes_with_another_images_mask():
    pairs = {("too faint", "too faint"): 1, ("too small", "too faint"): 2, ("too small", "too small"): 1}
    assert failure_cases.share_kept(pairs) == 50
    text = failure_cases.say_swapped(pairs)
    assert text.startswith("Of 4 misses 50 % keep")
    assert "it would be 38 %" in text                   # (1 * 3 + 3 * 1) / 16
    assert "a part of the causes does not hang" in text
    assert "*too faint*, from 1 to 3" in text
    changed = failure_cases.say_swapped({("too faint", "too small"): 1, ("too small", "too faint"): 1})
    assert "the causes follow the mask" in changed
    assert "No cause becomes more frequent" in changed
    faint = failure_cases.say_swapped({("too faint", "too faint"): 75, ("too small", "too faint"): 53})
    assert "Nearly all become *too faint*, whatever they were." in faint
    assert failure_cases.share_kept({}) is None
    assert "nothing to swap" in failure_cases.say_swapped({})
