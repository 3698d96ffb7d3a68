"""One's own photographs: a folder of good ones becomes a category, a run on it a sheet of heatmaps."""

from pathlib import Path

from adlib import find_input, recipes, settings
from adlib.data.category import folder_category
from adlib.networks.stfpm import STFPM
from adlib.networks.teacher import Teacher
from adlib.runs import record
from adlib.runs.folder import explained
from adlib.runs.parameters import complete_parameters
from adlib.training import fit, predict


def train(good: str | Path, new: str | Path | None = None, *, out_dir: str | Path = "runs",
          image_size: str | int = "auto", budget: str = "demo") -> Path:
    """Train STFPM on a folder of good photographs and write a run with `sheet.html`; the path of the run's folder.

    Without a folder of new ones, the good ones that were held back are shown.

    Raises
    ------
    FileNotFoundError, ValueError
        Photographs that are missing, too few or unreadable; see `data.folder_category`.
    """
    good, new = find_input(good).resolve(), new and find_input(new).resolve()
    own = {"data_root": str(good.parent), "category": good.name, "budget": budget, "image_size": image_size,
           "out_dir": str(out_dir)}
    parameters = complete_parameters("01_stfpm", own) | {"good": str(good), "new": str(new or "")}
    size = settings.IMAGE_SIZE[budget] if image_size == "auto" else image_size
    data = folder_category(good, new, image_size=size)
    run = record.start("stfpm", parameters)
    model = STFPM(Teacher(), levels=tuple(parameters["levels"]), fuse_at=parameters["fuse_at"])
    with run.timed("train"):
        history = fit(model, data, recipes.stfpm(model, budget=budget))
    with run.timed("predict"):
        maps, validation_maps = predict(model, data.test), predict(model, data.validation)
    record.finish(run, model, data, maps=maps, validation_maps=validation_maps, report={}, history=history)
    return run.folder


def show_results(folder: Path, *, most: int = 10) -> None:
    """Write the sheet of a run on photographs into its folder; print the highest scores and what to do next."""
    from adlib.explorer.sheet import write_sheet

    found = record.load_run(folder)
    threshold, new = found.entry["thresholds"]["image"], found.entry["parameters"]["new"]
    words = explain_threshold(threshold, len(found.validation_scores), bool(new))
    paths = [find_input(path) for path in found.paths]
    with explained(folder):
        sheet = write_sheet(folder / "sheet.html", f"Photographs in {new or found.entry['parameters']['good']}", words,
                            paths=paths, maps=found.maps, scores=found.scores, threshold=threshold,
                            validation_maps=found.validation_maps)
    print(f"\n{'score':>10}           photograph")
    for i in (-found.scores).argsort(kind="stable")[:most]:
        verdict = "flagged" if found.scores[i] >= threshold else "passed "
        print(f"{found.scores[i]:>10.4g}  {verdict}  {paths[i].name}")
    print(f"\n{words}\n\nsheet: {sheet}\nrun:   {folder}\nTo score others with it:\n"
          f"    from adlib.ledger import load_run\n"
          f"    print(load_run({str(folder)!r}).score(['photograph.jpg']).scores)", flush=True)


def explain_threshold(threshold: float, n: int, new: bool) -> str:
    """How the threshold was chosen, and how far it can be trusted."""
    words = (f"The threshold, {threshold:.4g}, is the 95 % quantile of the scores of {n} good photographs that were "
             f"held back: the network did not learn from them, they only chose the step whose weights are kept. "
             f"Expect about one good photograph in {min(20, n + 1)} to be flagged")
    words += f"; {n} are few, so this is rough, and more good photographs make it better." if n < 20 else "."
    if not new:
        words += (" The photographs shown are the held-back ones themselves, so the highest is flagged by "
                  "construction: the sheet shows what normal scores look like.")
    return words
