"""Which method for whom: numbers by hand, and the standard error of an AUROC against draws of images."""

import numpy as np
import pandas as pd
import pytest

from adlib.lessons import quotes
from adlib.lessons.quotes import choice, results
from adlib.metrics import auroc
from adlib.runs import tables
from adlib.runs.published import read_published


def test_the_error_of_an_auroc_against_draws():
    rng, areas = np.random.default_rng(0), []
    for _ in range(600):
        scores = np.concatenate([rng.exponential(1, 30), rng.exponential(4, 50)])       # the formula's distributions
        areas.append(auroc(scores, np.repeat([False, True], [30, 50])))
    assert np.mean(areas) == pytest.approx(0.8, abs=0.01)
    assert choice.auroc_error(0.8, 30, 50) == pytest.approx(np.std(areas), rel=0.1)


def test_images_to_settle_a_difference():
    for points, correlation in [(2, 0.5), (5, 0.0)]:
        n = choice.images_to_settle(points, 0.87, correlation=correlation)
        widths = [196 * choice.auroc_error(0.87, k, k) * (2 * (1 - correlation)) ** 0.5 for k in (n - 1, n)]
        assert widths[1] <= points < widths[0]
    few, many = (choice.images_to_settle(p, 0.87, correlation=0.5) for p in (2, 1))
    assert many == pytest.approx(4 * few, rel=0.02)                 # half the interval, four times the images
    assert [choice.hundreds(n) for n in (41, 200, 1201)] == ["50", "200", "1,300"]


def few_images(lost: float) -> pd.DataFrame:
    rows = [(setting, x, s) for setting, x in [("", 0.90), ("train_share=0.5", 0.90), ("train_share=0.1", 0.90 - lost)]
            for s in (0, 1, 2)]
    about = {"method": "stfpm", "category": "circuit", "weights": "auto", "backbone": "efficientnet_lite0",
             "dataset": "demo", "budget": "demo", "image_size": 128}
    runs = [about | {"setting": setting, "seed": s, "image_auroc": x + 0.01 * s} for setting, x, s in rows]
    runs.append(runs[0] | {"weights": "random", "image_auroc": 0.5})    # no base row, another teacher
    return tables.fill_columns(pd.DataFrame(runs))


def test_few_images_by_hand():
    text = choice.say_few_images(few_images(0.2))
    assert "80 images +0.0 ± 2.9 and 16 images -20.0 ± 2.9" in text      # 1 point, 4 degrees of freedom
    assert "begins at 16 images" in text
    assert "one of up to 2.9 points could hide" in choice.say_few_images(few_images(0.0))
    assert choice.say_few_images(few_images(0.0).query("setting == ''")) == "There are no runs with fewer images."


def test_small_defects_by_hand():
    rows = pd.DataFrame({"method": ["stfpm", "stfpm", "stfpm", "rd4ad"],
                         "kind": ["miss", "miss", "false alarm", "miss"],
                         "cause": ["too small", "too faint", "too small", "too faint"], "failures": [3, 4, 9, 2]})
    text = choice.say_small_defects(rows, cell=8.0)
    assert "stfpm 3 of 7 and rd4ad 0 of 2" in text
    assert "8 pixels of 256" in text


def test_photographs_beside_drawn_defects():
    rows = quotes.read_quoted("demo")
    if not len(rows):
        pytest.skip("no demo.csv")
    text = choice.say_photographs(read_published(), rows)
    assert "| DeSTSeg | pixel AP | stfpm |" in text
    assert "masked_rd" in text
    turned = rows.assign(pixel_ap=1 - rows["pixel_ap"])
    counts = [int(t.split("In ")[1].split()[0]) for t in (text, choice.say_photographs(read_published(), turned))]
    assert counts[1] == counts[0] - 1
    assert choice.say_photographs(read_published(), rows.query("method == 'stfpm'")).startswith("No paper")


def test_real_parts_beside_drawn_defects():
    def rows(values: dict, **about) -> pd.DataFrame:
        return pd.DataFrame([{"category": category, "method": method, "seed": s, "image_auroc": x + 0.01 * s,
                              "pixel_ap": x / 2} | about for (category, method), x in values.items() for s in (0, 1)])

    drawn = rows({("a", "stfpm"): 0.9, ("a", "destseg"): 0.8, ("b", "stfpm"): 0.7, ("b", "destseg"): 0.6})
    plain = {"image_size": 128, "tiles": 1, "steps": 0}
    parts = pd.concat([rows({("tire", "stfpm"): 0.5, ("tire", "destseg"): 0.7}, **plain),
                       rows({("tire", "stfpm"): 0.8}, **plain | {"image_size": 256, "steps": 2000})])
    said = choice.say_real_parts(parts, tables.fill_columns(drawn))
    assert "| stfpm | 0.0 | 20.0 | 0.0 | 10.0 |" in said
    assert "| destseg | 10.0 | 0.0 | 5.0 | 0.0 |" in said
    assert "in image AUROC stfpm, which on real parts is 20.0 points behind on *tire*; in pixel AP stfpm" in said
    assert "stfpm in image AUROC on *tire* (256 px, whole, 2,000 steps: 0.805)" in said


def test_prices_and_trust_follow_the_extracts():
    rows, verdicts = quotes.read_quoted("demo"), quotes.read_quoted("verdicts")
    if not len(rows) or not len(verdicts):
        pytest.skip("no extracts")
    slow = rows.assign(train_seconds=rows["train_seconds"].where(rows["method"] != "rd4ad", 1e4),
                       seconds=rows["seconds"].where(rows["method"] != "rd4ad", 1e4))
    assert choice.say_prices(slow).splitlines()[-1].startswith("| rd4ad | 10,000 (10,000 to 10,000) |")
    none = verdicts.assign(false_alarms=0)
    assert "0 % on objects and 0 % on textures" in choice.say_kinds_of_trust(none, rows)
    assert "images, half of them anomalous" in choice.say_test_images(rows, verdicts)


def test_stars_allow_for_all_comparisons():
    rows = quotes.read_quoted("demo")
    if not len(rows):
        pytest.skip("no demo.csv")
    one = [("destseg", "nearest")]
    alone = results.grade_pairs(rows, one, ["pixel_ap"])["destseg", "nearest", "pixel_ap"]
    assert alone == results.grade(results.samples(rows, "destseg", "nearest", "pixel_ap"), comparisons=1)
    names = sorted(set(rows["method"]))
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1:]]
    metrics = ["image_auroc", "pixel_ap"]
    many = results.grade_pairs(rows, pairs, metrics)
    few = {key: star for m in metrics for p in pairs for key, star in results.grade_pairs(rows, [p], [m]).items()}
    assert many.keys() == few.keys()
    assert sum(map(bool, many.values())) <= sum(map(bool, few.values()))
