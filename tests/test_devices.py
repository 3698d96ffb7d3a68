"""Nothing in the package takes the CPU for granted: whole trainings on a CUDA device that is only pretended.

PyTorch's fake tensors know shape, type and device, and hold no numbers, so that they need no card. Every method is
built, trained and used on them, under a watch that raises where an operation gets tensors of two devices, and where the
steps of a training would make the processor wait for the card, or the card for the processor.
"""


import pytest
import torch
import torch.nn.functional as F
from gpu.report import build, train
from helpers import category_of
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from adlib import training
from adlib.data import Category
from adlib.networks.teacher import Teacher
from adlib.training import predict

CUDA = torch.device("cuda", 0)
aten = torch.ops.aten
COPIES = {aten.copy_.default, aten._to_copy.default}
# What gives the processor a number, or a shape that depends on numbers, so that it has to wait for them.
READS = {aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default, aten.equal.default,
         aten._unique2.default}


class FakeGenerator(torch.Generator):
    """Says that it is on the device that it was asked for: a real one on CUDA needs the card."""

    def __new__(cls, device="cpu"):
        self = super().__new__(cls)
        self.device = torch.device(device)
        return self

    device = None


class Watch(TorchDispatchMode):
    """Raises where devices meet; while `strict`, also where one waits for another."""

    strict = False
    operations = 0      # of tensors on CUDA

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        devices = {x.device for x in tensors if x.ndim}         # a number on the CPU goes along with any tensor
        if function in READS and CUDA in {x.device for x in tensors}:
            if self.strict or function is not aten._local_scalar_dense.default:
                raise AssertionError(f"{function} makes the processor wait for the card")
            return True if tensors[0].dtype == torch.bool else 1.0
        if function is aten._local_scalar_dense.default:        # Adam's count of steps
            return 1.0
        if len(devices) > 1 and function not in COPIES:
            raise AssertionError(f"{function} gets tensors on {devices}")
        result = function(*args, **kwargs)
        made = {x.device for x in tree_leaves(result) if isinstance(x, Tensor)}
        self.operations += CUDA in made
        if self.strict and function in COPIES and len(devices | made) > 1:
            raise AssertionError(f"{function} copies between {devices | made}")
        return result


class Reproducible(TorchFunctionMode):
    """Raises where random numbers come from another device, or a gradient would be summed in any order."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        generator, result = (kwargs or {}).get("generator"), function(*args, **kwargs or {})
        if generator is not None and generator.device != result.device:
            raise AssertionError(f"{function} draws on {result.device} from a generator on {generator.device}")
        if function in (F.interpolate, F.grid_sample) and result.is_cuda and result.requires_grad:
            raise AssertionError(f"on CUDA the gradient of {function} is summed in any order")
        return result


def pretend_backward(loss: Tensor) -> None:
    """Stands in for `Tensor.backward`, which wants a card: all parameters that the loss came from have a gradient."""
    nodes, seen = [loss.grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        nodes += [following for following, _ in node.next_functions]
        if hasattr(node, "variable"):
            node.variable.grad = torch.zeros_like(node.variable)


@torch.no_grad()
def move(self: nn.Module, function, recurse=True) -> nn.Module:
    """Stands in for `nn.Module._apply`, which swaps fake parameters, but none that something refers to."""
    for module in self.modules():
        for tensors in (module._parameters, module._buffers):
            for name, x in tensors.items():
                if x is None:
                    continue
                moved = function(x)
                if moved.device == x.device:
                    x.data = moved      # in place, as with real ones: an optimizer may know it already
                else:
                    tensors[name] = nn.Parameter(moved, x.requires_grad) if isinstance(x, nn.Parameter) else moved
    return self


@pytest.fixture
def watch(monkeypatch):
    """Fake tensors under a watch, where this PyTorch can make them for CUDA without a card."""
    monkeypatch.setattr(torch, "Generator", FakeGenerator)
    monkeypatch.setattr(nn.Module, "_apply", move)
    monkeypatch.setattr(Tensor, "backward", pretend_backward)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)   # autocast asks it
    with FakeTensorMode(), Watch() as watch, Reproducible():
        try:
            torch.zeros(1, device=CUDA)
        except (RuntimeError, AssertionError) as error:
            pytest.skip(f"this PyTorch makes no fake CUDA tensors: {error}")
        yield watch


def pretend(n: int = 6, held: int = 3, size: int = 64) -> Category:
    """A category without pixels."""
    images = torch.zeros(n + held, 3, size, size, dtype=torch.uint8)
    return category_of(images[:n], images[n:], images[:3])


@pytest.mark.parametrize("operation", [
    lambda x: x.sum().item(),
    lambda x: x[x > 0],
    lambda x: x[torch.tensor([0, 1])],
    lambda x: x + torch.ones(3),
    lambda x: x.cpu(),
    lambda x: x.copy_(torch.ones(3)),
    lambda x: torch.ones(3).to(x.device),
    lambda x: torch.tensor([1.0, 2.0], device=x.device),
    lambda x: torch.rand(3, device=x.device, generator=torch.Generator()),
    lambda x: 1 if x.sum() > 0 else 2,
    lambda x: x.tolist(),
], ids=["item", "mask", "index", "add", "cpu", "copy_", "to", "tensor", "generator", "if", "tolist"])
def test_the_watch_sees_devices_meet(watch, operation):
    watch.strict = True
    x = torch.zeros(3, device=CUDA)
    with pytest.raises((AssertionError, RuntimeError)):
        operation(x)


def test_numbers_of_the_processor_go_along(watch):
    watch.strict = True
    x = torch.zeros(3, device=CUDA)
    for y in (2 * x, x + torch.tensor(2.0), 2**x, 1 - x, x[0], torch.where(x > 0.5, 1, x), x.clamp(min=0)):
        assert y.device == CUDA


def never_wait(stage: training.Stage, watch: Watch) -> None:
    """From the third step on, but for the last: the loop looks at its losses after the second and after the last."""
    loss = stage.loss

    def watched(batch, step, generator):
        assert batch.images.device == generator.device == CUDA
        watch.strict = 2 <= step < stage.steps
        value = loss(batch, step, generator)
        watch.strict = step + 1 < stage.steps and watch.strict
        return value

    stage.loss = watched


@pytest.mark.parametrize(("method", "backbone"), [
    ("nearest", "resnet18"), ("stfpm", "efficientnet_lite0"), ("destseg", "efficientnet_lite0"), ("rd4ad", "resnet18"),
    ("masked_rd", "resnet18"),
])
def test_a_training_stays_on_the_card(method, backbone, watch):
    category = pretend()
    model, stages = build(method, Teacher(backbone, weights="random"), category.train, device=CUDA, steps=4)
    for stage in stages:
        never_wait(stage, watch)
    history = train(model, category, stages, device=CUDA,
                    **({"snapshots": [0, 2], "snapshot_images": category.test} if stages else {}))
    if stages:
        assert history.ends == {stage.name: 4 * i for i, stage in enumerate(stages, 1)}
        assert set(history.precision.values()) == {"bf16"}
    assert {x.device for x in [*model.parameters(), *model.buffers()]} == {CUDA}
    maps = predict(model, category.test)
    assert (maps.shape, maps.device.type) == ((3, 256, 256), "cpu")
    assert model.image_scores(maps).shape == model.image_scores(maps.to(CUDA)).shape == (3,)
    assert watch.operations > 100
