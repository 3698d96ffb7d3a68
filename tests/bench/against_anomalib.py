"""adlib beside anomalib on the same work, in one call: make bench, or python tests/bench/against_anomalib.py [--quick].

Each side has a process of its own, which waits while the other works, and they take turns, three times: whatever else
the machine does meets both. Ratios travel between machines, seconds do not; the machine should be quiet all the same,
and how busy it was stands in the results. Both get the same teacher weights, images, sizes, batches, steps and
precision, and otherwise work as their own users would have them: adlib with `fit`, its recipe and cached teacher
features, anomalib with its `Engine` and optimizer. A row that fails is recorded with its reason, and the others go on.

Every row is a function `row_NAME(side, options)`; what a side does is a method of `Adlib` or of `Anomalib`, which
import nothing of each other.
"""

import argparse
import csv
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import mean, median

ROOT = Path(__file__).resolve().parent.parent.parent
SIDES = ("adlib", "anomalib")
PACKAGES = ("adlib", "anomalib", "torch", "torchvision", "timm", "lightning", "torchmetrics", "numpy")
COLUMNS = ("row", "work", "unit", "better", "adlib", "anomalib", "ratio", "goal", "adlib_runs", "anomalib_runs", "note",
           "device", "cpu", "threads", "load", "versions", "date")
MARK = "<answer> "        # before a worker's answers: libraries print what they like


@dataclass
class Result:
    """One row: what each side took or reached at each repeat, and what the ratio should be."""

    row: str
    work: str
    unit: str
    runs: dict[str, list[float]]
    better: str = "less"                # "less" or "more"; the ratio is how many times better adlib is
    goal: float = math.nan
    note: str = ""
    load: float = math.nan

    def value(self, side: str) -> float:
        """The best of the repeats where time is counted, since other processes only add to it; else the mean."""
        runs = self.runs.get(side) or [math.nan]
        if self.unit in ("", "MB"):
            return mean(runs)
        return (min if self.better == "less" else max)(runs)

    @property
    def ratio(self) -> float:
        ours, theirs = (self.value(side) for side in SIDES)
        if self.unit == "":             # shares: a difference says more than a ratio
            return ours - theirs
        return theirs / ours if self.better == "less" else ours / theirs

    def columns(self, machine: dict) -> dict:
        digits = {"": 4, "MB": 0}.get(self.unit)

        def show(x: float) -> str:
            return "" if math.isnan(x) else f"{x:.{digits}f}" if digits is not None else f"{x:.4g}"

        return {"row": self.row, "work": self.work, "unit": self.unit, "better": self.better,
                **{side: show(self.value(side)) for side in SIDES},
                "ratio": "" if math.isnan(self.ratio) else f"{self.ratio:.3g}",
                "goal": "" if math.isnan(self.goal) else f"{self.goal:g}",
                **{f"{side}_runs": ";".join(map(show, self.runs.get(side, []))) for side in SIDES},
                "note": self.note, "load": f"{self.load:.1f}", **machine}


# The driver -----------------------------------------------------------------------------------------------------------


class Worker:
    """A side's process: takes a task, answers, and waits."""

    def __init__(self, side: str, options: argparse.Namespace):
        self.process = subprocess.Popen([sys.executable, __file__, "--worker", side], text=True, cwd=ROOT,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(options))

    def ask(self, task: str, **given):
        """What a task returns.

        Raises
        ------
        RuntimeError
            It failed, or its process ended; says with what.
        """
        self.process.stdin.write(json.dumps([task, given]) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith(MARK):
                answer = json.loads(line.removeprefix(MARK))
                if "error" in answer:
                    raise RuntimeError(answer["error"])
                return answer["value"]
        raise RuntimeError(f"the process ended with {self.process.wait()}")

    def close(self) -> None:
        with suppress(OSError):
            self.process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(30)
        self.process.kill()


def environment(options: argparse.Namespace) -> dict:
    """Of both sides: the same threads, no network, no progress bars; a folder that is thrown away."""
    return os.environ | {"OMP_NUM_THREADS": str(options.threads), "MKL_NUM_THREADS": str(options.threads),
                         "HF_HUB_OFFLINE": "1", "TRUST_REMOTE_CODE": "1", "TQDM_DISABLE": "1",
                         "PYTHONWARNINGS": "ignore", "BENCH_THREADS": str(options.threads),
                         "BENCH_FOLDER": options.folder, "PYTHONPATH": str(ROOT)}


class Bench:
    """Both workers, the rows so far, and how a row is measured."""

    def __init__(self, options: argparse.Namespace):
        self.options, self.results = options, []
        self.workers = {side: Worker(side, options) for side in SIDES}

    def alternate(self, task: str, *, repeats: int | None = None, **given) -> dict[str, list]:
        """What the task returns on each side, in turns."""
        found = {side: [] for side in SIDES}
        for _ in range(repeats or self.options.repeats):
            for side in SIDES:
                found[side].append(self.workers[side].ask(task, **given))
        return found

    def add(self, row: str, work: str, unit: str, runs: dict[str, list[float]], **more) -> None:
        result = Result(row, work, unit, runs, load=os.getloadavg()[0], **more)
        self.results.append(result)
        shown = result.columns({})
        print(f"{row:28} {work:52} adlib {shown['adlib'] or 'failed':>9} anomalib {shown['anomalib'] or 'failed':>9} "
              f"{unit:9} ratio {shown['ratio']:>7}  (goal {shown['goal'] or '-'}, load {shown['load']})", flush=True)

    def attempt(self, row, *arguments) -> None:
        """A row, or why there is none; workers that died are replaced."""
        if self.options.rows and row.__name__.removeprefix("row_") not in self.options.rows:
            return
        try:
            row(self, *arguments)
        except (RuntimeError, OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[-1][:300]
            self.add(row.__name__.removeprefix("row_"), " ".join(map(str, arguments)), "", {}, note=f"failed: {reason}")
            print(error, file=sys.stderr, flush=True)
            for side, worker in self.workers.items():
                if worker.process.poll() is not None:
                    self.workers[side] = Worker(side, self.options)


# Rows -----------------------------------------------------------------------------------------------------------------


def row_step(bench: Bench, method: str, backbone: str, size: int, batch: int, precision: str) -> None:
    options = bench.options
    runs = bench.alternate("step", method=method, backbone=backbone, size=size, batch=batch, precision=precision,
                           steps=options.timed_steps, device=options.device)
    chosen = runs["adlib"][0]["precision"]
    if precision == "auto" and chosen == "float32":
        return          # the row above
    bench.add("training step", f"{method}, {backbone}, {size} px, batch {batch}, {chosen}", "s",
              {side: [run["seconds"] for run in found] for side, found in runs.items()},
              goal=3.0 if chosen == "bf16" else 2.0,
              note="each side's own loop and data loading; adlib caches the teacher's features")


def row_inference(bench: Bench, backbone: str, size: int, batch: int) -> None:
    runs = bench.alternate("inference", backbone=backbone, size=size, batch=batch, device=bench.options.device,
                           seconds=bench.options.seconds)
    bench.add("inference, in memory", f"stfpm, {backbone}, {size} px, batch {batch}", "images/s", runs, better="more",
              goal=3.0, note="uint8 images in memory to maps and scores: predict beside the Lightning module's forward")


def row_inference_files(bench: Bench, backbone: str, size: int) -> None:
    options = bench.options
    runs = bench.alternate("inference_files", backbone=backbone, size=size, device=options.device,
                           root=options.data_root, category=options.categories[0])
    bench.add("inference, files", f"stfpm, {backbone}, {size} px, a test set", "images/s", runs, better="more",
              goal=3.0,
              note="files on disk to maps and scores: what LoadedRun.score calls beside Engine.predict")


def row_metrics(bench: Bench) -> None:
    options = bench.options
    work = {"root": options.data_root, "category": options.categories[0], "folder": options.folder}
    bench.workers["adlib"].ask("make_maps", **work)
    runs = bench.alternate("metrics", **work)
    count, size = runs["adlib"][0]["shape"][:2]
    bench.add("metrics", f"{count} maps of {size} px, of a briefly trained student", "s",
              {side: [run["seconds"] for run in found] for side, found in runs.items()}, goal=50.0,
              note="adlib: all six numbers; anomalib: image AUROC, pixel AUROC, AUPR, AUPRO")
    why = {"pixel_ap": "adlib sums the steps of the curve (average precision), anomalib's AUPR joins them by lines",
           "pro": "float32 sums in anomalib, exact counts in adlib"}
    for name in ("image_auroc", "pixel_auroc", "pixel_ap", "pro"):
        values = {side: found[0]["values"][name] for side, found in runs.items()}
        same = abs(values["adlib"] - values["anomalib"]) < 5e-5
        bench.add(f"metrics, {name}", f"value on the same {count} maps", "", {k: [v] for k, v in values.items()},
                  better="more", note="the same" if same else why.get(name, "float32 in anomalib, float64 in adlib"))


def row_perlin(bench: Bench, size: int, batch: int) -> None:
    options = bench.options
    runs = bench.alternate("perlin", size=size, batch=batch, device=options.device, folder=options.folder,
                           seconds=options.seconds)
    bench.add("Perlin synthesis", f"{size} px, batch {batch}, textures given", "images/s", runs, better="more",
              goal=20.0, note="corrupt, textures in memory, beside PerlinAnomalyGenerator, textures as files")


def row_memory(bench: Bench, backbone: str, size: int, batch: int) -> None:
    options = bench.options
    work = {"method": "stfpm", "backbone": backbone, "size": size, "batch": batch, "precision": "float32",
            "steps": options.timed_steps, "device": options.device}
    runs = in_processes("peak_memory", options, **work)
    bench.add("peak memory", f"training, stfpm, {backbone}, {size} px, batch {batch}", "MB", runs,
              note="of a process that trains some steps, its imports included")


def row_import(bench: Bench) -> None:
    runs = in_processes("import_time", bench.options)
    bench.add("import time", "what a training needs", "s", runs, note="a fresh process, from its start to its end")


def row_first_heatmap(bench: Bench, backbone: str, size: int) -> None:
    options = bench.options
    work = {"backbone": backbone, "size": size, "folder": options.folder, "root": options.data_root,
            "category": options.categories[0], "device": options.device}
    for side in SIDES:
        bench.workers[side].ask("save_model", **work)
    runs = in_processes("first_heatmap", options, **work)
    bench.add("start to first heatmap", f"stfpm, {backbone}, {size} px, a saved model, one photograph", "s", runs,
              goal=3.0, note="a fresh process, from its start to its end: read_model beside TorchInferencer")


def row_training(bench: Bench, category: str, size: int, batch: int) -> None:
    """Whole trainings: to the same number of images, then anomalib again for the seconds that adlib took."""
    options, steps = bench.options, bench.options.steps
    work = {"root": options.data_root, "category": category, "size": size, "batch": batch, "steps": steps,
            "device": options.device}
    equal, timed = {side: [] for side in SIDES}, []
    for seed in range(options.seeds):
        for side in SIDES:
            equal[side].append(bench.workers[side].ask("train", seed=seed, seconds=0.0, **work))
        timed.append(bench.workers["anomalib"].ask("train", seed=seed, seconds=equal["adlib"][-1]["seconds"], **work))
    what = f"stfpm, efficientnet_lite0, {category}, {size} px, batch {batch}"
    bench.add("training", f"{what}, {steps} steps", "s",
              {side: [run["seconds"] for run in found] for side, found in equal.items()}, goal=2.0,
              note="fit beside Engine.fit, without imports and without reading images that adlib holds in memory")
    for name, short in (("image_auroc", "image AUROC"), ("pixel_ap", "pixel AP"), ("pro", "PRO")):
        pick = {side: [run["values"][name] for run in found] for side, found in equal.items()}
        bench.add(f"{short}, equal steps", f"{what}, {steps} steps", "", pick, better="more", goal=0.0,
                  note=f"mean of {options.seeds} seeds; each library's own recipe; both judged by adlib's metrics")
        bench.add(f"{short}, equal seconds", f"{what}, {steps} steps of adlib", "",
                  {"adlib": pick["adlib"], "anomalib": [run["values"][name] for run in timed]}, better="more", goal=0.0,
                  note=f"anomalib stops after adlib's seconds, at step {median(run['steps'] for run in timed):.0f}")


def in_processes(task: str, options: argparse.Namespace, **given) -> dict[str, list[float]]:
    """A task in fresh processes, in turns: seconds from start to end, or what the task returns if it is a number."""
    found = {side: [] for side in SIDES}
    for _ in range(options.repeats):
        for side in SIDES:
            began = time.perf_counter()
            done = subprocess.run([sys.executable, __file__, "--worker", side], input=json.dumps([task, given]) + "\n",
                                  capture_output=True, text=True, cwd=ROOT, env=environment(options))
            seconds = time.perf_counter() - began
            answers = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
            if not answers:
                raise RuntimeError(f"{side}, {task}: {done.stderr.strip()[-2000:]}")
            answer = json.loads(answers[-1].removeprefix(MARK))
            if "error" in answer:
                raise RuntimeError(f"{side}, {task}: {answer['error']}")
            found[side].append(seconds if answer["value"] is None else answer["value"])
    return found


# What a side does -----------------------------------------------------------------------------------------------------


def use_threads() -> None:
    import torch

    torch.set_num_threads(int(os.environ["BENCH_THREADS"]))


def wait(device: str) -> None:
    """Until the device has done what it was given."""
    import torch

    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()


def random_images(count: int, size: int):
    import torch

    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8,
                         generator=torch.Generator().manual_seed(0))


def rate(act, count: int, seconds: float, device: str) -> float:
    """Things per second at the best of some calls that make `count` of them, after one that warms up."""
    act()
    wait(device)
    best, until = math.inf, time.perf_counter() + seconds
    while best == math.inf or time.perf_counter() < until:
        began = time.perf_counter()
        act()
        wait(device)
        best = min(best, time.perf_counter() - began)
    return count / best


class Adlib:
    """adlib as its README has it."""

    def model(self, method: str, backbone: str, seed: int = 0):
        from adlib.networks import STFPM, ReverseDistillation, Teacher

        weights = "auto" if backbone == "efficientnet_lite0" else "random"
        return {"stfpm": STFPM, "rd4ad": ReverseDistillation}[method](Teacher(backbone, weights=weights), seed=seed)

    def step(self, *, method, backbone, size, batch, precision, steps, device):
        """Seconds of a step within `fit`: between the second and the last, so without preparation."""
        import torch

        from adlib import recipes
        from adlib.data import Category
        from adlib.training import fit

        use_threads()
        images, at, model = random_images(batch * (steps + 2), size), [], self.model(method, backbone)
        stage, = getattr(recipes, method)(model, budget="paper", steps=steps + 2, batch=batch)
        loss, stage.validate = stage.loss, None

        def timed(*given):
            wait(device)
            at.append(time.perf_counter())
            return loss(*given)

        stage.loss = timed
        none = images[:0]
        data = Category("random", train=images, validation=none, test=none, masks=None, labels=torch.empty(0),
                        defects=[], paths=[])
        history = fit(model, data, [stage], device=device, precision=precision, log=lambda line: None)
        return {"seconds": (at[-1] - at[1]) / steps, "precision": history.precision[stage.name]}

    def inference(self, *, backbone, size, batch, device, seconds):
        from adlib.training import predict

        use_threads()
        model, images = self.model("stfpm", backbone).to(device), random_images(batch, size)
        return rate(lambda: model.image_scores(predict(model, images, batch=batch)), batch, seconds, device)

    def inference_files(self, *, backbone, size, device, root, category):
        from adlib.runs.record import decode_batches
        from adlib.training import predict

        use_threads()
        import torch

        model, paths = self.model("stfpm", backbone).to(device), sorted((Path(root) / category / "test").glob("*/*.*"))

        def score():
            for batch in filter(None, decode_batches(paths, size, None)):
                model.image_scores(predict(model, torch.stack(batch)))

        return rate(score, len(paths), 0.0, device)

    def train(self, *, root, category, size, batch, steps, seed, seconds, device):
        from adlib import recipes
        from adlib.data import load_category
        from adlib.training import damp_borders, fit, predict

        use_threads()
        data = load_category(root, category, image_size=size)
        model = self.model("stfpm", "efficientnet_lite0", seed)
        began = time.perf_counter()
        fit(model, data, recipes.stfpm(model, budget="demo", steps=steps, batch=batch), seed=seed, device=device,
            log=lambda line: None)
        damp_borders(model, data.validation)
        wait(device)
        taken = time.perf_counter() - began
        return {"seconds": taken, "values": judge(predict(model, data.test), data), "steps": steps}

    def make_maps(self, *, root, category, folder):
        """Maps that are worth a metric, left for both sides."""
        import numpy as np

        from adlib import recipes
        from adlib.data import load_category
        from adlib.training import fit, predict

        data = load_category(root, category, image_size=128)
        model = self.model("stfpm", "efficientnet_lite0")
        fit(model, data, recipes.stfpm(model, budget="smoke"), log=lambda line: None)
        maps = predict(model, data.test)
        np.savez(Path(folder) / "maps.npz", maps=maps, masks=data.masks, scores=model.image_scores(maps),
                 labels=data.labels)

    def metrics(self, *, root, category, folder):
        import numpy as np

        from adlib.metrics import evaluate

        use_threads()
        with np.load(Path(folder) / "maps.npz") as file:
            case = [file[name] for name in ("maps", "masks", "scores", "labels")]
        began = time.perf_counter()
        values = evaluate(*case)
        return {"seconds": time.perf_counter() - began, "values": values, "shape": case[0].shape}

    def perlin(self, *, size, batch, device, folder, seconds):
        import torch

        from adlib.perlin import corrupt

        use_threads()
        textures = torch.stack([texture(i, size) for i in range(TEXTURES)]).permute(0, 3, 1, 2).to(device)
        images = random_images(batch, size).to(device, memory_format=torch.channels_last) / 255
        textures = textures.contiguous(memory_format=torch.channels_last)
        generator = torch.Generator(device).manual_seed(0)
        return rate(lambda: corrupt(images, textures, generator=generator), batch, seconds, device)

    def import_time(self):
        import adlib.recipes  # noqa: F401
        from adlib.data import load_category  # noqa: F401
        from adlib.networks import STFPM  # noqa: F401
        from adlib.training import fit, predict  # noqa: F401

    def save_model(self, *, backbone, size, folder, root, category, device):
        from adlib.runs.record import write_model

        write_model(Path(folder) / "adlib.pt", self.model("stfpm", backbone))

    def first_heatmap(self, *, backbone, size, folder, root, category, device):
        from adlib.data.images import as_images
        from adlib.runs.record import read_model
        from adlib.training import predict

        use_threads()
        photo = next((Path(root) / category / "test/good").iterdir())
        assert predict(read_model(Path(folder) / "adlib.pt", device), as_images([photo], size)).shape == (1, 256, 256)


class Anomalib:
    """anomalib as its documentation has it; the teacher's weights are put in, since it would download others."""

    LAYERS = ("layer1", "layer2", "layer3")

    def backbone(self, name: str) -> dict:
        """Name and layers as timm has them: efficientnets have blocks, and indices name them."""
        names = {"efficientnet_lite0": ("tf_efficientnet_lite0", (1, 2, 3))}
        backbone, layers = names.get(name, (name, self.LAYERS))
        return {"backbone": backbone, "layers": layers}

    def model(self, method: str, backbone: str, size: int, seed: int = 0):
        import timm
        import torch
        from anomalib.models import ReverseDistillation, Stfpm
        from anomalib.pre_processing import PreProcessor
        from torchvision.transforms.v2 import Compose, Normalize, Resize

        create = timm.create_model
        torch.manual_seed(seed)
        timm.create_model = lambda name, *given, **more: create(name, *given, **more | {"pretrained": False})
        try:
            half = (0.5,) * 3 if backbone.startswith("efficientnet") else None
            steps = [Resize((size, size), antialias=True), Normalize(half or (0.485, 0.456, 0.406),
                                                                     half or (0.229, 0.224, 0.225))]
            model = {"stfpm": Stfpm, "rd4ad": ReverseDistillation}[method](
                **self.backbone(backbone), pre_processor=PreProcessor(transform=Compose(steps)), evaluator=False,
                visualizer=False)
        finally:
            timm.create_model = create
        if backbone == "efficientnet_lite0":
            from adlib.networks.teacher import load_weights

            load_weights(model.model.teacher_model.feature_extractor, backbone)
        return model

    def engine(self, device: str, *, precision: str = "32", callbacks=(), **more):
        from anomalib.engine import Engine

        quiet = {"logger": False, "enable_progress_bar": False,
                 "enable_model_summary": False, "limit_val_batches": 0, "num_sanity_val_steps": 0}
        where = {"accelerator": "cpu"} if device == "cpu" else {"accelerator": "gpu", "devices": 1}
        return Engine(**quiet, **where, precision=precision, callbacks=list(callbacks),
                      default_root_dir=os.environ["BENCH_FOLDER"], **more)

    def folder_data(self, root, category, size, batch):
        from anomalib.data import Folder
        from torchvision.transforms.v2 import Resize

        return Folder(name=category, root=Path(root) / category, normal_dir="train/good", abnormal_dir=None,
                      normal_test_dir="test/good", train_batch_size=batch, eval_batch_size=32,
                      num_workers=int(os.environ["BENCH_THREADS"]), augmentations=Resize((size, size), antialias=True),
                      test_split_mode="none", val_split_mode="none")

    def step(self, *, method, backbone, size, batch, precision, steps, device):
        """Seconds of a step within `Engine.fit`: between the beginnings of the second and the last."""
        use_threads()
        at, folder = [], self.random_folder(batch * (steps + 2), size)
        engine = self.engine(device, precision=self.precision(backbone, size, precision, device),
                             callbacks=[self.clock(at, device)], max_steps=steps + 2, max_epochs=-1)
        engine.fit(model=self.model(method, backbone, size), datamodule=self.folder_data(folder, "random", size, batch))
        return {"seconds": (at[-1] - at[1]) / (len(at) - 2), "precision": precision}

    def precision(self, backbone, size, precision, device):
        """What adlib picks, in Lightning's words."""
        from adlib.training import pick_precision

        if precision == "auto":
            import torch

            model = self.model("stfpm", backbone, size).model.student_model
            precision = pick_precision("auto", [model], torch.device(device), size)
        return {"float32": "32", "bf16": "bf16-mixed"}[precision]

    def clock(self, at: list, device: str, until: float = math.inf):
        """A callback that notes when steps begin, and ends the training when its seconds are over."""
        from lightning.pytorch.callbacks import Callback

        class Clock(Callback):
            def on_train_batch_start(self, trainer, *_):
                wait(device)
                at.append(time.perf_counter())

            def on_train_batch_end(self, trainer, *_):
                if time.perf_counter() - at[0] > until:
                    trainer.should_stop = True

        return Clock()

    def random_folder(self, count: int, size: int) -> Path:
        from PIL import Image

        root = Path(os.environ["BENCH_FOLDER"]) / f"images-{count}-{size}"
        for where in ("train/good", "test/good"):
            (root / "random" / where).mkdir(parents=True, exist_ok=True)
        for i, image in enumerate(random_images(count, size)):
            for where in ("train/good", "test/good")[:2 if i < 2 else 1]:
                Image.fromarray(image.permute(1, 2, 0).numpy()).save(root / "random" / where / f"{i:03}.png")
        return root

    def inference(self, *, backbone, size, batch, device, seconds):
        import torch

        use_threads()
        model = self.model("stfpm", backbone, size).to(device).eval()
        images = random_images(batch, size)

        def score():
            with torch.inference_mode():
                found = model(images.to(device).float().div(255))
                return found.anomaly_map.cpu(), found.pred_score.cpu()

        return rate(score, batch, seconds, device)

    def inference_files(self, *, backbone, size, device, root, category):
        from anomalib.data import PredictDataset
        from torch.utils.data import DataLoader

        use_threads()
        model, engine = self.model("stfpm", backbone, size), self.engine(device)
        paths = sorted((Path(root) / category / "test").glob("*/*.*"))
        data = PredictDataset(Path(root) / category / "test", image_size=(size, size))
        loader = DataLoader(data, batch_size=32, collate_fn=data.collate_fn)    # Engine.predict's own takes 1

        def score():
            found = engine.predict(model=model, dataloaders=loader)
            assert sum(len(batch.pred_score) for batch in found) == len(paths)

        return rate(score, len(paths), 0.0, device)

    def train(self, *, root, category, size, batch, steps, seed, seconds, device):
        import torch

        from adlib.data import load_category

        use_threads()
        data, at = load_category(root, category, image_size=size), []
        model = self.model("stfpm", "efficientnet_lite0", size, seed)
        engine = self.engine(device, callbacks=[self.clock(at, device, seconds or math.inf)], max_steps=steps if not
                             seconds else -1, max_epochs=-1)
        module = self.folder_data(root, category, size, batch)
        began = time.perf_counter()
        engine.fit(model=model, datamodule=module)
        wait(device)
        taken = time.perf_counter() - began
        model.to(device).eval()
        with torch.inference_mode():
            maps = torch.cat([model.model(model.pre_processor.transform(chunk.to(device) / 255)).anomaly_map.cpu()
                              for chunk in data.test.split(32)])
        maps = torch.nn.functional.interpolate(maps, size=(256, 256), mode="bilinear", align_corners=False)[:, 0]
        return {"seconds": taken, "values": judge(maps, data), "steps": len(at)}

    def metrics(self, *, root, category, folder):
        import numpy as np
        import torch
        from anomalib.metrics.aupr import _AUPR
        from anomalib.metrics.aupro import _AUPRO
        from anomalib.metrics.auroc import _AUROC

        use_threads()
        with np.load(Path(folder) / "maps.npz") as file:
            maps, masks, scores, labels = (torch.from_numpy(file[n]) for n in ("maps", "masks", "scores", "labels"))
        work = {"image_auroc": (_AUROC(), scores, labels), "pixel_auroc": (_AUROC(), maps, masks),
                "pixel_ap": (_AUPR(), maps, masks), "pro": (_AUPRO(), maps, masks)}
        began, values = time.perf_counter(), {}
        for name, (metric, found, truth) in work.items():
            metric.update(found, truth.int())
            values[name] = float(metric.compute())
        return {"seconds": time.perf_counter() - began, "values": values, "shape": maps.shape}

    def perlin(self, *, size, batch, device, folder, seconds):
        from anomalib.data.utils.generators import PerlinAnomalyGenerator
        from PIL import Image

        use_threads()
        textures = Path(folder) / f"textures-{size}"
        textures.mkdir(exist_ok=True)
        for i in range(TEXTURES):
            Image.fromarray(texture(i, size).numpy()).save(textures / f"{i:03}.png")
        generator = PerlinAnomalyGenerator(anomaly_source_path=textures, probability=1.0, blend_factor=(0.2, 1.0))
        images = random_images(batch, size).to(device) / 255
        return rate(lambda: generator(images), batch, seconds, device)

    def import_time(self):
        from anomalib.data import Folder  # noqa: F401
        from anomalib.engine import Engine  # noqa: F401
        from anomalib.models import Stfpm  # noqa: F401

    def save_model(self, *, backbone, size, folder, root, category, device):
        import torch

        model = self.model("stfpm", backbone, size).eval()
        torch.save({"model": model}, Path(folder) / "anomalib.pt")     # as Engine.export(export_type="torch") does

    def first_heatmap(self, *, backbone, size, folder, root, category, device):
        from anomalib.deploy import TorchInferencer

        use_threads()
        photo = next((Path(root) / category / "test/good").iterdir())
        inferencer = TorchInferencer(path=Path(folder) / "anomalib.pt", device="auto" if device == "cuda" else device)
        assert inferencer.predict(photo).anomaly_map.shape[-1] == size


TEXTURES = 40


def texture(number: int, size: int):
    """(S, S, 3) uint8: smooth noise in colour."""
    import torch

    coarse = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(number)) * 255
    return torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic")[0].clamp(0, 255).byte().permute(
        1, 2, 0).contiguous()


def judge(maps, data) -> dict[str, float]:
    """Both sides' maps by one judge."""
    from adlib.metrics import evaluate

    return evaluate(maps, data.masks, maps.flatten(1).amax(dim=1), data.labels)


def peak_memory(side, **given) -> float:
    """MB that this process held at most while it trained some steps."""
    from adlib.settings import peak_memory_mb

    side.step(**given)
    return peak_memory_mb(given["device"])


def work(name: str) -> None:
    """Take tasks from stdin until it ends, and answer each on a line of its own."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)           # what libraries print does not stand between answers
    side = {"adlib": Adlib, "anomalib": Anomalib}[name]()
    for line in sys.stdin:
        task, given = json.loads(line)
        try:
            value = peak_memory(side, **given) if task == "peak_memory" else getattr(side, task)(**given)
            answer = {"value": value}
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(MARK + json.dumps(answer), file=answers, flush=True)


# Results --------------------------------------------------------------------------------------------------------------


def describe_machine(options: argparse.Namespace) -> dict:
    """Where this was measured: processor or card, threads, versions."""
    import torch

    from adlib.runs.record import describe_cpu

    def installed(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return "absent"

    device = torch.cuda.get_device_name() if options.device.startswith("cuda") else options.device
    return {"device": device, "cpu": describe_cpu(), "threads": options.threads,
            "versions": "; ".join([f"python {platform.python_version()}",
                                   *(f"{name} {installed(name)}" for name in PACKAGES)]),
            "date": time.strftime("%Y-%m-%d")}


def write_results(bench: Bench, machine: dict) -> None:
    rows = [result.columns(machine) for result in bench.results]
    Path(bench.options.json).parent.mkdir(parents=True, exist_ok=True)
    Path(bench.options.json).write_text(json.dumps({"machine": machine, "rows": [
        {key: value for key, value in row.items() if key not in machine} for row in rows]}, indent=1))
    Path(bench.options.csv).parent.mkdir(parents=True, exist_ok=True)
    with open(bench.options.csv, "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worker", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--data-root", default=str(ROOT / "data/demo"), help="folder of categories, MVTec layout")
    parser.add_argument("--categories", default="circuit,gravel", type=lambda text: text.split(","))
    parser.add_argument("--rows", default="", type=lambda text: [name for name in text.split(",") if name],
                        help="only these, for example step,metrics")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3, help="of whole trainings")
    parser.add_argument("--steps", type=int, default=200, help="of whole trainings")
    parser.add_argument("--quick", action="store_true", help="one small repeat of everything, to see that it works")
    parser.add_argument("--csv", default=str(ROOT / "notebooks/results/bench.csv"))
    parser.add_argument("--json", default=str(ROOT / "runs/bench.json"))
    options = parser.parse_args(arguments)
    options.timed_steps, options.seconds = (1, 0.0) if options.quick else (3, 3.0)
    if options.quick:
        options.repeats, options.seeds, options.steps, options.categories = 1, 1, 4, options.categories[:1]
    return options


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    if options.worker:
        work(options.worker)
        return 0
    if not Path(options.data_root).exists() and options.data_root == str(ROOT / "data/demo"):
        from adlib.demo import generate

        generate.ensure("data/demo")
    with tempfile.TemporaryDirectory() as folder:
        options.folder = folder
        machine, bench = describe_machine(options), Bench(options)
        print(f"{machine['device']}, {machine['cpu']}, {machine['threads']} threads, load {os.getloadavg()[0]:.1f}\n"
              f"{machine['versions']}", flush=True)
        try:
            for row in plan(options):
                bench.attempt(*row)
                write_results(bench, machine)
        finally:
            for worker in bench.workers.values():
                worker.close()
    print(f"written to {options.csv} and {options.json}")
    return 1 if any(result.note.startswith("failed") for result in bench.results) else 0


def plan(options: argparse.Namespace) -> list[tuple]:
    """Rows and what they are given; small ones of each kind where it should be quick."""
    small, big = ((64, 4), (64, 4)) if options.quick else ((128, 8), (256, 16))
    resnet = "resnet18"
    many = 4 if options.quick else 32
    return [        # the short ones first
        (row_import,),
        (row_first_heatmap, "efficientnet_lite0", small[0]),
        (row_metrics,),
        (row_perlin, big[0], many),
        *((row_inference, "efficientnet_lite0", small[0], batch) for batch in (1, many)),
        *((row_inference, resnet, big[0], batch) for batch in (1, many)),
        (row_inference_files, "efficientnet_lite0", small[0]),
        (row_memory, "efficientnet_lite0", *small),
        *((row_step, "stfpm", "efficientnet_lite0", *small, precision) for precision in ("float32", "auto")),
        *((row_step, method, resnet, *big, precision) for method in ("stfpm", "rd4ad")
          for precision in ("float32", "auto")),
        *((row_training, category, *small) for category in options.categories),
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
