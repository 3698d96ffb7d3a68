import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from skimage import data as photographs

from adlib.networks import teacher
from adlib.networks.teacher import Teacher, find_weights, fold, read_state


@pytest.mark.parametrize(("backbone", "channels", "signed", "parameters"), [
    ("efficientnet_lite0", (24, 40, 112), True, 700_768),
    ("resnet18", (64, 128, 256), False, 2_782_784),
    ("resnet50", (256, 512, 1024), False, 8_543_296),
    ("wide_resnet50_2", (256, 512, 1024), False, 24_862_528),
])
def test_the_pyramid(backbone, channels, signed, parameters):
    teacher = Teacher(backbone, weights="random")
    features = teacher(torch.rand(2, 3, 64, 64))
    assert [tuple(t.shape) for t in features] == [(2, c, 16 >> k, 16 >> k) for k, c in enumerate(channels)]
    assert (teacher.channels, teacher.signed) == (channels, signed)
    assert any((t < 0).any() for t in features) == signed
    assert sum(p.numel() for p in teacher.net.parameters()) == parameters      # nothing behind level 3 is kept


@pytest.mark.parametrize("backbone", ["efficientnet_lite0", "resnet18", "resnet50"])
@pytest.mark.parametrize("size", [64, 96])
def test_folded_norms_change_nothing(backbone, size):
    teacher = Teacher(backbone, levels=(1, 2, 3, 4), weights="random")
    generator = torch.Generator().manual_seed(0)
    for name, x in teacher.net.state_dict().items():        # norms as after a training, not as they begin
        if "running" in name or ".bn" in name and x.is_floating_point():
            x.copy_(0.5 + torch.rand(x.shape, generator=generator))
    folded = fold(teacher.net)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded.modules())
    assert any(isinstance(m, torch.nn.BatchNorm2d) for m in teacher.net.modules())      # the network stays as it is
    images = torch.rand(2, 3, size, size, generator=generator)
    with torch.no_grad():
        for t, f in zip(teacher.net(images), folded(images), strict=True):
            torch.testing.assert_close(f, t, rtol=1e-4, atol=1e-4 * t.abs().max().item())


def test_in_bf16_nothing_is_folded():
    teacher, images = Teacher("efficientnet_lite0", weights="random"), torch.rand(1, 3, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        pairs = zip(teacher(images), teacher.net(teacher.normalise(images)), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
    pairs = zip(teacher(images), teacher.folded(teacher.normalise(images)), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_level_4_on_demand():
    assert Teacher("resnet18", levels=(1, 2, 3, 4), weights="random").channels == (64, 128, 256, 512)
    features = Teacher("efficientnet_lite0", levels=(2, 4), weights="random")(torch.rand(1, 3, 64, 64))
    assert [tuple(t.shape[1:]) for t in features] == [(40, 8, 8), (320, 2, 2)]


def test_the_teacher_stays_frozen():
    wrapped = torch.nn.ModuleList([Teacher("efficientnet_lite0")])
    before = {k: v.clone() for k, v in wrapped.state_dict().items()}
    wrapped.train()
    images = torch.rand(2, 3, 64, 64, requires_grad=True)
    features = wrapped[0](images)
    assert not any(m.training for m in wrapped[0].modules())
    assert not any(t.requires_grad for t in features)
    assert not any(p.requires_grad for p in wrapped.parameters())
    assert all(torch.equal(v, before[k]) for k, v in wrapped.state_dict().items())


def test_random_weights_follow_the_seed_and_leave_the_global_generator_alone():
    state = torch.get_rng_state()
    a, b, c = (Teacher("resnet18", weights="random", seed=s).net.conv1.weight for s in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert torch.equal(torch.get_rng_state(), state)
    assert Teacher("resnet18", weights="random").net.layer1[0].bn2.weight.eq(1).all()   # timm's own start is 0


def test_the_embedded_weights_recognise_photographs():
    net = timm.create_model("tf_efficientnet_lite0").eval()
    state = read_state(find_weights("efficientnet_lite0"))
    net.load_state_dict(dict(zip(net.state_dict(), state.values(), strict=True)))
    cut = Teacher("efficientnet_lite0").net.state_dict()
    assert all(torch.equal(net.state_dict()[k], v) for k, v in cut.items())
    for photograph, classes in [(photographs.chelsea(), range(281, 287)), (photographs.coffee(), [504, 967, 968])]:
        image = torch.from_numpy(np.ascontiguousarray(photograph)).permute(2, 0, 1)[None].float() / 255
        image = F.interpolate(image, size=(224, 224), mode="bilinear", antialias=True)
        with torch.no_grad():
            assert int(net((image - 0.5) / 0.5).argmax()) in classes     # cats; coffee mug, espresso, cup


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_from_a_file(tmp_path, suffix):
    whole = timm.create_model("resnet18.tv_in1k").state_dict()
    file = tmp_path / f"weights{suffix}"
    torch.save(whole, file) if suffix == ".pth" else save_file(whole, file)
    teacher = Teacher("resnet18", weights=str(file))
    assert torch.equal(teacher.net.layer3[1].conv2.weight, whole["layer3.1.conv2.weight"])


def test_files_that_cannot_be_used_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent.pth does not exist"):
        Teacher("resnet18", weights=str(tmp_path / "absent.pth"))
    (tmp_path / "torn.pth").write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(ValueError, match=r"torn.pth cannot be read as a state dict"):
        Teacher("resnet18", weights=str(tmp_path / "torn.pth"))
    torch.save(timm.create_model("resnet18.tv_in1k").state_dict(), tmp_path / "resnet18.pth")
    with pytest.raises(ValueError, match=r"resnet18.pth does not hold resnet50's weights.*tensors are absent"):
        Teacher("resnet50", weights=str(tmp_path / "resnet18.pth"))


@pytest.fixture
def no_caches(tmp_path, monkeypatch):
    """Torch's and Hugging Face's caches empty, and every address but loopback's dead port out of reach."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: None)
    monkeypatch.setattr(teacher, "URLS", dict.fromkeys(teacher.URLS, "http://127.0.0.1:9/resnet18-0123abcd.pth"))
    return tmp_path / "hub/checkpoints/resnet18-0123abcd.pth"


def test_no_weights_and_no_network_tells_three_ways_out(no_caches):
    with pytest.raises(FileNotFoundError, match=r"network once; download .*weights=PATH; or use the embedded"):
        Teacher("resnet18")


def test_the_local_cache_is_used_before_the_network(no_caches):
    whole = timm.create_model("resnet18.tv_in1k").state_dict()
    no_caches.parent.mkdir(parents=True)
    torch.save(whole, no_caches)
    assert torch.equal(Teacher("resnet18").net.conv1.weight, whole["conv1.weight"])


def test_the_hub_cache_is_used_before_the_network(no_caches, monkeypatch, tmp_path):
    whole = timm.create_model("resnet18.tv_in1k").state_dict()
    save_file(whole, tmp_path / "model.safetensors")
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: str(tmp_path / "model.safetensors"))
    assert torch.equal(Teacher("resnet18").net.conv1.weight, whole["conv1.weight"])


@pytest.mark.parametrize(("arguments", "message"), [
    ({"backbone": "resnet19"}, r"unknown backbone 'resnet19'; choose one of efficientnet_lite0, resnet18"),
    ({"levels": (3, 1)}, r"must be increasing numbers"),
    ({"levels": (0, 1)}, r"must be increasing numbers"),
    ({"levels": ()}, r"must be increasing numbers"),
])
def test_arguments_that_do_not_exist(arguments, message):
    with pytest.raises(ValueError, match=message):
        Teacher(weights="random", **arguments)
