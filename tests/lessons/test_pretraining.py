"""Teachers trained on small data sets: they learn, they load, and torchvision's data sets are read as they are."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision.datasets
from torch import nn

from adlib.data.one_class import LabelledImages, read_digits
from adlib.lessons import pretraining
from adlib.lessons.ablations import find_grid, reason_to_skip
from adlib.lessons.pretraining import (
    accuracy,
    as_tensors,
    classifier,
    make_preprocessor,
    pretrain,
    pretrain_command,
    read,
    train_classifier,
)
from adlib.networks.layers import to_float
from adlib.networks.stfpm import STFPM
from adlib.networks.teacher import Teacher

CPU = torch.device("cpu")
PATH = "data/teachers/efficientnet_lite0-digits.pt"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A repository of its own, in which to find and to store teachers."""
    for module in ("adlib.settings", "adlib.lessons.pretraining"):
        monkeypatch.setattr(f"{module}.ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def few(monkeypatch):
    """Twenty digits to learn from and ten to judge."""
    train, held = read_digits()
    parts = LabelledImages(train.images[:20], np.arange(20) % 10), LabelledImages(held.images[:10], held.classes[:10])
    monkeypatch.setattr(pretraining, "read", lambda dataset: parts)
    return parts


def same(one: dict, two: dict) -> bool:
    return all(torch.equal(x, two[name]) for name, x in one.items())


# Learning ------------------------------------------------------------------------------------------------------------


def bars(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy (n, 3, 8, 8) uint8 images of a bright bar, standing (0) or lying (1)."""
    generator = torch.Generator().manual_seed(seed)
    classes = torch.randint(2, (n,), generator=generator)
    images = torch.randint(0, 60, (n, 3, 8, 8), generator=generator, dtype=torch.uint8)
    for image, lying, at in zip(images, classes, torch.randint(1, 7, (n,), generator=generator), strict=True):
        image[(slice(None), at) if lying else (slice(None), slice(None), at)] = 250
    return images, classes


def test_a_classifier_learns_what_it_is_shown():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(8, 2))
    before = accuracy(net, to_float, *bars(100, 1))
    train_classifier(net, to_float, *bars(64, 0), steps=100, seed=0)
    assert before < 0.7
    assert accuracy(net, to_float, *bars(100, 1)) > 0.9


def test_the_seed_draws_the_order_of_the_images():
    weights = []
    for seed in (0, 0, 1):
        net = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
        nn.init.zeros_(net[1].weight)
        nn.init.zeros_(net[1].bias)
        train_classifier(net, to_float, *bars(64, 0), steps=2, seed=seed)
        weights.append(net[1].weight)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_accuracy_is_the_share_of_right_images():
    net = nn.Sequential(nn.Flatten(), nn.Dropout(0.9))      # in eval mode the three channels are the logits
    images = torch.eye(3)[[0, 1, 2, 2]][:, :, None, None]
    assert accuracy(net, lambda x: x, images, torch.tensor([0, 1, 2, 1])) == 0.75
    many = images.repeat(100, 1, 1, 1)
    assert accuracy(net, lambda x: x, many, torch.tensor([0, 0, 0, 2]).repeat(100)) == 0.5


@pytest.mark.parametrize("backbone", ["efficientnet_lite0", "resnet18"])
def test_a_classifier_sees_images_as_the_teacher_will(backbone):
    images = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    enlarged = F.interpolate(images.float() / 255, size=(64, 64), mode="bilinear")
    mean, std = ((0.5,) * 3, (0.5,) * 3) if backbone == "efficientnet_lite0" else ((0.485, 0.456, 0.406),
                                                                                 (0.229, 0.224, 0.225))
    expected = (enlarged - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    torch.testing.assert_close(make_preprocessor(backbone, 64, CPU)(images), expected)


def test_the_seed_makes_the_classifier_and_leaves_the_global_generator_alone():
    state = torch.get_rng_state()
    one, two, other = (classifier("resnet18", 10, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), state)
    assert same(one.state_dict(), two.state_dict())
    assert not torch.equal(one.conv1.weight, other.conv1.weight)
    assert one.layer1[0].bn2.weight.eq(1).all(), "as STFPM's student starts; timm's own is 0"


def test_a_training_that_diverges_is_not_stored(place, few, monkeypatch):
    monkeypatch.setattr(pretraining, "LR", 1e30)
    with pytest.raises(FloatingPointError, match=r"step \d of 4: the loss is (nan|inf)"):
        pretrain("digits", steps=4, image_size=32, device="cpu")
    assert not list(place.rglob("*.pt"))


# Files ---------------------------------------------------------------------------------------------------------------


def test_a_stored_teacher_loads_with_every_level(place, few):
    path = pretrain("digits", steps=3, image_size=32, device="cpu")
    assert path == place / PATH
    stored = torch.load(path, weights_only=True)
    teacher = Teacher(weights=PATH, levels=(1, 2, 3, 4))
    assert same(teacher.net.state_dict(), stored)
    start = classifier("efficientnet_lite0", 10, seed=0).state_dict()
    changed = {name for name, x in stored.items() if not torch.equal(x, start[name])}
    assert changed == set(start), "all of it was trained, its batch norms' statistics too"
    model = STFPM(Teacher(weights=str(path)))
    assert model(torch.rand(2, 3, 64, 64)).isfinite().all()
    assert reason_to_skip(next(row for row in find_grid("stfpm_4").rows if row.label == "digits")) is None


def test_what_is_stored_beside_it(place, few, capsys):
    path = pretrain("digits", seed=5, steps=3, image_size=32, device="cpu")
    entry = json.loads(path.with_suffix(".json").read_text())
    assert entry.pop("seconds") > 0
    net = classifier("efficientnet_lite0", 10, seed=5)
    net.load_state_dict(torch.load(path, weights_only=True))
    right = accuracy(net, make_preprocessor("efficientnet_lite0", 32, CPU), *as_tensors(few[1], CPU))
    assert entry == {"dataset": "digits", "backbone": "efficientnet_lite0", "seed": 5, "steps": 3, "batch": 32,
                     "image_size": 32, "n_train": 20, "n_held_back": 10, "classes": 10, "accuracy": right}
    assert f"names {right:.1%} of 10 held-back images of digits rightly, guessing 10%" in capsys.readouterr().out
    assert {file.name for file in path.parent.iterdir()} == {path.name, path.with_suffix(".json").name}


def test_a_file_that_is_there_is_kept(place, few, capsys):
    (place / PATH).parent.mkdir(parents=True)
    (place / PATH).write_bytes(b"trained for days")
    assert pretrain("digits", steps=3) == place / PATH
    assert (place / PATH).read_bytes() == b"trained for days"
    assert "already there" in capsys.readouterr().out


def test_the_same_seed_gives_the_same_teacher(few, tmp_path, monkeypatch):
    states = []
    for run, seed in enumerate((0, 0, 1)):
        monkeypatch.setattr("adlib.settings.ROOT", tmp_path / str(run))
        states.append(torch.load(pretrain("digits", seed=seed, steps=3, image_size=32, device="cpu"),
                                 weights_only=True))
    assert same(states[0], states[1])
    assert not same(states[0], states[2])


def test_the_command_is_the_one_that_a_missing_teacher_names(place, few, capsys):
    digits = next(row for row in find_grid("stfpm_4").rows if row.label == "digits")
    command = reason_to_skip(digits).split("`")[1]
    assert command.startswith("python -m adlib.lessons.pretraining ")
    assert pretrain_command([*command.split()[3:], "--steps", "3", "--image-size", "32", "--device", "cpu"]) == 0
    assert reason_to_skip(digits) is None


def test_names_that_do_not_exist():
    with pytest.raises(ValueError, match=r"data set 'stl10' must be one of digits, mnist.*backbone 'resnet19'"):
        pretrain("stl10", "resnet19")


# Data ----------------------------------------------------------------------------------------------------------------


def test_digits_are_scikit_learns():
    train, held = read("digits")
    assert len(train.images) + len(held.images) == 1797
    images, classes = as_tensors(train, CPU)
    assert (images.dtype, images.shape[1:], classes.dtype) == (torch.uint8, (3, 8, 8), torch.int64)
    assert images.eq(images[:, :1]).all()
    assert images[7, 1].equal(torch.from_numpy(train.images[7]))


class Fake:
    """A data set of torchvision's form: four images of two bright points, the first of which is their number."""

    asked = []

    def __init__(self, root, *, download, **part):
        self.asked.append((root.name, download, part))
        self.images = np.zeros((4, 3, 32, 32), np.uint8)
        self.images[:, 0, 0, 0] = np.arange(4) + (11 if part in ({"train": False}, {"split": "test"}) else 1)
        self.images[:, 2, 3, 5] = 99
        self.fill()


class MNIST(Fake):
    def fill(self):
        self.data, self.targets = torch.from_numpy(self.images.max(axis=1)), torch.tensor([1, 0, 2, 9])


class CIFAR100(Fake):
    def fill(self):
        self.data, self.targets = self.images.transpose(0, 2, 3, 1), [1, 0, 2, 9]


class SVHN(Fake):
    def fill(self):
        self.data, self.labels = self.images, np.array([1, 0, 2, 9])


@pytest.mark.parametrize(("kind", "parts"), [
    (MNIST, [{"train": True}, {"train": False}]), (CIFAR100, [{"train": True}, {"train": False}]),
    (SVHN, [{"split": "train"}, {"split": "test"}]),
])
def test_torchvisions_data_sets_are_read(kind, parts, monkeypatch):
    monkeypatch.setattr(torchvision.datasets, kind.__name__, kind)
    monkeypatch.setattr(Fake, "asked", [])
    name = kind.__name__.lower()
    for part, first in zip(read(name), (1, 11), strict=True):
        images, classes = as_tensors(part, CPU)
        assert images.shape == (4, 3, 32, 32)
        assert images[:, 0, 0, 0].tolist() == [first, first + 1, first + 2, first + 3]
        assert (images[:, 2, 3, 5] == 99).all()
        assert (images > 0).sum() == 4 * (6 if kind is MNIST else 2), "a grey image is three times the same"
        assert classes.tolist() == [1, 0, 2, 9]
    assert Fake.asked == [(name, True, part) for part in parts]


def test_cifar10_is_the_one_class_sets(monkeypatch):
    monkeypatch.setattr(pretraining, "read_cifar10", lambda: "both parts")
    assert read("cifar10") == "both parts"


def test_a_data_set_that_cannot_be_had_tells_the_ways_out(place, monkeypatch, capsys):
    def fail(*arguments, **options):
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz")

    monkeypatch.setattr(torchvision.datasets, "MNIST", fail)
    with pytest.raises(OSError, match=r"mnist is not in .*data/mnist and could not.*network once, or take the digits"):
        pretrain("mnist")
    assert pretrain_command(["mnist"]) == 1
    assert "error: mnist is not in" in capsys.readouterr().err


@pytest.mark.slow
def test_a_teacher_of_digits_knows_its_digits(place):
    path = pretrain("digits", device="cpu")
    assert json.loads(path.with_suffix(".json").read_text())["accuracy"] > 0.93
