"""One-class data sets: digits from scikit-learn's wheel, CIFAR-10 from an archive made here."""

import hashlib
import io
import pickle
import socket
import tarfile

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import make_category
from sklearn.datasets import load_digits
from torchvision.datasets import CIFAR10

from adlib import metrics, recipes, settings
from adlib.data import one_class
from adlib.data.category import list_categories, load_category, one_class_category, split_validation
from adlib.demo import generate
from adlib.networks.masked_rd import ReverseDistillation
from adlib.networks.nearest import NearestPatch
from adlib.networks.teacher import Teacher
from adlib.runs import record
from adlib.runs.datasets import describe
from adlib.runs.parameters import lesson_parameters
from adlib.training import fit, predict


def rows(images) -> list:
    """Images as sorted rows, to compare sets of them."""
    return sorted(np.asarray(images).reshape(len(images), -1).tolist())


# Digits --------------------------------------------------------------------------------------------------------------


def test_every_digit_is_learnt_from_or_judged_once():
    found, drawn = load_digits(), one_class.draw("digits", "3")
    pixels = (found.images / 16 * 255).round()
    good = np.array(drawn.defects) == "good"
    assert rows([*drawn.train, *drawn.test[good]]) == rows(pixels[found.target == 3])
    for k in range(10):
        count = (found.target == k).sum()
        assert drawn.defects.count("good" if k == 3 else str(k)) == count - count // 2
    seven = one_class.draw("digits", "7")       # what is learnt from as a 7 is never judged as an anomaly of the 3s
    judged = drawn.test[np.array(drawn.defects) == "7"]
    assert rows([*seven.train, *judged]) == rows(pixels[found.target == 7])


def test_a_digit_is_enlarged_bilinearly_and_grey():
    data, drawn = load_category("digits", "3", image_size=64), one_class.draw("digits", "3")
    assert (data.train.dtype, data.train.shape[1:], data.test.shape[1:]) == (torch.uint8, (3, 64, 64), (3, 64, 64))
    expected = F.interpolate(torch.from_numpy(drawn.test).float()[:, None], size=(64, 64), mode="bilinear")
    assert (data.test.float() - expected).abs().max() <= 1
    kept, held = split_validation(len(drawn.train))
    assert (len(data.train), len(data.validation)) == (len(kept), len(held)) == (72, 19)
    expected = F.interpolate(torch.from_numpy(drawn.train[held]).float()[:, None], size=(64, 64), mode="bilinear")
    assert (data.validation.float() - expected).abs().max() <= 1


def test_labels_say_whether_an_image_is_of_another_class():
    data = load_category("digits", "3", image_size=32)
    assert data.labels.tolist() == [d != "good" for d in data.defects]
    assert list(dict.fromkeys(data.defects)) == ["good", *"012456789"]
    assert data.masks is None
    assert data.image_level
    _, test = one_class.read_digits()
    for path, defect in zip(data.paths, data.defects, strict=True):
        assert str(test.classes[int(path.name)]) == defect.replace("good", "3")
    assert settings.portable(data.paths[0]).startswith("data/digits/test/")


def test_the_same_images_each_time():
    one, two = (one_class.draw("digits", "5", limit=(9, 8, 20)) for _ in range(2))
    assert one.numbers == two.numbers
    assert np.array_equal(one.train, two.train)
    more = one_class.draw("digits", "5", limit=(9, 30, 50))
    assert set(one.numbers) < set(more.numbers)


# The name is no folder -----------------------------------------------------------------------------------------------


def test_a_folder_of_that_name_is_still_a_folder(tmp_path, monkeypatch):
    make_category(tmp_path / "digits", "3")
    monkeypatch.chdir(tmp_path)
    for root in ("./digits", tmp_path / "digits", str(tmp_path / "digits")):
        data = load_category(generate.ensure(root), "3", image_size=32)
        assert (len(data.test), data.image_level) == (7, False)
    assert load_category(generate.ensure("digits"), "3", image_size=32).image_level


def test_an_unknown_class_is_named_with_those_that_exist(capsys):
    with pytest.raises(ValueError, match="'10' is no class of digits; choose one of 0, 1, 2"):
        load_category("digits", "10", image_size=64)
    with pytest.raises(ValueError, match="'car' is no class of cifar10; choose one of airplane, automobile"):
        load_category("cifar10", "car", image_size=64)
    assert list_categories("cifar10")[3] == "cat"
    assert describe("digits") == []
    assert "0, 1, 2, 3" in capsys.readouterr().out


def test_sizes_and_limits_that_cannot_be():
    with pytest.raises(ValueError, match="multiple of 32"):
        load_category("digits", "3", image_size=28)
    for limit in ((5, 5), (1, 5, 5)):
        with pytest.raises(ValueError, match="three numbers of at least 2"):
            one_class.draw("digits", "3", limit=limit)


# CIFAR-10, of 200 training and 100 test images, with sums to match ---------------------------------------------------


def batch(rng: np.random.Generator, count: int) -> dict:
    """A batch as the real ones are: rows of a red, a green and a blue plane. Red is the class, green the number."""
    classes = rng.permutation(np.arange(count) % 10)
    planes = np.stack([classes, np.arange(count), np.full(count, 99)], axis=1)
    return {"data": planes.astype(np.uint8).repeat(1024, axis=1), "labels": classes.tolist()}


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """The folder with the archive in it; the network cannot be reached."""
    rng, folder = np.random.default_rng(0), tmp_path / "cifar10"
    content = {f"data_batch_{i}": batch(rng, 40) for i in range(1, 6)} | {"test_batch": batch(rng, 100)}
    content["batches.meta"] = {"label_names": list(one_class.CLASSES["cifar10"])}
    packed = {name: pickle.dumps(values) for name, values in content.items()}
    sums = {name: hashlib.md5(data).hexdigest() for name, data in packed.items()}
    folder.mkdir()
    with tarfile.open(folder / CIFAR10.filename, "w:gz") as tar:
        for name, data in packed.items():
            member = tarfile.TarInfo(f"{CIFAR10.base_folder}/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    monkeypatch.setattr(one_class, "FOLDER", folder)
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5((folder / CIFAR10.filename).read_bytes()).hexdigest())
    monkeypatch.setattr(CIFAR10, "train_list", [[name, sums[name]] for name, _ in CIFAR10.train_list])
    monkeypatch.setattr(CIFAR10, "test_list", [[name, sums[name]] for name, _ in CIFAR10.test_list])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": sums["batches.meta"]})
    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    return folder / CIFAR10.filename


def unreachable(*_, **__):
    raise socket.gaierror(-2, "Name or service not known")


def test_cifar10_comes_from_its_archive_without_a_network(archive, capsys):
    drawn = one_class.draw("cifar10", "cat", limit=None)
    assert (drawn.train.shape, drawn.test.shape) == ((20, 32, 32, 3), (100, 32, 32, 3))
    assert (drawn.train[..., 0] == 3).all()
    assert (drawn.train[..., 2] == 99).all()
    assert drawn.test[:, 5, 5, 1].tolist() == drawn.numbers
    assert [one_class.CLASSES["cifar10"][k].replace("cat", "good") for k in drawn.test[:, 0, 0, 0]] == drawn.defects
    assert f"unpacking {archive}\n" in capsys.readouterr().out
    archive.unlink()
    again = load_category("cifar10", "cat", image_size=32)
    assert torch.equal(again.test, torch.from_numpy(drawn.test).permute(0, 3, 1, 2))
    assert capsys.readouterr().out == ""        # nothing unpacked, nothing left out


def test_a_limit_takes_equal_shares_and_says_what_it_leaves_out(archive, capsys):
    drawn = one_class.draw("cifar10", "ship", limit=(6, 4, 20))
    others = [name for name in one_class.CLASSES["cifar10"] if name != "ship"]
    assert [drawn.defects.count(name) for name in others] == [3, 3, 2, 2, 2, 2, 2, 2, 2]
    assert (len(drawn.train), drawn.defects.count("good")) == (6, 4)
    assert len(set(drawn.numbers)) == 24
    said = ("cifar10 ship: 6 of 20 training images of the class, 4 of 10 normal test images, "
            "20 of 90 anomalous test images; drawn with a fixed seed")
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("spoil", [lambda archive: archive.unlink(), lambda archive: archive.write_bytes(b"torn")])
def test_without_archive_and_network_the_ways_out_are_said(archive, spoil):
    spoil(archive)
    with pytest.raises(OSError, match=r"not in .*Name or service not known.*connect.*put cifar-10-python.*'digits'"):
        load_category("cifar10", "cat", image_size=32)


def test_a_torn_file_is_unpacked_anew(archive):
    whole = one_class.draw("cifar10", "cat", limit=None)
    (archive.parent / CIFAR10.base_folder / "data_batch_3").write_bytes(b"torn")
    assert np.array_equal(one_class.draw("cifar10", "cat", limit=None).train, whole.train)


# Scores and runs -----------------------------------------------------------------------------------------------------


def leave(root, data, data_root: str):
    """What the run cells of a lesson do, for the training-free baseline; the run loaded again."""
    given = {"data_root": data_root, "category": data.name, "budget": "smoke", "out_dir": str(root / "runs")}
    run = record.start("nearest", lesson_parameters("01_stfpm") | given)
    model = NearestPatch(Teacher(), sampling_ratio=0.3).fit(data.train)
    maps, validation_maps = predict(model, data.test), predict(model, data.validation)
    scores = model.image_scores(maps, image_level=data.image_level)
    report = metrics.evaluate(maps, data.masks, scores, data.labels)
    return record.load_run(record.finish(run, model, data, maps=maps, scores=scores, validation_maps=validation_maps,
                                         report=report))


def test_a_run_of_the_floor_stores_means_and_scores_new_images_so(tmp_path):
    data = one_class_category("digits", "0", image_size=64, limit=(40, 15, 30))
    run = leave(tmp_path, data, "digits")
    assert (run.entry["dataset"], run.entry["category"]) == ("digits", "0")
    assert run.entry["protocol"]["image_score"] == "mean of the map"
    np.testing.assert_allclose(run.scores, run.maps.mean(axis=(1, 2)), rtol=1e-5)
    assert run.entry["thresholds"]["image"] == metrics.image_threshold(run.validation_scores)
    np.testing.assert_allclose(run.validation_scores, run.validation_maps.mean(axis=(1, 2)), rtol=1e-5)
    assert run.entry["metrics"]["image_auroc"] == metrics.auroc(run.scores, run.labels) > 0.9
    assert run.entry["metrics"]["pixel_auroc"] is None
    _, test = one_class.read_digits()
    found = run.score(test.images[[int(path.rsplit("/", 1)[1]) for path in run.paths]])     # 8 x 8 pixels, grey
    assert torch.equal(found.scores, torch.from_numpy(run.scores))


def test_a_run_with_parts_as_anomalies_scores_as_its_model_does(tmp_path):
    make_category(tmp_path / "set")
    run = leave(tmp_path, load_category(tmp_path / "set", "bolt", image_size=64), str(tmp_path / "set"))
    assert run.entry["protocol"]["image_score"] == "the model's"
    assert np.array_equal(run.scores, run.maps.max(axis=(1, 2)))
    assert torch.equal(run.score(list(run.paths)).scores, torch.from_numpy(run.scores))
    del run.entry["protocol"]["image_score"]        # of runs made before it was said
    assert torch.equal(run.score(list(run.paths)).scores, torch.from_numpy(run.scores))


def test_a_short_training_tells_digits_apart():
    data = one_class_category("digits", "0", image_size=64, limit=(60, 30, 60))
    model = ReverseDistillation(Teacher())
    fit(model, data, recipes.rd4ad(model, budget="smoke"), log=lambda line: None)
    maps = predict(model, data.test)
    assert metrics.auroc(model.image_scores(maps, image_level=True), data.labels) > 0.6
