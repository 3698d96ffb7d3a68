"""Lesson 10's measurement: its subsets by hand, and that it goes on where it stopped."""

import pandas as pd
import pytest
import torch

from adlib.data.category import load_category
from adlib.lessons import photographs, resolution
from adlib.lessons.plots import resolution as plots
from adlib.lessons.quotes import resolution as say
from adlib.metrics import auroc
from adlib.settings import METRICS

COST = {"train_seconds": 1.0, "ms_per_image": 2.0, "device": "cpu", "peak_memory_mb": 3.0}


def test_subsets_are_thirds_by_size_and_defect_types(bolt):
    data = load_category(bolt.parent, "bolt", image_size=32)        # 4 anomalous images, then 3 normal ones
    data.masks = torch.zeros(7, 256, 256, dtype=torch.bool)
    for i, size in enumerate((40, 10, 30, 20)):
        data.masks[i, :size, :size] = True
    found = {name: chosen.nonzero()[0].tolist() for name, chosen in resolution.pick_subsets(data).items()}
    assert found["all"] == found["crack"] == [0, 1, 2, 3]
    # 100, 400, 900 and 1600 pixels: a third lies at 400, two thirds at 900, and an image at the end belongs below it
    assert [found[third] for third in resolution.THIRDS] == [[1, 3], [2], [0]]


def test_a_subset_is_judged_with_all_normal_images(bolt):
    data = load_category(bolt.parent, "bolt", image_size=32)
    scores = torch.tensor([9.0, 8, 0, 0, 1, 2, 3])
    rows = {row["subset"]: row for row in resolution.judge_subsets(data, data.masks.float(), scores)}
    assert rows["all"]["image_auroc"] == pytest.approx(6 / 12)
    assert rows["all"]["pixel_ap"] == 1
    assert rows["all"]["images"] == 4


def test_it_goes_on_where_it_stopped(bolt, tmp_path, monkeypatch):
    done = []

    def measured(data, *, method, seed, **_):
        done.append((data.seen("train").each, seed))
        return [{"subset": "all", "images": 4, "image_auroc": 0.5, "pixel_ap": 0.5} | COST]

    monkeypatch.setattr(resolution, "measure_setting", measured)
    grid = [{"method": "stfpm", "category": "bolt", "seed": seed, "image_size": 64, "tiles": tiles}
            for seed in (0, 1) for tiles in (1, 2)]
    target = tmp_path / "resolution.csv"
    resolution.write_resolution(target, grid[:1], data_root=str(bolt.parent))
    resolution.write_resolution(target, grid, data_root=str(bolt.parent), minutes=0)
    assert done == [(1, 0)]
    resolution.write_resolution(target, grid, data_root=str(bolt.parent))
    assert done == [(1, 0), (4, 0), (1, 1), (4, 1)]
    assert pd.read_csv(target)[resolution.KEY].to_dict("records") == grid


@pytest.mark.parametrize("method", ["nearest", "stfpm", "destseg", "rd4ad", "masked_rd"])
def test_a_tiled_detector_is_measured(bolt, method):
    data = load_category(bolt.parent, "bolt", image_size=64, tiles=2)
    rows = resolution.measure_setting(data, method=method, seed=0, budget="smoke", device="cpu", steps=2)
    assert [row["subset"] for row in rows] == ["all", *resolution.THIRDS, "crack"]
    assert rows[0]["train_seconds"] > 0 < rows[0]["ms_per_image"]


def test_photographs_get_the_six_numbers(bolt, tmp_path):
    grid = [{"method": "nearest", "category": "bolt", "seed": 0, "image_size": 64, "tiles": 1, "steps": 0}]
    target = tmp_path / "photographs.csv"
    for _ in range(2):      # the second time nothing is left to measure
        resolution.write_resolution(target, grid, data_root=str(bolt.parent), measure=photographs.measure_numbers)
    row, = pd.read_csv(target).to_dict("records")
    assert row.items() >= grid[0].items()
    assert all(0 <= row[name] <= 1 for name in METRICS)
    longer = [grid[0] | {"steps": 9}]
    assert list(resolution.not_measured(pd.read_csv(target), grid + longer)) == longer


# What the lesson says of it


def measured() -> pd.DataFrame:
    """Tiles help small defects and harm missing parts."""
    rows = []
    for size, tiles, seed in [(128, 1, 0), (128, 2, 0), (256, 1, 0), (128, 1, 1), (128, 2, 1), (256, 1, 1)]:
        where = {"method": "stfpm", "category": "circuit", "seed": seed, "image_size": size, "tiles": tiles} | COST
        where["ms_per_image"] = 2.0 * tiles**2 * (size / 128) ** 2
        for subset, value in [("all", 0.8 + 0.05 * (size > 128)), ("smallest third", 0.5 + 0.2 * (tiles - 1)),
                              ("missing_part", 0.9 - 0.3 * (tiles - 1))]:
            rows.append(where | {"subset": subset, "images": 9, "image_auroc": value, "pixel_ap": 0.1 * tiles})
    return pd.DataFrame(rows)


def test_the_price_is_told_from_the_rows():
    text = say.say_price(measured())
    best = "0.850: 256 px, whole (4.0)"
    assert f"| image AUROC | 0.800: 128 px, whole (1.0) | {best} | {best} |" in text
    assert "smallest third | 0.500: 128 px, whole (1.0) | 0.700: 128 px and 2 x 2 tiles (4.0) |" in text
    assert "| pixel AP | 0.100: 128 px, whole (1.0) | 0.200: 128 px and 2 x 2 tiles (4.0) |" in text
    assert "3 settings, 2 seeds for each" in text
    both = pd.concat([measured(), measured()[:3].assign(method="nearest")])
    assert "The training-free baseline on circuit (on cpu, 1 setting, 1 seed for each)" in say.say_price(both)


def test_what_tiles_lose_is_told_from_the_rows():
    text = say.say_context(measured())
    assert "| stfpm | 128 px | missing part | 0.90 | 0.60 |" in text
    assert "256 px" not in say.say_context(measured())      # one number of tiles compares with nothing
    assert "No defect type" in say.say_context(measured().query("subset == 'all'"))


def test_the_price_is_drawn_over_the_time():
    left, middle, right = plots.cost_quality(measured()).axes
    assert left.get_xscale() == "log"
    assert left.lines[0].get_xdata().tolist() == [2.0, 8.0]         # one tile, at 128 and at 256 px
    assert left.lines[0].get_ydata().tolist() == pytest.approx([0.8, 0.85])
    assert middle.lines[1].get_ydata().tolist() == pytest.approx([0.7])


@pytest.mark.parametrize("left", [0, 120, 246])
def test_the_frame_lies_around_the_defect(left):
    """In the units of the picture, wherever the defect lies and however the crop is moved to fit."""
    image, mask = torch.zeros(3, 256, 256, dtype=torch.uint8), torch.zeros(256, 256, dtype=torch.bool)
    mask[100:150, left : left + 10] = True
    image[:, mask] = 255
    ax = plots.shrunk_crops(image, (124, left + 5), [256], mask).axes[0]
    shown, frame = ax.images[0].get_array(), ax.patches[0].get_bbox()
    unit = 256 / len(shown)
    y, x = (shown[..., 0] > 0.5).nonzero()
    assert frame.x0 == pytest.approx(unit * (x.min() - 3))
    assert frame.x1 == pytest.approx(unit * (x.max() + 4))
    assert frame.y0 == pytest.approx(unit * (y.min() - 3))
    assert frame.y1 == pytest.approx(unit * (y.max() + 4))


def photographed() -> pd.DataFrame:
    """Tiles help RD4AD on tire, half of it by the longer training; and harm the baseline on magnetic_tile."""
    rows = []
    for category, method, steps, tiles, value in [
            ("tire", "rd4ad", 0, 1, 0.5), ("tire", "rd4ad", 0, 3, 0.9), ("tire", "rd4ad", 900, 1, 0.7),
            ("magnetic_tile", "nearest", 0, 1, 0.8), ("magnetic_tile", "nearest", 0, 2, 0.6)]:
        where = {"category": category, "method": method, "image_size": 128, "tiles": tiles, "steps": steps,
                 "train_seconds": 5, "ms_per_image": 9, "processor": "AVX2"}
        rows += [where | {"seed": seed} | dict.fromkeys(METRICS, value + 0.01 * seed) for seed in (0, 1)]
    return pd.DataFrame(rows)


def test_photographs_are_told_by_category():
    text = say.say_tiled_parts(photographed())
    assert "| rd4ad | 3 x 3 | 0.905 | 0.905 | 0.905 | 0.905 | 5 | 9 |" in text
    assert "0.705" not in text                      # trained longer: a question of its own
    risen = ", ".join(f"{name} (1 of 1 method)" for name in ("image AUROC", "pixel AP", "PRO", "IAP"))
    assert f"in every seed, what rises is {risen}; what falls is nothing. The best: rd4ad, 3 x 3" in text
    assert "what rises is nothing; what falls is image AUROC (1 of 1 method)" in text
    assert "The best: nearest, whole, in image AUROC" in text
    assert "means over 2 seeds" in text
    begun = photographed().query("method == 'nearest' and tiles == 1 and seed == 0").assign(method="stfpm")
    assert "stfpm" not in say.say_tiled_parts(pd.concat([photographed(), begun]))       # of fewer seeds than the others


def test_a_longer_training_is_told_from_tiles():
    share = say.longer_share(photographed(), "pro")
    assert share.to_dict("index") == {("tire", "rd4ad"): pytest.approx({"tiles": 0.4, "longer": 0.2})}
    assert "with 900 steps get +20.0 of +40.0 points image AUROC (rd4ad on tire)" in say.say_longer(photographed())
    lost = photographed().assign(tiles=lambda x: x["tiles"].replace({1: 3, 3: 1}))       # there is nothing to share
    assert say.longer_share(lost.query("steps == 0 or tiles == 1"), "pro").empty
    assert "No whole image" in say.say_longer(photographed().query("steps == 0"))


def test_a_larger_image_is_told_beside_tiles():
    assert say.say_larger(photographed()) == "No larger image was measured."
    short, longer = (photographed().query("method == 'rd4ad' and tiles == 1 and steps == @n").assign(image_size=256)
                     for n in (0, 900))
    short[list(METRICS)] += 0.1
    both = pd.concat([photographed(), short, longer]).assign(device="cpu")
    text = say.say_larger(both)
    assert "| rd4ad | 128 px and 3 x 3 tiles | 0.905 |" in text
    assert "| rd4ad | 256 px, whole, 900 steps | 0.705 |" in text
    assert "what rises is image AUROC (1 of 1 method), pixel AP (1 of 1 method), PRO (1 of 1 method), IAP" in text
    assert "Pixel AP: rd4ad on tire 0.705 by the larger image (900 steps), 0.905 by tiles. Tiles take" in text
    assert "GPU" not in text
    assert f"{len(both)} of the {len(both)} rows were made on a GPU" in say.say_larger(both.assign(device="cuda"))
    assert "magnetic_tile" not in text              # no larger image there
    for tell in (say.say_tiled_parts, say.say_longer):
        assert tell(both) == tell(photographed())       # they are about one size


def test_the_ways_are_drawn_with_their_seeds():
    rows = photographed()
    figure = plots.ways_on_parts(rows)
    assert len(figure.axes) == 2 * rows["category"].nunique()
    ways = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert ways == ["128 px, whole", "128 px and 3 x 3 tiles", "128 px, whole,\n900 steps"]
    marks = {(round(float(line.get_xdata()[0]), 4), line.get_marker()) for line in figure.axes[0].lines}
    own = rows[(rows["category"] == rows["category"].iloc[0]) & (rows["method"] == "rd4ad")]
    means = own.groupby(["tiles", "steps"])["image_auroc"].mean()
    assert {(round(mean, 4), "^") for mean in means} <= marks


def test_the_error_of_a_paired_difference():
    dice = torch.Generator().manual_seed(0)
    labels = torch.arange(120) < 70
    hard = torch.randn(120, generator=dice)         # for both alike
    first, second = (hard + 0.3 * torch.randn(120, generator=dice) + labels * by for by in (1.0, 1.3))
    gain, error = resolution.compare_scores(first, second, labels)
    assert gain == pytest.approx(auroc(second, labels) - auroc(first, labels))
    drawn = []
    for _ in range(600):
        again = torch.cat([kind[torch.randint(len(kind), (len(kind),), generator=dice)]
                           for kind in (labels.nonzero()[:, 0], (~labels).nonzero()[:, 0])])
        drawn.append(auroc(second[again], labels[again]) - auroc(first[again], labels[again]))
    assert error == pytest.approx(torch.tensor(drawn).std().item(), rel=0.15)
    assert resolution.compare_scores(first, first, labels) == (0, 0)
