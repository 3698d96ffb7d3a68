"""The papers' numbers: none is lost, and they are those of the methods' specification, typed off independently."""

import pytest

from adlib.data.one_class import CLASSES
from adlib.runs import published
from adlib.runs.execute import LESSON_OF
from adlib.settings import BACKBONES, METRICS

# How many numbers each table holds.
COUNTS = {
    ("DeSTSeg", "1"): 7, ("DeSTSeg", "2"): 192, ("DeSTSeg", "3"): 128, ("DeSTSeg", "4"): 24, ("DeSTSeg", "5"): 6,
    ("DeSTSeg", "6"): 9, ("STFPM", "1"): 240, ("STFPM", "2"): 9, ("STFPM", "3"): 21, ("STFPM", "4"): 15,
    ("STFPM", "5"): 12, ("STFPM", "text 4.3"): 2, ("MaskedRD", "1"): 209, ("MaskedRD", "2"): 78, ("MaskedRD", "3"): 368,
    ("MaskedRD", "4"): 9, ("MaskedRD", "5"): 6, ("MaskedRD", "6"): 12, ("MaskedRD", "7"): 21,
}
# STFPM: PRO, pixel AUROC. DeSTSeg: pixel AUROC, AP, IAP, IAP@90. Masked RD, and RD4AD as quoted: image, pixel, PRO.
MVTEC = """
carpet     95.8 98.8 96.1 72.8 84.5 58.6  99.8 99.3 98.1 98.9 98.9 97.0
grid       96.6 99.0 99.1 61.5 61.6 47.4 100.0 99.5 97.7 100.0 99.3 97.6
leather    98.0 99.3 99.7 75.6 77.5 65.3 100.0 99.5 99.3 100.0 99.4 99.1
tile       92.1 97.4 98.0 90.0 94.7 86.5  99.8 97.9 92.8 99.3 95.6 90.6
wood       93.6 97.2 97.7 81.9 87.8 76.4  99.3 96.6 92.9 99.2 95.3 90.9
bottle     95.1 98.8 99.2 90.3 90.5 82.5 100.0 98.9 97.8 100.0 98.7 96.6
cable      87.7 95.5 97.3 60.4 51.1 26.7  97.2 98.1 94.3 95.0 97.4 91.0
capsule    92.2 98.3 99.1 56.3 49.4 27.3  98.7 98.8 96.1 96.3 98.7 95.8
hazelnut   94.3 98.5 99.6 88.4 87.7 77.6 100.0 99.1 96.7 99.9 98.9 95.5
metal_nut  94.5 97.6 98.6 93.5 93.6 86.5 100.0 98.4 93.0 100.0 97.3 92.3
pill       96.5 97.8 98.7 83.1 84.8 61.1  97.3 98.5 96.6 96.6 98.2 96.4
screw      93.0 98.3 98.5 58.7 53.6  8.6  98.7 99.6 98.5 97.0 99.6 98.2
toothbrush 92.2 98.9 99.3 75.2 59.8 32.1 100.0 99.2 96.3 99.5 99.1 94.5
transistor 69.5 82.5 89.1 64.8 78.3 49.6  98.1 96.1 93.2 96.7 92.5 78.0
zipper     95.2 98.5 99.1 85.2 90.6 80.3  98.2 99.2 96.5 98.5 98.2 95.4
mean       92.1 97.0 97.9 75.8 76.4 57.8  99.1 98.5 95.9 98.5 97.8 93.9
"""
COLUMNS = [("stfpm", "pro"), ("stfpm", "pixel_auroc"),
           *(("destseg", metric) for metric in ("pixel_auroc", "pixel_ap", "iap", "iap90")),
           *((method, metric) for method in ("masked_rd", "rd4ad") for metric in ("image_auroc", "pixel_auroc", "pro"))]
ABLATIONS = [
    ("STFPM", "3", "blocks 2", {"image_auroc": 80.8, "pixel_auroc": 91.5, "pro": 81.5}),
    ("STFPM", "3", "blocks 4", {"image_auroc": 93.4, "pixel_auroc": 95.7, "pro": 83.5}),
    ("STFPM", "3", "blocks 2,3,4", {"image_auroc": 95.5, "pixel_auroc": 97.0, "pro": 92.1}),
    ("STFPM", "4", "teacher trained on MNIST", {"image_auroc": 61.9, "pixel_auroc": 75.9, "pro": 52.8}),
    ("STFPM", "4", "teacher trained on SVHN", {"image_auroc": 79.6, "pixel_auroc": 90.2, "pro": 74.2}),
    ("STFPM", "5", "STFPM, 10 % of the training images", {"image_auroc": 90.7, "pixel_auroc": 96.7, "pro": 91.3}),
    ("DeSTSeg", "4", "exp 1: none", {"image_auroc": 94.8, "pixel_ap": 52.9, "iap": 55.8}),
    ("DeSTSeg", "4", "exp 5: denoising+encoder_decoder", {"image_auroc": 94.5, "pixel_ap": 54.0, "iap": 58.5}),
    ("DeSTSeg", "5", "without L1", {"image_auroc": 97.9, "pixel_ap": 72.2, "iap": 74.4}),
    ("DeSTSeg", "6", "distance input", {"image_auroc": 98.5, "pixel_ap": 72.0, "iap": 74.5}),
    ("MaskedRD", "5", "without mask generator", {"image_auroc": 98.8, "pixel_auroc": 98.1, "pro": 95.3}),
    ("MaskedRD", "6", "SimAM", {"image_auroc": 98.6, "pixel_auroc": 98.0, "pro": 95.5}),
    ("MaskedRD", "7", "levels 3", {"image_auroc": 93.9, "pixel_auroc": 94.2, "pro": 91.3}),
]


@pytest.fixture(scope="module")
def rows():
    return published.read_published()


def columns(rows):
    """The mean of the printed categories beside the printed mean, of each column that has both."""
    rows = rows[rows["table"].isin(["1", "2", "3"])]
    keys = ["paper", "table", "dataset", "method", "metric"]
    found = rows[rows["category"] != "mean"].groupby(keys)["value"].mean()
    return found.to_frame("found").join(rows[rows["category"] == "mean"].set_index(keys)["value"], how="inner")


def test_no_number_is_lost(rows):
    assert rows.groupby(["paper", "table"]).size().to_dict() == COUNTS
    assert len(rows) == sum(COUNTS.values()) == 1368
    assert rows["value"].between(0, 100).all()
    assert rows["spread"].notna().sum() == 65


def test_no_number_stands_there_twice(rows):
    keys = ["paper", "table", "dataset", "method", "backbone", "category", "metric"]
    assert not rows.duplicated(keys).any()


def test_the_names_are_ours(rows):
    assert set(rows["metric"]) == set(METRICS)
    assert set(rows["backbone"]) - {""} <= set(BACKBONES)
    ours = rows[rows["method"].isin(list(LESSON_OF))]
    assert ours.groupby("method")["printed"].agg(lambda names: sorted(set(names))).to_dict() == {
        "stfpm": ["STFPM", "STPM"], "destseg": ["DeSTSeg"], "rd4ad": ["RD"], "masked_rd": ["MaskedRD"]}
    assert set(rows.loc[~rows["method"].isin(list(LESSON_OF)), "printed"]).isdisjoint({"STFPM", "STPM", "RD"})
    assert rows["category"].str.fullmatch("[a-z_]+").all()


def test_the_categories_are_those_of_the_data_sets(rows):
    names = rows[rows["category"] != "mean"].groupby("dataset")["category"].agg(set)
    assert names["mvtec"] == {line.split()[0] for line in MVTEC.split("\n") if line} - {"mean"}
    assert names["cifar10"] == set(CLASSES["cifar10"])


def test_the_values_on_mvtec_ad_are_those_of_the_specification():
    for line in MVTEC.strip().split("\n"):
        category, *values = line.split()
        for (method, metric), value in zip(COLUMNS, values, strict=True):
            found = published.published_values(method, metric, category=category).iloc[0]
            assert found["value"] == float(value), (method, metric, category)


@pytest.mark.parametrize(("paper", "table", "label", "values"), ABLATIONS)
def test_the_ablations_are_those_of_the_specification(paper, table, label, values):
    rows = published.paper_table(paper, table)
    assert rows[rows["method"] == label].set_index("metric")["value"].to_dict() == values


def test_the_spreads_of_destsegs_means_are_those_of_the_specification():
    for metric, spread in {"image_auroc": 0.4, "pixel_auroc": 0.3, "pixel_ap": 0.8, "iap": 1.0, "iap90": 1.8}.items():
        assert published.published_values("destseg", metric, category="mean").iloc[0]["spread"] == spread
    assert published.published_values("destseg", "iap90", category="carpet")["spread"].tolist() == [17.1]


def test_the_papers_own_columns_average_to_their_printed_means_but_for_stfpms_pro(rows):
    own = columns(rows).reset_index()
    own = own[own["paper"] == own["method"].map(published.OWN_PAPER)].set_index(["method", "metric"])
    assert len(own) == 9        # image AUROCs of STFPM and DeSTSeg are printed as means only
    off = own[(own["found"] - own["value"]).abs() >= 0.1]
    assert off.index.tolist() == [("stfpm", "pro")]
    assert off["found"].item() == pytest.approx(92.42)
    assert off["value"].item() == 92.1
    assert own.loc[("stfpm", "pixel_auroc"), "found"] == pytest.approx(97.0933, abs=1e-4)


def test_contradictory_and_unrecoverable_numbers_say_so(rows):
    assert (rows["note"] != "").sum() == 83
    stfpm = published.published_values("stfpm", "pro", category="mean").iloc[0]
    assert stfpm["note"] == "printed mean; the column averages to 92.4"
    assert published.paper_table("MaskedRD", "5")["note"].str.contains("contradicts table 6").all()
    assert published.paper_table("MaskedRD", "7")["note"].str.contains("not recoverable").sum() == 18
    cifar = published.published_values("masked_rd", "image_auroc", dataset="cifar10")
    assert cifar["category"].tolist() == ["mean"]
    assert "misaligned" in cifar["note"].item()


def test_the_tables_contradict_each_other_where_the_specification_says_so():
    def means(table, method):
        rows = published.paper_table("MaskedRD", table)
        return rows[(rows["method"] == method) & (rows["category"] == "mean")].set_index("metric")["value"].to_dict()

    quoted = means("1", "rd4ad") | means("3", "rd4ad")
    assert means("6", "baseline") == quoted == {"image_auroc": 98.5, "pixel_auroc": 97.8, "pro": 93.9}
    assert means("6", "SimAM+SCConv") == means("5", "with mask generator")
    pixel = published.paper_table("MaskedRD", "3").query("method == 'masked_rd' and metric == 'pixel_auroc'")
    assert (pixel["value"] > 98).sum() - (pixel.query("category == 'mean'")["value"] > 98).sum() == 12   # text: 13


def test_the_methods_own_paper_comes_first():
    found = published.published_values("stfpm", "pixel_auroc", category="mean")
    assert found["paper"].tolist() == ["STFPM", "STFPM", "DeSTSeg", "MaskedRD"]
    assert found["backbone"].tolist() == ["resnet18", "wide_resnet50_2", "", ""]
    assert found["value"].tolist() == [97.0, 97.3, 96.6, 96.5]


def test_a_published_number_on_our_scale():
    assert published.from_percent(98.6) == pytest.approx(0.986)
