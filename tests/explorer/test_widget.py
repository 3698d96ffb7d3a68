"""The explorer without a browser: coding without loss, numbers against scikit-learn, traits, pages, bad input."""

import base64
import io
import json
import re
import zlib

import numpy as np
import pytest
import torch
import traitlets
from helpers import leave
from PIL import Image
from sklearn.metrics import confusion_matrix, jaccard_score, precision_score, recall_score
from test_metrics import random_case, regions_of

from adlib import metrics
from adlib.data.category import load_category
from adlib.explorer import decisions, quantize, widget
from adlib.explorer.widget import ThresholdExplorer
from adlib.runs.record import load_run


def case(seed=0, n=6, size=24, **options):
    """Float32 maps, images, masks and labels."""
    maps, masks, _, labels = random_case(seed, n, size, **options)
    images = np.random.default_rng(seed).integers(0, 256, (n, 3, size, size), dtype=np.uint8)
    return maps.astype(np.float32), images, masks, labels


def unpack(data: bytes) -> tuple[dict, dict]:
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + length])
    arrays = {name: np.frombuffer(data[8 + length + at:8 + length + at + size], kind)
              for name, (kind, at, size) in header["arrays"].items()}
    return header, arrays


def everything(shown: ThresholdExplorer) -> bytes:
    """What the browser gets when it asks."""
    assert shown._data == b""
    shown._wanted = True
    return shown._data


# --- codes ----------------------------------------------------------------------------------------------------------

def smooth(n=4):
    """Maps with as many distinct scores as pixels."""
    rng = np.random.default_rng(0)
    return rng.gamma(2, size=(n, 256, 256)).astype(np.float32)


def saturated(n=4):
    """Maps whose highest fifth is one and the same score."""
    return np.minimum(smooth(n), np.float32(3))


@pytest.mark.parametrize("maps", [smooth(), saturated(), np.round(smooth() * 8), np.full((2, 8, 8), 0.25)],
                         ids=["smooth", "saturated", "few values", "constant"])
def test_reaching_an_edge_is_reaching_its_code(maps):
    edges = quantize.choose_edges(maps, [])
    codes = quantize.encode(maps, edges)
    for c in np.unique(np.linspace(0, len(edges) - 1, 50).astype(int)):
        assert np.array_equal(maps >= edges[c], codes >= c)     # float64 edges: nothing is rounded
    assert (codes >= 0).all()
    assert not (codes >= len(edges) - 1).any()
    assert len(edges) < 5000


def test_the_top_hundredth_of_the_pixels_has_a_thousand_steps():
    maps = smooth(16)
    edges, start = quantize.choose_edges(maps, []), np.quantile(maps, 0.99)
    assert np.unique(quantize.encode(maps, edges)[maps >= start]).size >= 1000


def test_few_scores_are_all_told_apart():
    maps = np.random.default_rng(0).normal(size=(1, 20, 25)).astype(np.float32)
    assert quantize.choose_edges(maps, [])[:-1].tolist() == np.unique(maps).tolist()


def test_what_must_be_exact_is_an_edge():
    exact = [0.123456789, 7.5, -3.25, np.nan, np.inf]
    edges = quantize.choose_edges(smooth(), exact)
    assert set(exact[:3]) < set(edges.tolist())
    assert np.isfinite(edges).all()
    assert (np.diff(edges) > 0).all()


def test_a_threshold_goes_up_to_the_next_edge_and_no_further_than_the_last():
    edges = np.array([1.0, 2.0, 3.0])
    assert [quantize.code_of(t, edges) for t in (-1, 1, 1.5, 2, 9, np.inf)] == [0, 0, 1, 1, 2, 2]


def test_maps_and_masks_come_back_from_their_bytes():
    codes = np.random.default_rng(0).integers(0, 65536, (3, 7, 5), dtype=np.uint16)
    for code, packed in zip(codes, quantize.deflate_maps(codes), strict=True):
        low, high = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(2, 7, 5).astype(np.uint16)
        folded = low + 256 * high
        steps = np.where(folded % 2, ~(folded >> 1), folded >> 1)       # 0, 1, 2, 3 are 0, -1, 1, -2
        assert np.array_equal(steps.cumsum(0, np.uint16).cumsum(1, np.uint16), code)
    mask = codes[0] % 2 == 0
    bits = np.unpackbits(np.frombuffer(zlib.decompress(quantize.deflate_masks(mask[None])[0]), np.uint8))
    assert np.array_equal(bits[:35].reshape(7, 5), mask)


def test_a_block_of_bytes_holds_aligned_arrays():
    given = {"a": np.arange(3, dtype=np.uint8), "b": np.array([1.5, 2.5]), "c": [b"xy", b"", b"z"]}
    header, arrays = unpack(quantize.pack({"title": "Ω"}, given))
    assert header["title"] == "Ω"
    assert header["ends"] == {"c": [2, 2, 3]}
    assert [arrays["a"].tolist(), arrays["b"].tolist(), arrays["c"].tobytes()] == [[0, 1, 2], [1.5, 2.5], b"xyz"]
    assert all(at % 8 == 0 for _, at, _ in header["arrays"].values())


# --- numbers --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("seed", "levels"), [(0, None), (1, 3), (2, 1)])
def test_numbers_of_the_test_set_and_of_each_image_are_scikit_learns(seed, levels):
    maps, images, masks, labels = case(seed, levels=levels, gap=1.5)
    shown, scores = ThresholdExplorer(maps, images, masks, labels), maps.max(axis=(1, 2))
    for q in (0, 0.5, 0.9, 0.99):
        shown.threshold = float(np.quantile(maps, q))
        for index in (None, 0, 1):
            some = slice(None) if index is None else slice(index, index + 1)
            check_numbers(shown.numbers(index), maps[some], masks[some], scores[some], labels[some],
                          shown.threshold)


def check_numbers(found, maps, masks, scores, labels, t):
    truth, flagged = masks.ravel(), maps.ravel() >= np.float64(t)
    tn, fp, fn, tp = confusion_matrix(labels, scores >= np.float64(t), labels=[False, True]).ravel()
    assert [found[f"image_{name}"] for name in ("tp", "fp", "fn", "tn")] == [tp, fp, fn, tn]
    nan = {"zero_division": np.nan}
    assert found["pixel_precision"] == pytest.approx(precision_score(truth, flagged, **nan), nan_ok=True)
    assert found["pixel_recall"] == pytest.approx(recall_score(truth, flagged, **nan), nan_ok=True)
    if (truth | flagged).any():
        assert found["pixel_iou"] == pytest.approx(jaccard_score(truth, flagged, zero_division=0))
    assert found["pixel_fpr"] == pytest.approx(flagged[~truth].mean())
    assert found["false_alarm_pixels"] == (flagged & ~truth).sum() / len(maps)
    regions = regions_of(masks)
    assert (found["regions_found"], found["regions"]) == (
        sum((maps[i][r] >= np.float64(t)).mean() > 0.5 for i, r in regions), len(regions))


def test_overlap_and_pixels_at_or_above_lie_on_the_pro_and_roc_curves():
    maps, images, masks, labels = case(3, levels=3)      # few scores: each is an edge
    coded, curves = ThresholdExplorer(maps, images, masks, labels).coded[0], metrics.pixel_curves(maps, masks)
    codes = [quantize.code_of(t, coded.edges) for t in curves.thresholds]
    assert coded.overlap[codes] == pytest.approx(curves.pro[2::2])
    assert (coded.anomalous_pixels_at_or_above[codes] / masks.sum()) == pytest.approx(curves.tpr[2::2])
    normal = coded.pixels_at_or_above - coded.anomalous_pixels_at_or_above
    assert normal[codes] / (~masks).sum() == pytest.approx(curves.fpr[2::2])


def test_suggestions_are_those_of_the_metrics_and_say_what_they_used():
    maps, images, masks, labels = case(4)
    validation = case(5)[0]
    shown = ThresholdExplorer(maps, images, masks, labels, validation_maps=validation)
    scores = maps.max(axis=(1, 2))
    assert [(s["by"], s["labels"], s["threshold"]) for s in shown.suggestions] == [
        ("images", False, metrics.image_threshold(validation.max(axis=(1, 2)))),
        ("pixels", False, metrics.pixel_threshold(validation)),
        ("pixels", True, decisions.threshold_at_fpr(maps, masks)),
        ("pixels", True, decisions.threshold_of_best_f1(maps, masks)),
        ("regions", True, decisions.threshold_at_region_recall(maps, masks)),
        ("images", True, decisions.threshold_of_best_f1(scores, labels))]
    assert shown.threshold == shown.suggestions[0]["threshold"]


@pytest.mark.parametrize("costs", [[1, 1], [50, 1], [1, 50], [0, 1], [1, 0]])
def test_the_least_cost_on_codes_is_that_on_scores(costs):
    maps, images, masks, labels = case(6, n=30)
    shown, scores = ThresholdExplorer(maps, images, masks, labels), maps.max(axis=(1, 2))
    shown.costs = costs
    expected = decisions.threshold_of_least_cost(scores, labels, miss=costs[0], false_alarm=costs[1])
    assert shown.least_cost() == min(expected, shown.coded[0].edges[-1])


def test_costs_are_weighted_by_prevalence():
    maps, images, masks, labels = case(6, n=30)
    shown, scores = ThresholdExplorer(maps, images, masks, labels), maps.max(axis=(1, 2))
    assert shown.prevalence == labels.mean()
    for p in (0.01, 0.2, 0.9):
        shown.prevalence = p
        thresholds = [*np.sort(scores[labels]), np.inf]
        cost = [10 * p * (scores[labels] < t).mean() + (1 - p) * (scores[~labels] >= t).mean() for t in thresholds]
        best = max(t for t, c in zip(thresholds, cost, strict=True) if c <= min(cost) + 1e-12)
        assert shown.least_cost() == min(best, shown.coded[0].edges[-1])


# --- traits ---------------------------------------------------------------------------------------------------------

def test_a_threshold_that_is_set_moves_up_to_an_edge_and_is_observed():
    shown, heard = ThresholdExplorer(*case()), []
    shown.observe(lambda change: heard.append(change.new), "threshold")
    shown.threshold = 0.5
    edges = shown.coded[0].edges
    assert heard == [shown.threshold] == [edges[edges >= 0.5].min()] == shown.thresholds
    shown.threshold = 1e9
    assert shown.threshold == edges[-1]
    assert shown.numbers()["image_tp"] == shown.numbers()["false_alarm_pixels"] == 0


def test_what_cannot_be_set_is_refused():
    shown = ThresholdExplorer(*case())
    for name, value in [("index", 6), ("index", -1), ("method", 1), ("view", "x-ray"), ("opacity", 2),
                        ("threshold", np.nan), ("costs", [1.0]), ("costs", [-1.0, 1.0])]:
        with pytest.raises(traitlets.TraitError):
            setattr(shown, name, value)
    with pytest.raises(IndexError, match="no image 6; there are 6"):
        shown.numbers(6)


@pytest.fixture
def two():
    maps, images, masks, labels = case()
    return ThresholdExplorer({"A": maps, "B": np.exp(2 * maps)}, images, masks, labels)


def test_methods_linked_by_quantile_flag_the_same_pixels_where_they_rank_them_alike(two):
    for t in (-0.5, 0.3, 1.1):
        two.threshold = t
        assert two.thresholds[1] == pytest.approx(np.exp(2 * two.threshold), rel=1e-6)
        assert two.numbers(method=0) == pytest.approx(two.numbers(method=1))


def test_changing_the_method_back_and_forth_moves_no_threshold(two):
    two.threshold = 0.4
    before = list(two.thresholds)
    for k in (1, 0, 1):
        two.method = k
        assert two.thresholds == before
        assert two.threshold == before[k]


def test_methods_linked_by_value_or_not_at_all(two):
    two.link = "value"
    two.threshold = 1.0
    assert two.thresholds[1] == pytest.approx(1, abs=0.05)
    assert two.thresholds[1] >= two.threshold
    two.link = "off"
    other = two.thresholds[1]
    two.threshold = -1.0
    assert two.thresholds == [two.threshold, other]


def test_methods_linked_by_validation_begin_at_their_own_thresholds():
    maps, images, masks, labels = case()
    validation = {"A": case(1, n=30)[0], "B": 5 + 3 * case(2, n=30)[0]}
    shown = ThresholdExplorer({"A": maps, "B": np.exp(2 * maps)}, images, masks, labels, validation_maps=validation)
    highest = {name: v.max(axis=(1, 2)) for name, v in validation.items()}
    assert shown.link == "validation"
    assert shown.thresholds == [metrics.image_threshold(s) for s in highest.values()]
    shown.threshold = float(np.median(highest["A"]))
    share = (highest["A"] >= shown.threshold).mean()
    assert (highest["B"] >= shown.thresholds[1]).mean() == pytest.approx(share, abs=0.05)
    shown.threshold = np.inf
    assert shown.thresholds == [c.edges[-1] for c in shown.coded]


def test_a_link_by_validation_needs_validation_images(two):
    assert two.link == "quantile"
    with pytest.raises(traitlets.TraitError, match="link by another way"):
        two.link = "validation"


def test_thresholds_carried_over_keep_their_order_and_come_back():
    rng = np.random.default_rng(0)
    a, b = np.sort(rng.normal(size=20)), np.sort(rng.gamma(2, size=20))
    for t in [*a, *rng.uniform(a[0] - 2, a[-1] + 2, 50)]:
        assert widget.carry_over(widget.carry_over(t, a, b), b, a) == pytest.approx(t)
    carried = [widget.carry_over(t, a, b) for t in np.linspace(a[0] - 1, a[-1] + 1, 100)]
    assert (np.diff(carried) > 0).all()
    assert [widget.carry_over(t, a, b) for t in a] == b.tolist()
    assert widget.carry_over(3.0, np.ones(20), b) == b[-1]        # nothing says how far beyond


# --- pages ----------------------------------------------------------------------------------------------------------

def block_of(page: str) -> tuple[dict, dict]:
    return unpack(base64.b64decode(re.search(r'-data">([^<]+)</script>', page)[1]))


def test_a_page_holds_everything_and_asks_for_nothing_outside(tmp_path):
    maps, images, masks, labels = case()
    shown = ThresholdExplorer(maps, images, masks, labels, names=["a<b", *"bcdef"])
    shown.index, shown.view = 3, "mask"
    page = shown.to_html(tmp_path / "deep" / "page.html").read_text()
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)", page) == []
    assert not re.search(r"<link|\bsrc=[\"']|@import|\bimport\(", page)
    header, arrays = block_of(page)
    assert (header["state"]["index"], header["state"]["view"], header["names"][0]) == (3, "mask", "a<b")
    assert header["shown"] == list(range(6))
    assert arrays["pixels_at_or_above0"].tolist() == shown.coded[0].pixels_at_or_above.tolist()
    picture = Image.open(io.BytesIO(arrays["images"][: header["ends"]["images"][0]].tobytes()))
    assert picture.size == (24, 24)


def test_a_page_of_many_images_shows_some_and_counts_all(tmp_path):
    maps, images, masks, labels = case(n=100, size=12)
    shown = ThresholdExplorer(maps, images, masks, labels)
    shown.index = 77
    header, arrays = block_of(shown.to_html(tmp_path / "page.html").read_text())
    assert len(header["shown"]) == widget.SHOWN == len(header["ends"]["codes0"])
    assert header["shown"] == sorted(set(header["shown"]))
    assert {77, int(maps.max(axis=(1, 2)).argmax())} <= set(header["shown"])
    assert "64 of 100 images" in header["notes"][0]
    assert len(arrays["scores0"]) == 100
    assert arrays["pixels_at_or_above0"][0] == maps.size
    assert unpack(everything(shown))[0]["shown"] == list(range(100))


def test_a_notebook_gets_the_static_form_and_the_widget(capsys):
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    InteractiveShell.instance()
    shown = ThresholdExplorer(*case())
    with capture_output() as caught:
        shown._ipython_display_()
    form, widget = (output.data for output in caught.outputs)
    assert f'data-adlib-static="{shown._id}"' in form["text/html"]
    assert widget["application/vnd.jupyter.widget-view+json"]["model_id"] == shown.model_id
    InteractiveShell.clear_instance()


# --- runs -----------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def run_folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("explored")
    return root, [leave(root, seed=seed)[0] for seed in (0, 1)]


def test_a_run_brings_its_images_masks_labels_and_thresholds(run_folders):
    root, (folder, _) = run_folders
    shown, run = ThresholdExplorer(folder), load_run(folder)
    assert shown.threshold == pytest.approx(run.entry["thresholds"]["image"])
    image, pixel, promise = run.entry["thresholds"].values()
    assert [(s["text"].lower(), s["threshold"]) for s in shown.suggestions[:2]] == [
        (promise, image), ("99.9 % of normal validation pixels", pixel)]
    assert (shown.title, shown.names[0], shown.index) == ("nearest: bolt", "crack/000.png", 0)
    assert Image.open(io.BytesIO(shown.jpegs[0])).size == (256, 256)
    found = shown.numbers()
    assert found["image_tp"] + found["image_fn"] == 4
    assert found["regions"] == 4


def test_runs_of_one_category_are_compared(run_folders):
    root, folders = run_folders
    shown = ThresholdExplorer(folders)
    assert [c.name for c in shown.coded] == ["nearest seed 0", "nearest seed 1"]
    assert ThresholdExplorer({"first": folders[0], "second": load_run(folders[1])}).coded[1].name == "second"
    with pytest.raises(ValueError, match="cannot be mixed"):
        ThresholdExplorer({"a": folders[0], "b": load_run(folders[1]).maps})


def test_runs_on_other_images_are_not_compared(run_folders):
    other = load_run(run_folders[1][1])
    other.paths = other.paths[::-1]
    with pytest.raises(ValueError, match="other test images"):
        ThresholdExplorer([run_folders[1][0], other])


def test_a_data_set_that_has_changed_since_is_found_out(run_folders):
    run = load_run(run_folders[1][0])
    run.maps, run.paths, run.defects, run.scores, run.labels = (
        x[:-1] for x in (run.maps, run.paths, run.defects, run.scores, run.labels))
    with pytest.raises(ValueError, match="holds 7 test images now"):
        ThresholdExplorer(run)


def test_a_one_class_run_has_no_masks(run_folders):
    run = load_run(run_folders[1][0])
    data = load_category("digits", "3", image_size=32)
    n = len(data.test)
    run.entry = run.entry | {"image_size": 32, "parameters": {"data_root": "digits", "category": "3"},
                             "protocol": run.entry["protocol"] | {"image_score": "mean of the map"}}
    run.maps = np.random.default_rng(0).random((n, 8, 8), np.float32)
    run.scores, run.labels, run.defects = run.maps.mean(axis=(1, 2)), data.labels.numpy(), np.array(data.defects)
    run.paths = np.array([str(p) for p in data.paths])
    shown = ThresholdExplorer(run)
    assert shown.numbers().keys() == {"image_tp", "image_fp", "image_fn", "image_tn"}
    assert shown.names[-1].split()[0] == data.defects[-1]
    assert {s["by"] for s in shown.suggestions if s["labels"]} == {"images"}


# --- what can go wrong ----------------------------------------------------------------------------------------------

def test_constant_maps_have_one_threshold_and_one_above():
    _, images, masks, labels = case()
    shown = ThresholdExplorer(np.full((6, 24, 24), 0.5), images, masks, labels)
    assert shown.coded[0].edges.tolist() == [0.5, np.nextafter(0.5, 1)]
    assert shown.threshold == np.nextafter(0.5, 1)      # no normal image is odder than the others: none alarms
    shown.threshold = 0.5
    assert (shown.numbers()["image_fn"], shown.numbers()["pixel_fpr"]) == (0, 1)
    shown.threshold = 0.6
    assert shown.numbers()["pixel_fpr"] == 0


def test_without_masks_there_are_numbers_of_images_only():
    maps, images, _, labels = case()
    shown = ThresholdExplorer(maps, images, None, labels)
    assert set(shown.numbers()) == {"image_tp", "image_fp", "image_fn", "image_tn"}
    assert [s["by"] for s in shown.suggestions] == ["images"]
    assert "There are no masks" in unpack(everything(shown))[0]["notes"][0]


def test_without_labels_nothing_is_right_or_wrong():
    shown = ThresholdExplorer(case()[0])
    assert shown.numbers() == {}
    assert shown.suggestions == []
    assert "not known" in unpack(everything(shown))[0]["notes"][0]
    with pytest.raises(ValueError, match="costs need labels"):
        shown.least_cost()


def test_labels_come_from_masks_unless_given():
    maps, images, masks, labels = case()
    assert ThresholdExplorer(maps, images, masks).coded[0].labels.tolist() == labels.tolist()


def test_without_an_anomalous_image_there_are_false_alarms_only():
    maps, images, masks, labels = case()
    shown = ThresholdExplorer(maps, images, np.zeros_like(masks), np.zeros_like(labels))
    assert shown.suggestions == []
    assert np.isnan(shown.numbers()["pixel_recall"])
    assert np.isnan(shown.least_cost())
    assert shown.numbers()["regions"] == 0


def test_one_image_is_enough():
    shown = ThresholdExplorer(*(x[:1] for x in case()))
    assert shown.numbers() == pytest.approx(shown.numbers(0), nan_ok=True)


def test_tensors_and_images_of_another_size_will_do():
    maps, _, masks, labels = case()
    images = torch.zeros(6, 3, 600, 300, dtype=torch.uint8)
    shown = ThresholdExplorer(*(torch.from_numpy(x) if isinstance(x, np.ndarray) else x
                                for x in (maps, images, masks, labels)))
    assert Image.open(io.BytesIO(shown.jpegs[0])).size == (256, 512)
    assert ThresholdExplorer(maps, np.zeros((6, 9, 9), np.uint8)).jpegs


@pytest.mark.parametrize(("change", "message"), [
    ({"maps": lambda x: np.where(np.arange(6)[:, None, None] == 2, np.nan, x)}, "image 2: its map holds NaN"),
    ({"maps": lambda x: x[0]}, r"maps must be \(N, H, W\)"),
    ({"maps": lambda x: x[:0]}, "the maps are empty"),
    ({"images": lambda x: x[:4]}, "6 maps but 4 images"),
    ({"masks": lambda x: x[:5]}, "6 maps but 5 masks"),
    ({"labels": lambda x: x[:5]}, "6 maps but 5 labels"),
    ({"masks": lambda x: x[:, :12]}, "maps are .* but masks are"),
    ({"masks": lambda x: x * 255}, "besides 0 and 1"),
    ({"images": lambda x: x / 255}, "expected uint8"),
    ({"images": lambda x: x[:, :2]}, "expected uint8"),
])
def test_what_cannot_be_explored_is_named(change, message):
    given = dict(zip(("maps", "images", "masks", "labels"), case(), strict=True))
    given = {name: change.get(name, lambda x: x)(x) for name, x in given.items()}
    with pytest.raises(ValueError, match=message):
        ThresholdExplorer(*given.values())


@pytest.mark.parametrize(("options", "message"), [
    ({"scores": [1, 2]}, "need one score each"),
    ({"scores": [1, 2, 3, 4, 5, np.inf]}, "image 5: its score holds NaN or infinite"),
    ({"names": ["a"]}, "6 maps but 1 names"),
    ({"validation_maps": np.full((1, 4, 4), np.nan)}, "image 0: its map holds NaN"),
])
def test_options_are_checked_too(options, message):
    with pytest.raises(ValueError, match=message):
        ThresholdExplorer(*case(), **options)


def test_several_methods_must_fit_together():
    maps, images, masks, labels = case()
    with pytest.raises(ValueError, match="methods are compared on the same images"):
        ThresholdExplorer({"A": maps, "B": maps[:, :12]}, images)
    with pytest.raises(ValueError, match="scores must be a dict with the names of the maps: A"):
        ThresholdExplorer({"A": maps}, images, scores=[1])
    with pytest.raises(ValueError, match="nothing to explore"):
        ThresholdExplorer({})
