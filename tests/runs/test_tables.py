"""Tables of the ledger: against hand-worked means, brute-force resampling and the committed extract."""

import io
import json
import math
import re
import subprocess
import sys
from functools import cache
from itertools import product
from statistics import mean, stdev

import numpy as np
import pandas as pd
import pytest

from adlib import ROOT
from adlib.demo import generate
from adlib.runs import bootstrap, published, report, tables
from adlib.runs.execute import LESSON_OF
from adlib.runs.folder import PROTOCOL, new_entry, read_runs, run_folder
from adlib.runs.parameters import lesson_parameters
from adlib.settings import METRICS

DEMO = ("brick", "grass", "gravel", "blister", "circuit", "hex_nut")
MVTEC = tables.TEXTURES["mvtec"] + tables.OBJECTS["mvtec"]
read_defaults = cache(lesson_parameters)
EXTRACT = ROOT / "notebooks/results/demo.csv"


def entry(method="stfpm", value=0.5, *, threads=1, cpu="AVX512, bf16, A", precision="float32", n_test=60, protocol=None,
          **given) -> dict:
    """A run's entry in which all six metrics have one value, as `read_runs` gives it."""
    defaults = read_defaults(LESSON_OF[method])
    parameters = defaults | {"data_root": "data/demo", "category": "gravel"} | given
    return new_entry(method, parameters) | {
        "metrics": dict.fromkeys(METRICS, value), "threads": threads, "cpu": cpu, "precision": precision, "n_train": 48,
        "n_test": n_test, "seconds": {"train": 30.0, "predict": 1.0, "evaluate": 0.5}, "peak_memory_mb": 1000.0,
        "protocol": PROTOCOL | (protocol or {})}


def ledger(values: dict, **more) -> pd.DataFrame:
    """Rows of {(method, category, seed): value}."""
    return tables.frame([entry(method, value, category=category, seed=seed, **more)
                          for (method, category, seed), value in values.items()])


def random_ledger(categories=DEMO, seeds=3, *, shift=0.05, noise=0.02, **more) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return ledger({(m, c, s): 0.5 + shift * (m == "destseg") + noise * rng.standard_normal()
                   for m, c, s in product(("stfpm", "destseg"), categories, range(seeds))}, **more)


def leave(root, entries) -> None:
    """Write the entries below a folder, as runs do."""
    for e in entries:
        folder = run_folder(e["method"], e["parameters"] | {"out_dir": str(root)})
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps(e))


def cell(group, variant, category, metric="pro"):
    rows = tables.summarize(group).set_index(["variant", "category", "metric"])
    return rows.loc[(variant, category, metric)]


# The rows


def test_a_row_says_what_a_run_was():
    row = tables.frame([entry("destseg", 0.25, category="brick", seed=2, image_size=96, opacity=[0.5, 1.0], l1=False,
                               weights="w.pt", precision="bf16") | {"folder": "/x/demo-s2-abcdef"}]).iloc[0]
    found = row[["method", "dataset", "category", "seed", "budget", "backbone", "image_size", "weights", "threads"]]
    assert found.tolist() == ["destseg", "demo", "brick", 2, "demo", "efficientnet_lite0", 96, "w.pt", 1]
    assert row[list(METRICS)].tolist() == [0.25] * 6
    assert row[["seconds", *tables.PARTS, "peak_memory_mb"]].tolist() == [31.5, 30, 1, 0.5, 1000]
    assert row["setting"] == "opacity=[0.5, 1.0], l1=False"
    assert row["variant"] == "destseg opacity=[0.5, 1.0], l1=False"
    assert (row["precision"], row["protocol"], row["run"]) == ("bf16", "", "demo-s2-abcdef")


def test_the_defaults_are_no_setting():
    rows = tables.frame([entry(method, device="cpu", out_dir="elsewhere", seed=5) for method in LESSON_OF])
    assert rows["setting"].tolist() == [""] * 5
    assert tables.variants(rows) == list(LESSON_OF)


def test_runs_of_the_lesson_that_two_methods_shared_have_the_default_setting():
    old = [entry("rd4ad", cosine="auto", mask_ratio=0.5), entry("masked_rd", cosine="auto")]
    for e in old:
        e["parameters"]["method"] = e["method"]
    assert tables.frame(old)["variant"].tolist() == ["rd4ad", "masked_rd"]


def test_entries_that_lack_fields_are_read():
    old = entry("stfpm", None, levels=[2])
    del old["protocol"]["image_score"], old["parameters"]["train_share"], old["parameters"]["weights"]
    old["seconds"] = old["metrics"] = {}
    row = tables.frame([old]).iloc[0]
    assert (row["variant"], row["protocol"], row["weights"]) == ("stfpm levels=[2]", "", "auto")
    assert row[[*METRICS, "seconds"]].isna().all()


def test_an_extract_gives_the_same_numbers_as_its_ledger(tmp_path):
    leave(tmp_path / "runs", [entry("stfpm", 0.123456, category=c, seed=s) for c in DEMO for s in (0, 1)]
          + [entry("rd4ad", None)])
    rows = tables.frame(read_runs(tmp_path / "runs"))
    extract = tables.read_extract(tables.write_extract(rows, tmp_path / "e.csv"))
    columns = [name for name in tables.COLUMNS if name not in ("precision", "device", "images", "n_train",
                                                                        "n_test")]
    order = ["method", "category", "seed"]
    rows, extract = (x.sort_values(order).reset_index(drop=True)[columns] for x in (rows, extract))
    pd.testing.assert_frame_equal(rows, extract, check_dtype=False)


def test_an_extract_is_the_same_whatever_the_order_and_keeps_what_differs(tmp_path):
    rows = tables.frame([entry("stfpm", 0.1234567, seed=s, levels=levels, weights=w) | {"folder": f"/x/{s}"}
                          for s in (10, 2) for levels, w in (([2], "auto"), ([1, 2, 3], "w.pt"))]
                         + [entry("nearest", None)])
    text = tables.write_extract(rows, tmp_path / "a.csv").read_bytes()
    assert tables.write_extract(rows[::-1], tmp_path / "results/b.csv").read_bytes() == text
    again = tables.read_extract(tmp_path / "a.csv")
    assert again["seed"].tolist() == [0, 2, 2, 10, 10]
    assert again["setting"].tolist() == ["", "levels=[2]", "", "levels=[2]", ""]
    assert again["weights"].tolist() == ["auto", "auto", "w.pt", "auto", "w.pt"]
    assert again["pro"].tolist()[1:] == [0.123457] * 4
    assert again["pro"].isna()[0]
    assert len(tables.write_extract(tables.frame([]), tmp_path / "none.csv").read_text().splitlines()) == 1


def test_an_extract_that_was_written_before_processors_were_noted_is_read(tmp_path):
    path = tables.write_extract(tables.frame([entry(), entry("nearest")]), tmp_path / "new.csv")
    assert tables.read_extract(path)["cpu"].tolist() == ["AVX512, bf16, A"] * 2
    pd.read_csv(path).drop(columns="cpu").to_csv(tmp_path / "old.csv", index=False)
    old = tables.read_extract(tmp_path / "old.csv")
    assert old["cpu"].tolist() == ["", ""]
    assert report.notes(old) == []


def test_runs_are_selected_by_what_their_columns_say():
    rows = tables.frame([entry("stfpm", 0.5, seed=s, levels=levels) for s in (0, 1) for levels in ([2], [1, 2, 3])])
    assert len(tables.select_runs(rows, {"seed": "1"})) == 2
    assert tables.select_runs(rows, {"seed": "1", "setting": ""})["variant"].tolist() == ["stfpm"]
    assert tables.select_runs(rows, {"dataset": "none"}).empty
    with pytest.raises(ValueError, match="no 'sead'; there are method, dataset"):
        tables.select_runs(rows, {"sead": "1"})


def test_the_readmes_table_is_made_from_the_extract():
    table = report.markdown_table(tables.read_extract(EXTRACT), METRICS)
    assert table in (ROOT / "README.md").read_text()
    assert table.count("\n") == 6


def test_runs_are_grouped_by_what_must_agree():
    rows = tables.frame([
        entry("nearest"), entry("stfpm"), entry("stfpm", levels=[2]), entry("stfpm", seed=1), entry("rd4ad"),
        entry(budget="smoke"), entry(backbone="resnet18"), entry(weights="random"), entry(image_size=256),
        entry(data_root="data/other"), entry(protocol={"connectivity": 4}),
        entry("destseg", protocol={"texture_source": "data/dtd"})])
    found = tables.groups(rows)
    assert sorted(map(len, found)) == [1] * 6 + [6]
    assert "weights random" in {tables.title(group).split(", ")[-1] for group in found}
    assert "connectivity=4" in {tables.title(group).split(", ")[-1] for group in found}
    with pytest.raises(ValueError, match=r"differ in dataset \(demo, other\), budget \(demo, smoke\)"):
        tables.table(rows, "pro")


# Means


def test_the_worked_case():
    """Two seeds of two categories: 0.2, 0.4 and 0.6, 1.0; the means of the seeds are 0.4 and 0.7."""
    rows = ledger({("stfpm", "a", 0): 0.2, ("stfpm", "a", 1): 0.4, ("stfpm", "b", 0): 0.6, ("stfpm", "b", 1): 1.0},
                  data_root="data/own")
    assert cell(rows, "stfpm", "a")[["mean", "std", "n"]].tolist() == pytest.approx([0.3, 0.2 / 2**0.5, 2])
    assert cell(rows, "stfpm", "all")[["mean", "std", "n"]].tolist() == pytest.approx([0.55, 0.3 / 2**0.5, 2])
    assert cell(rows, "stfpm", "all")[["found", "of"]].tolist() == [2, 2]


def test_the_means_are_those_of_the_committed_extract():
    rows = tables.read_extract(EXTRACT)
    found = tables.summarize(rows).set_index(["variant", "category", "metric"])
    for method, metric in product(LESSON_OF, METRICS):
        values = rows[rows["method"] == method].pivot(index="seed", columns="category", values=metric)
        for kind, members in (("textures", DEMO[:3]), ("objects", DEMO[3:]), ("all", DEMO)):
            by_seed = [mean(row) for row in values[list(members)].to_numpy().tolist()]
            expected = [mean(by_seed), stdev(by_seed)]
            assert found.loc[(method, kind, metric), ["mean", "std"]].tolist() == pytest.approx(expected)


def test_a_table_has_a_row_per_variant_and_a_column_per_category_and_mean():
    rows = tables.read_extract(EXTRACT)
    table = tables.table(rows, "pixel_ap")
    assert table.index.tolist() == list(LESSON_OF)
    assert table["mean"].columns.tolist() == [*DEMO, "textures", "objects", "all"]
    own = rows.query("method == 'destseg' and category == 'blister'")["pixel_ap"]
    assert table["mean"].loc["destseg", "blister"] == pytest.approx(own.mean())
    assert table["std"].loc["destseg", "blister"] == pytest.approx(own.std())
    assert (table["n"] == 3).all(axis=None)


def test_a_mean_over_categories_needs_all_of_them_from_one_seed():
    values = {("stfpm", category, seed): 0.5 for category in DEMO for seed in (0, 1)}
    del values["stfpm", "brick", 1]
    rows = ledger(values)
    assert cell(rows, "stfpm", "all")[["mean", "n", "found", "of"]].tolist() == [0.5, 1, 6, 6]
    assert cell(rows, "stfpm", "objects")["n"] == 2
    del values["stfpm", "grass", 0]
    found = cell(ledger(values), "stfpm", "all")
    assert math.isnan(found["mean"])
    assert found[["n", "found", "of"]].tolist() == [0, 5, 6]


def test_the_categories_of_mvtec_ad_are_expected_even_if_none_of_them_was_run():
    rows = ledger({("stfpm", "carpet", 0): 0.5, ("stfpm", "grid", 0): 0.5}, data_root="data/mvtec_ad")
    assert cell(rows, "stfpm", "textures")[["found", "of"]].tolist() == [2, 5]
    assert cell(rows, "stfpm", "all")[["found", "of"]].tolist() == [2, 15]
    own = ledger({("stfpm", "carpet", 0): 0.5}, data_root="data/carpets")
    assert cell(own, "stfpm", "all")[["mean", "of"]].tolist() == [0.5, 1]
    assert "textures" not in set(tables.summarize(own)["category"])


def test_undefined_numbers_are_missing_not_zero():
    rows = ledger({("stfpm", "a", 0): 0.4, ("stfpm", "a", 1): None}, data_root="data/own")
    assert cell(rows, "stfpm", "a")[["mean", "n"]].tolist() == [0.4, 1]
    assert "(1)" not in report.markdown_table(rows)


def test_two_runs_of_a_seed_count_as_one():
    rows = tables.frame([entry(value=0.2), entry(value=0.4, precision="bf16"), entry(value=0.6, seed=1)])
    assert cell(rows, "stfpm", "gravel")[["mean", "n"]].tolist() == pytest.approx([0.45, 2])
    assert any("1 run of a variant" in note for note in report.notes(rows))


def test_the_kinds_are_those_of_the_data_sets():
    photographs = {name for name, recipe in generate.CATEGORIES.items() if recipe.how == "photograph"}
    assert set(tables.TEXTURES["demo"]) == photographs
    assert set(tables.OBJECTS["demo"]) == set(generate.CATEGORIES) - photographs
    rows = published.read_published().query("dataset == 'mvtec' and category != 'mean'")
    assert set(rows["category"]) == set(MVTEC)
    assert len(MVTEC) == 15


# Beside the papers


def mvtec(method="masked_rd", value=0.981, categories=MVTEC, **given) -> list[dict]:
    given = {"data_root": "data/mvtec", "budget": "paper", "backbone": "wide_resnet50_2"} | given
    return [entry(method, value, category=category, **given) for category in categories]


def beside(entries) -> pd.DataFrame:
    return tables.beside_published(tables.frame(entries)).set_index(["category", "metric"])


def test_ours_minus_the_papers():
    rows = beside(mvtec())
    cable = rows.loc[("cable", "image_auroc")]      # masked RD, table 1: 97.2
    assert cable[["ours", "published", "points"]].tolist() == pytest.approx([0.981, 0.972, 0.9])
    assert cable[["paper", "table", "paper_backbone", "paper_image_size", "caveat"]].tolist() == [
        "MaskedRD", "1", "wide_resnet50_2", 256, ""]
    whole = rows.loc[("all", "pixel_auroc")]        # the printed mean of table 3: 98.5
    assert whole[["published", "points"]].tolist() == pytest.approx([0.985, -0.4])
    assert len(rows) == 16 * 3                      # no AP, IAP or IAP@90 was published


def test_a_mean_stands_beside_the_papers_only_if_it_is_one():
    assert "all" not in beside(mvtec(categories=MVTEC[:14])).index.get_level_values("category")


def test_another_backbone_and_size_are_not_comparable():
    caveat = beside(mvtec("stfpm", backbone="efficientnet_lite0", image_size=128, budget="demo"))["caveat"]
    assert caveat["tile", "pixel_auroc"] == ("not comparable: efficientnet_lite0 here, resnet18 there; 128 px here, "
                                             "256 px there; budget demo here")
    random = beside(mvtec("stfpm", backbone="resnet18", weights="random", levels=[2]))["caveat"]
    assert random["tile", "pixel_auroc"] == "not comparable: weights random here; levels=[2] here"


def test_the_papers_pro_is_another_code_than_ours():
    caveat = beside(mvtec("stfpm", backbone="resnet18"))["caveat"]
    assert "PRO codes" in caveat["tile", "pro"]
    assert caveat["tile", "pixel_auroc"] == ""


def test_a_texture_folder_is_what_destsegs_paper_used():
    caveat = beside(mvtec("destseg", backbone="resnet18", texture_source="data/dtd"))["caveat"]
    assert caveat["tile", "pixel_ap"] == ""


def test_the_published_number_with_our_backbone_is_taken():
    """Of masked RD's means, table 4 has ResNet18; of STFPM's the text has WRN50-2; STFPM's AP only DeSTSeg gives."""
    small = beside(mvtec(backbone="resnet18")).loc[("all", "pixel_auroc")]
    assert (small["published"], small["table"], small["caveat"]) == (pytest.approx(0.973), "4", "")
    wide = beside(mvtec("stfpm"))
    assert wide.loc[("all", "pixel_auroc"), "table"] == "text 4.3"
    quoted = wide.loc[("all", "pixel_ap")]
    assert (quoted["published"], quoted["paper"]) == (pytest.approx(0.543), "DeSTSeg")
    assert "backbone that is not stated there" in quoted["caveat"]
    assert beside(mvtec("rd4ad")).loc[("all", "pixel_auroc"), "caveat"] == ""


def test_only_mvtec_ad_stands_beside_the_papers():
    rows = tables.frame(mvtec("stfpm", data_root="data/demo", categories=DEMO) + mvtec("nearest"))
    assert tables.beside_published(rows).empty


# How surely one is ahead


def brute_force(differences, rng, *, among_categories, resamples=4000) -> np.ndarray:
    """Means of resampled (C, S) differences, one draw at a time: one fewer than there are, at each level."""
    c, s = differences.shape
    means = []
    for _ in range(resamples):
        rows = rng.integers(c, size=c - 1) if among_categories else range(c)
        means.append(np.mean([differences[row, rng.integers(s, size=s - 1)].mean() for row in rows]))
    return np.array(means)


def differences_of(rows, metric="pro"):
    values = rows.pivot(index=["category", "seed"], columns="variant", values=metric)
    return (values["destseg"] - values["stfpm"]).unstack("seed").to_numpy()


@pytest.mark.parametrize("among_categories", [False, True])
def test_the_intervals_are_those_of_drawing_one_by_one(among_categories):
    rows = random_ledger(seeds=4)
    found = bootstrap.paired_bootstrap(rows, "destseg", "stfpm", "pro")
    expected = brute_force(differences_of(rows), np.random.default_rng(1), among_categories=among_categories)
    low, high = found.ci_random_categories if among_categories else found.ci_fixed_categories
    assert (low, high) == pytest.approx(np.quantile(expected, (0.025, 0.975)), abs=0.12 * np.ptp((low, high)) / 2)
    assert found.difference == pytest.approx(differences_of(rows).mean())


def test_the_variance_over_seeds_is_that_of_a_mean():
    """Sum of s^2 / S over the categories, by C^2: unbiased, which as many draws as there are seeds would not be."""
    differences = np.random.default_rng(0).standard_normal((5, 3))
    means = bootstrap.resampled((3,) * 5, among_categories=False, resamples=40_000, seed=0) @ differences.ravel()
    assert means.var() == pytest.approx((differences.var(axis=1, ddof=1) / 3).sum() / 25, rel=0.03)
    assert means.mean() == pytest.approx(differences.mean(), abs=0.005)


def test_the_variance_over_categories_is_that_of_a_mean_where_seeds_agree():
    means = np.random.default_rng(0).standard_normal(6)
    drawn = bootstrap.resampled((3,) * 6, among_categories=True, resamples=40_000, seed=0) @ means.repeat(3)
    assert drawn.var() == pytest.approx(means.var(ddof=1) / 6, rel=0.03)


@pytest.mark.parametrize("among_categories", [False, True])
def test_the_weights_of_a_draw_sum_to_one_and_uneven_seeds_are_fair(among_categories):
    weights = bootstrap.resampled((3, 5, 4), among_categories=among_categories, resamples=20_000, seed=0)
    assert weights.shape == (20_000, 12)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    np.testing.assert_allclose(weights.mean(axis=0), np.repeat([1 / 9, 1 / 15, 1 / 12], (3, 5, 4)), rtol=0.03)


def test_the_intervals_hold_the_truth_about_as_often_as_they_say():
    """Without a true difference, six categories, three seeds: 0.92 for these categories, more for others like them."""
    noise = np.random.default_rng(0).standard_normal((18, 2000))
    for among_categories, least, most in ((False, 0.89, 0.95), (True, 0.96, 1.0)):
        means = bootstrap.resampled((3,) * 6, among_categories=among_categories, resamples=1000, seed=0) @ noise
        low, high = np.quantile(means, (0.025, 0.975), axis=0)
        assert least < np.mean((low < 0) & (high > 0)) < most


def test_b_is_behind_by_as_much_as_a_is_ahead():
    rows = random_ledger(shift=0.02)
    a, b = (bootstrap.paired_bootstrap(rows, *pair, "iap") for pair in (("destseg", "stfpm"), ("stfpm", "destseg")))
    assert a.difference == pytest.approx(-b.difference)
    for x, y in ((a.ci_fixed_categories, b.ci_fixed_categories), (a.ci_random_categories, b.ci_random_categories)):
        assert x == pytest.approx((-y[1], -y[0]))
    assert a.ahead + b.ahead == a.categories == 6


def test_a_difference_that_never_varies_is_certain():
    found = bootstrap.paired_bootstrap(random_ledger(noise=0, shift=0.1), "destseg", "stfpm", "pro")
    assert found.ci_fixed_categories == pytest.approx((0.1, 0.1))
    assert found.ci_random_categories == pytest.approx((0.1, 0.1))
    assert (found.pairs, found.categories, found.seeds, found.ahead, found.why) == (18, 6, 3, 6, "")


def test_what_varies_between_categories_only_is_sure_for_these_and_not_for_others():
    values = {(m, c, s): 0.5 + (m == "destseg") * d for (c, d), m, s in
              product(zip(DEMO, (-0.1, 0, 0.05, 0.1, 0.2, 0.05), strict=True), ("stfpm", "destseg"), range(3))}
    found = bootstrap.paired_bootstrap(ledger(values), "destseg", "stfpm", "pro")
    assert found.ci_fixed_categories == pytest.approx((0.05, 0.05))
    assert found.ci_random_categories[0] < 0 < found.ci_random_categories[1]
    assert found.ahead == 4                         # a tie is no lead


def test_only_pairs_that_both_have_are_compared():
    rows = random_ledger(seeds=4)
    rows = rows[~((rows["method"] == "stfpm") & (rows["seed"] == 3) & (rows["category"] == "brick"))]
    rows = rows[~((rows["method"] == "destseg") & (rows["category"] == "grass"))]
    rows.loc[(rows["category"] == "gravel") & (rows["seed"] == 0), "pro"] = np.nan
    found = bootstrap.paired_bootstrap(rows, "destseg", "stfpm", "pro")
    assert (found.pairs, found.categories, found.seeds) == (18, 5, 3)
    assert bootstrap.paired_bootstrap(rows, "destseg", "stfpm", "iap").pairs == 19


@pytest.mark.parametrize(("categories", "seeds", "these", "why"), [
    (DEMO, 2, False, "2 seeds of blister that both have, and an interval needs 3"),
    (DEMO[:2], 3, True, "2 categories only, and an interval for others like these needs 3"),
    (DEMO[:1], 1, False, "1 seed of brick"),
])
def test_too_few_seeds_or_categories_give_no_interval(categories, seeds, these, why):
    found = bootstrap.paired_bootstrap(random_ledger(categories, seeds), "destseg", "stfpm", "pro")
    assert (found.ci_fixed_categories is not None, found.ci_random_categories) == (these, None)
    assert why in found.why
    assert not math.isnan(found.difference)


def test_nothing_in_common_gives_no_difference():
    rows = ledger({("stfpm", "brick", 0): 0.5, ("destseg", "grass", 0): 0.6})
    found = bootstrap.paired_bootstrap(rows, "destseg", "stfpm", "pro")
    assert math.isnan(found.difference)
    assert (found.pairs, found.why) == (0, "no category and seed that both have")


def test_a_comparison_of_what_is_not_there_or_not_comparable_is_refused():
    rows = random_ledger()
    with pytest.raises(ValueError, match="no runs of rd4ad here; there are stfpm, destseg"):
        bootstrap.paired_bootstrap(rows, "destseg", "rd4ad", "pro")
    with pytest.raises(ValueError, match=r"differ in image_size \(128, 256\)"):
        bootstrap.compare_pairs(pd.concat([rows, random_ledger(image_size=256)]), "pro")


def test_wins_compares_all_pairs():
    rows = tables.read_extract(EXTRACT)
    found = pd.DataFrame(bootstrap.compare_pairs(rows, "pixel_ap"))
    assert list(zip(found["a"], found["b"], strict=True))[:4] == [("nearest", m) for m in list(LESSON_OF)[1:]]
    assert len(found) == 10
    again = bootstrap.paired_bootstrap(rows, "nearest", "destseg", "pixel_ap")
    assert found.query("b == 'destseg'").iloc[0]["ci_fixed_categories"] == again.ci_fixed_categories


def test_a_report_compares_methods_and_a_setting_with_its_own_methods_defaults():
    rows = tables.frame([entry("stfpm"), entry("stfpm", levels=[2]), entry("stfpm", lr=0.1), entry("destseg"),
                          entry("rd4ad", cosine="pixel")])
    assert bootstrap.sensible_pairs(rows) == [("stfpm", "stfpm levels=[2]"), ("stfpm", "stfpm lr=0.1"),
                                            ("stfpm", "destseg")]


# Notes and costs


def notes(*entries) -> str:
    return "\n".join(report.notes(tables.frame(entries)))


def test_runs_that_compare_leave_nothing_to_note():
    assert notes(*(entry(m, category=c, seed=s) for m, c, s in product(LESSON_OF, DEMO, range(3)))) == ""
    assert report.notes(tables.frame([])) == []


@pytest.mark.parametrize(("entries", "note"), [
    ([entry(), entry(backbone="resnet18")], r"2 groups .* differ in backbone \(efficientnet_lite0, resnet18\)"),
    ([entry(), entry(weights="random", image_size=64)], r"weights \(auto, random\), image_size \(64, 128\)"),
    ([entry(), entry(protocol={"connectivity": 4})], r"protocol \(the usual one, connectivity=4\)"),
    ([entry(), entry("nearest", threads=2)], r"threads: 1 \(stfpm\); 2 \(nearest\): rounding differs"),
    ([entry(), entry("nearest", cpu="AVX2, no bf16, B"), entry("rd4ad", cpu=None)],
     r"^cpu: AVX2, no bf16, B \(nearest\); AVX512, bf16, A \(stfpm\): rounding differs, .* and times differ\.$"),
    ([entry(), entry("nearest", precision="bf16")], r"precision: bf16 \(nearest\); float32 \(stfpm\)"),
    ([entry(), entry(levels=[2])], r"rows of their own: stfpm levels=\[2\]"),
    ([entry(category="brick"), entry(category="grass"), entry(category="grass", seed=1)],
     r"^stfpm lacks 1 of 4 runs: seed 1 of brick\.$"),
    ([entry(category=c, seed=s) for c in ("brick", "grass") for s in (0, 1)]
     + [entry("nearest", category=c) for c in ("brick", "grass")],
     r"^nearest lacks 2 of 4 runs: seed 1 of every category\.$"),
    ([entry(category=c, seed=s) for c in ("brick", "grass") for s in (0, 1)] + [entry("nearest", category="grass")],
     r"^nearest lacks 3 of 4 runs: brick; seed 1 of grass\.$"),
    ([entry(), entry("nearest", category="brick")], r"^nearest lacks 1 of 2 runs: gravel\.\nstfpm .*: brick\.$"),
    ([entry(), entry(value=None, seed=1)], r"^image AUROC, .*IAP@90: undefined in 1 of 2 runs"),
    ([entry() | {"digests": {"data": "a"}}, entry(seed=1) | {"digests": {"data": "b"}}],
     r"^gravel had other images in some runs than in others"),
    ([entry() | {"digests": {}}, entry(seed=1, n_test=50) | {"digests": {}}], r"^gravel had other images"),
    ([entry("destseg", protocol={"texture_source": "a"}), entry("destseg", seed=1, protocol={"texture_source": "b"})],
     r"^texture_source: a \(destseg\); b \(destseg\)"),
])
def test_what_does_not_compare_is_said(entries, note):
    assert re.search(note, notes(*entries), re.M)


def test_costs_are_medians():
    slow = entry(seed=2) | {"seconds": {"train": 300.0, "predict": 2.0, "evaluate": 0.5}, "peak_memory_mb": 5000.0}
    found = report.costs(tables.frame([entry(), entry(seed=1), slow, entry("nearest")]))
    assert found.index.tolist() == ["nearest", "stfpm"]
    assert found.loc["stfpm", ["train_seconds", "seconds", "peak_memory_mb", "runs"]].tolist() == [30, 31.5, 1000, 3]


# The report


def mixed() -> list[dict]:
    """A ledger as it happens: several groups, one on MVTec AD, an ablation, holes, undefined numbers."""
    runs = [entry(m, 0.5 + 0.01 * i + 0.001 * s, category=c, seed=s) for (i, m), c, s in
            product(enumerate(LESSON_OF), DEMO, range(3))]
    runs += [entry("stfpm", 0.6, category=c, levels=[2]) for c in DEMO[:2]]
    runs += mvtec("stfpm", backbone="resnet18") + mvtec("destseg", backbone="resnet18", categories=MVTEC[:3])
    return [*runs, entry("nearest", None, data_root="photos"), entry(budget="smoke")]


@pytest.fixture(scope="module")
def mixed_ledger(tmp_path_factory):
    root = tmp_path_factory.mktemp("mixed")
    leave(root, mixed())
    return root


def test_an_empty_ledger_names_the_command_that_fills_it(tmp_path):
    for root in (tmp_path, tmp_path / "missing"):
        for form in ("table", "markdown"):
            text = report.ledger_report(root, form)
            assert str(root) in text
            assert "python -m adlib sweep --methods nearest,stfpm,destseg,rd4ad,masked_rd" in text
        assert report.ledger_report(root, "csv").split(",")[:2] == ["dataset", "budget"]
        assert report.ledger_report(root, "csv").count("\n") == 1


def test_a_mixed_ledger_is_told_apart_and_fits_a_terminal(mixed_ledger):
    text = report.ledger_report(mixed_ledger)
    assert text.startswith(f"{len(mixed())} runs. All numbers lie in [0, 1]")
    assert re.findall("^== (.*) ==$", text, re.M) == [
        "demo, budget demo, efficientnet_lite0 at 128 px", "demo, budget smoke, efficientnet_lite0 at 64 px",
        "mvtec, budget paper, resnet18 at 256 px", "photos, budget demo, efficientnet_lite0 at 128 px"]
    assert "4 groups of runs" in text
    assert re.search(r"^nearest +0\.501 ± 0\.001 .*0\.501 ± 0\.001$", text, re.M)
    assert re.search(r"^stfpm levels=\[2\] +2 of 6", text, re.M)
    assert re.search(r"^all +0\.955 \(\+2\.6\) +0\.970 \(\+1\.1\)", text, re.M)    # STFPM's paper, and ours minus it
    assert re.search(r"^nearest - masked_rd +-4\.0 +\[-4\.0, -4\.0\]\* +\[-4\.0, -4\.0\]\* +0 of 6", text, re.M)
    tables = [line for line in text.split("\n") if "  " in line.strip()]
    assert max(map(len, tables)) <= 100
    assert "nan" not in text


def test_five_methods_and_six_metrics_fit_a_terminal_side_by_side():
    rows = tables.read_extract(EXTRACT)
    lines = report.aligned(report.overview(tables.summarize(rows), tables.variants(rows), "all", METRICS)).split("\n")
    assert len(lines) == 6
    assert lines[0].split()[-1] == "IAP@90"
    assert max(map(len, lines)) <= 100


def test_wider_tables_are_broken_with_their_first_column_repeated():
    table = pd.DataFrame([["1", "2", "3"]], ["brick"], pd.Index(["a" * 40, "b" * 40, "c" * 7], name="category"))
    assert report.aligned(table) == (f"category  {'a' * 40}  {'b' * 40}\nbrick     {'1':>40}  {'2':>40}\n\n"
                                     f"category  {'c' * 7}\nbrick     {'3':>7}")


def test_one_group_with_all_runs_is_a_table_of_methods_by_metrics(tmp_path):
    leave(tmp_path, [entry(m, 0.5, category="gravel") for m in ("nearest", "stfpm")])
    text = report.ledger_report(tmp_path)
    assert "gravel, 1 seed\n" in text
    assert len(re.findall(r"^(?:nearest|stfpm)(?: +0\.500){6}$", text, re.M)) == 2
    assert "No interval of the differences: 1 seed of gravel that both have" in text


def test_the_csv_has_a_row_a_cell(mixed_ledger):
    rows = pd.read_csv(io.StringIO(report.ledger_report(mixed_ledger, "csv")), keep_default_na=False)
    own = rows[(rows["dataset"] == "demo") & (rows["budget"] == "demo") & (rows["setting"] == "")]
    assert len(own) == 5 * 9 * 6
    last = own.query("method == 'masked_rd' and category == 'all' and metric == 'pro'").iloc[0]
    assert last[["mean", "std", "n", "found", "of"]].astype(float).tolist() == [0.541, 0.001, 3, 6, 6]
    partial = rows[(rows["setting"] == "levels=[2]") & (rows["category"] == "all")].iloc[0]
    assert partial[["mean", "n", "found", "of"]].tolist() == ["", 0, 2, 6]


def test_the_markdown_has_pipe_tables_of_one_width(mixed_ledger):
    text = report.ledger_report(mixed_ledger, "markdown")
    assert text.count("\n## ") == 4
    tables = [part.split("\n") for part in text.split("\n\n") if part.startswith("|")]
    assert len(tables) > 10
    for lines in tables:
        assert {line.count("|") for line in lines} == {lines[0].count("|")}
        assert set(lines[1]) == {"|", "-"}


def test_failed_and_torn_runs_are_left_out_and_told(tmp_path):
    leave(tmp_path, [entry(), entry(seed=1)])
    first, second = sorted(tmp_path.glob("*/*/*/*/run.json"))
    first.rename(first.with_name("failed.json"))
    assert "1 run failed" in report.ledger_report(tmp_path)
    second.write_text("{")
    with pytest.warns(UserWarning, match="left out: .*torn"):
        assert "no complete runs" in report.ledger_report(tmp_path)


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(ValueError, match="format='html' is unknown; choose one of table, csv, markdown"):
        report.ledger_report(tmp_path, "html")


def test_the_tables_need_no_torch():
    code = "import sys, adlib.runs.report; sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
