"""The command line: python -m adlib demo | run | try | score | export | sweep | results | page | reference | data."""

import argparse
import os
import shlex
import sys
from functools import partial

from adlib.runs import execute, parameters  # light; what imports torch is imported by the command that needs it
from adlib.runs.folder import read_runs

TOUR = tuple(dict.fromkeys(execute.LESSON_OF.values()))      # the lessons that `demo` executes, in reading order


def main(arguments: list[str] | None = None) -> int:
    execute.escape_output()
    arguments = sys.argv[1:] if arguments is None else arguments
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = build_parser().parse_args(arguments[:end])
    options.passed_on = arguments[end + 1:]
    try:
        return options.command(options)
    except (OSError, ValueError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m adlib", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_demo(commands.add_parser("demo", help="make the demo data set and execute the lessons of the tour on it"))
    add_run(commands.add_parser("run", help="one ledger run: a method on a category"))
    add_try(commands.add_parser("try", help="your own photographs: train on good ones, score new ones"))
    add_score(commands.add_parser("score", help="images of your own judged with a run, once or as they appear"))
    add_export(commands.add_parser("export", help="the model of a run as one file: ONNX, TorchScript or PyTorch's pt2"))
    add_sweep(commands.add_parser("sweep", help="many ledger runs: methods x categories x seeds, or a named ablation"))
    add_results(commands.add_parser("results", help="the ledger as tables, the papers' numbers beside ours"))
    add_page(commands.add_parser("page", help="executed notebooks as pages that need no kernel and no network"))
    add_reference(commands.add_parser("reference", help="the long-trained students of the lessons, made anew"))
    data = commands.add_parser("data", help="look at a data set, or fetch one").add_subparsers(required=True)
    add_describe(data.add_parser("describe", help="print what an MVTec-layout folder holds, and what is missing"))
    add_fetch(data.add_parser("fetch", help="download an archive, check it and unpack it into data/"))
    return parser


def add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data-only", action="store_true", help="make the data, execute nothing")
    parser.add_argument("--seed", type=int, default=0, help="of the data: 0 goes to data/demo, another to data/demo-sN")
    parser.add_argument("--category", default="circuit", help="the category that the lessons run on")
    parser.add_argument("--out-dir", default="runs", help="where the executed notebooks go")
    lessons = parameters.lesson_names()
    parser.add_argument("--lesson", choices=lessons, metavar="NAME", help=f"execute only this: {', '.join(lessons)}")
    parser.set_defaults(command=run_demo)


def run_demo(options: argparse.Namespace) -> int:
    from adlib.demo import generate

    root = generate.ensure(generate.root(options.seed))
    print(f"demo data: {root}", flush=True)
    if options.data_only:
        return 0
    given = {"data_root": str(root), "category": options.category, "budget": "demo", "out_dir": options.out_dir}
    if options.lesson:
        execute.run_lesson(options.lesson, given, out_dir=options.out_dir)
        return 0
    executed = execute.run_lessons(TOUR, ["--seed", str(options.seed), "--category", options.category,
                                          "--out-dir", options.out_dir], out_dir=options.out_dir)
    print()
    for notebook in executed:
        print(f"{execute.printed_by(notebook, 'report')}  executed lesson: {notebook}\n")
    from adlib.runs import report

    only = {"dataset": root.name, "category": options.category, "budget": "demo", "seed": "0", "setting": ""}
    print(report.ledger_report(options.out_dir, only=only))
    return 0


def add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("method", choices=execute.LESSON_OF, metavar="METHOD", help=", ".join(execute.LESSON_OF))
    parser.add_argument("--category", metavar="CAT", help="one of its categories")
    parser.add_argument("--seed", metavar="N")
    add_parameters(parser)
    parser.add_argument("--threads", metavar="N", type=int, help="of the processor; by default all of them")
    parser.add_argument("--again", action="store_true", help="run it even if a complete run is there, from the start")
    parser.set_defaults(command=run_method)


def add_parameters(parser: argparse.ArgumentParser) -> None:
    """What `run` and `sweep` share."""
    parser.add_argument("--data-root", metavar="DIR", help="folder of categories, MVTec layout; or digits, cifar10")
    parser.add_argument("--budget", metavar="B", help="smoke, demo or paper")
    parser.add_argument("--backbone", metavar="NAME", help="of the teacher")
    parser.add_argument("--weights", metavar="W", help="auto, random, or the path of a state dict")
    parser.add_argument("--image-size", metavar="S", help="auto, or a multiple of 32")
    parser.add_argument("--tiles", metavar="N", help="cut images into N tiles along their longer side; auto is 1")
    parser.add_argument("--aspect", metavar="A", help="stretch images to the square (auto), or keep their aspect")
    parser.add_argument("--precision", metavar="P", help="auto, float32 or bf16")
    parser.add_argument("--device", metavar="D", help="auto, cpu, cuda, ...")
    parser.add_argument("--out-dir", metavar="DIR", help="where runs are written")
    parser.add_argument("-p", dest="more", metavar="NAME=VALUE", action="append", default=[],
                        help="any parameter of the method's lesson; may be repeated")
    parser.epilog = "What is not given is the lesson's default."


def run_method(options: argparse.Namespace) -> int:
    if options.threads:
        os.environ.update(execute.limit_threads(options.threads))
    execute.run(options.method, given_parameters(options, options.method), again=options.again)
    return 0


def given_parameters(options: argparse.Namespace, method: str) -> dict:
    """The parameters of a method's lesson that the command line sets, as the types of their defaults."""
    defaults = parameters.lesson_parameters(execute.LESSON_OF[method])
    texts = {name: getattr(options, name, None) for name in defaults}
    for text in options.more:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"-p {text}: expected NAME=VALUE")
        texts[name.strip()] = value
    return {name: parameters.parse(value, name, defaults.get(name, "")) for name, value in texts.items()
            if value is not None}


def add_sweep(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--methods", metavar="A,B", help=f"of {', '.join(execute.LESSON_OF)}; by default all")
    parser.add_argument("--table", metavar="NAME", help="an ablation of adlib/lessons/ablations.py instead of methods")
    parser.add_argument("--categories", metavar="A,B", default="all", help="by default all of the data set")
    parser.add_argument("--seeds", metavar="0,1,2", default="0,1,2")
    add_parameters(parser)
    parser.add_argument("--cores", metavar="N", type=int, default=os.cpu_count(), help="to use; by default all")
    parser.add_argument("--threads", metavar="N", type=int, default=1,
                        help="of each run; by default 1, and as many runs at a time as there are cores")
    parser.add_argument("--profile", metavar="P", help="of snakemake: a cluster's (README)")
    parser.add_argument("--executor", metavar="E", help="of snakemake: slurm, kubernetes, ...")
    parser.add_argument("--jobs", metavar="N", type=int, help="there at most at a time; 100, or as the profile says")
    parser.add_argument("--list", action="store_true", help="only print a command for each run that is missing")
    parser.set_defaults(command=run_sweep)
    parser.epilog = "What is not given is the lesson's default. Options behind -- go to snakemake as they are."


def run_sweep(options: argparse.Namespace) -> int:
    from adlib.lessons import ablations
    from adlib.runs import planning, sweep

    machine = planning.pick_machine(options.cores, options.threads, options.device or "auto", profile=options.profile,
                                    executor=options.executor, jobs=options.jobs)
    options.device = None if machine.devices else options.device     # each run gets one of them
    given = partial(given_parameters, options)
    rows = ablations.rows_of_table(options.table, given) if options.table else planning.rows_of(options.methods, given)
    if not rows:
        raise ValueError(f"no row of table {options.table} can be run here")
    categories = planning.pick_categories(rows[0][1].get("data_root", "data/demo"), options.categories)
    planned = planning.plan(planning.combine(rows, categories, planning.pick_seeds(options.seeds)), machine)
    if options.list:
        for run in planning.missing(planned):
            print(shlex.join(["python", *run.command()]))
        return 0
    print(planning.describe_plan(planned, machine), flush=True)
    missing = sweep.execute_plan(planned, machine, options=options.passed_on)
    print(f"the numbers: python -m adlib results --out-dir {shlex.quote(options.out_dir or 'runs')}", flush=True)
    return 1 if missing else 0


def add_results(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out-dir", metavar="DIR", default="runs", help="where runs are written")
    parser.add_argument("--format", choices=("table", "csv", "markdown"), default="table")
    parser.add_argument("--only", metavar="NAME=VALUE", action="append", default=[],
                        help="runs with this dataset, category, budget, method, seed, ...; setting= for all defaults")
    parser.add_argument("--extract", metavar="FILE", help="write the runs to a small CSV to commit, a row each")
    parser.set_defaults(command=run_results)


def run_results(options: argparse.Namespace) -> int:
    from adlib.runs import report, tables

    only = dict(text.partition("=")[::2] for text in options.only)
    if options.extract:
        rows = tables.select_runs(tables.frame(read_runs(options.out_dir)), only)
        print(f"{len(rows)} runs written to {tables.write_extract(rows, options.extract)}")
    else:
        print(report.ledger_report(options.out_dir, options.format, only=only))
    return 0


def add_page(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("notebooks", nargs="+", metavar="NOTEBOOK", help="each page is written beside its notebook")
    parser.set_defaults(command=run_page)


def run_page(options: argparse.Namespace) -> int:
    from adlib.lessons.pages import write_page

    for notebook in options.notebooks:
        print(f"page: {write_page(notebook)}", flush=True)
    return 0


def add_reference(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--methods", metavar="A,B", default="destseg,masked_rd", help="by default both")
    parser.add_argument("--category", metavar="CAT", default="circuit")
    parser.add_argument("--data-root", metavar="DIR", default="data/demo", help="folder of categories, MVTec layout")
    parser.add_argument("--plan", choices=("reference", "smoke"), default="reference")
    parser.add_argument("--checkpoints", metavar="DIR", default="runs/reference", help="where a stopped one goes on")
    parser.add_argument("--out", metavar="DIR", help="where they are stored; by default notebooks/results/reference")
    parser.set_defaults(command=run_reference)


def run_reference(options: argparse.Namespace) -> int:
    from adlib import demo
    from adlib.data import load_category
    from adlib.lessons.reference import STORED, train_reference
    from adlib.settings import IMAGE_SIZE

    size = IMAGE_SIZE["demo" if options.plan == "reference" else "smoke"]
    data = load_category(demo.ensure(options.data_root), options.category, image_size=size)
    for method in options.methods.split(","):
        train_reference(method, data, plan=options.plan, checkpoints=options.checkpoints, target=options.out or STORED)
    return 0


def add_try(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("good", help="folder of photographs of good parts, at least 8, of any sizes")
    parser.add_argument("--new", metavar="DIR", help="folder of photographs to judge; else held-back good ones")
    parser.add_argument("--method", default="stfpm", help="stfpm, destseg, rd4ad, masked_rd or nearest")
    parser.add_argument("--budget", default="demo", help="smoke, demo or paper")
    parser.add_argument("--steps", default="auto", metavar="N", help="of each stage of a training; auto: the budget's")
    parser.add_argument("--image-size", default="auto", metavar="S", help="auto, or a multiple of 32")
    parser.add_argument("--tiles", default="1", metavar="N", help="along the longer side; auto: by the images' size")
    parser.add_argument("--aspect", default="auto", metavar="A", help="stretch or keep; auto keeps a ratio beyond 1.2")
    parser.add_argument("--out-dir", default="runs", metavar="DIR", help="where the run is written")
    parser.set_defaults(command=run_try)


def run_try(options: argparse.Namespace) -> int:
    from adlib.explorer import own_images

    size, tiles, steps = (parameters.parse(getattr(options, name), name, "auto")
                          for name in ("image_size", "tiles", "steps"))
    own_images.show_results(own_images.train(options.good, options.new, out_dir=options.out_dir, method=options.method,
                                             image_size=size, tiles=tiles, aspect=options.aspect,
                                             budget=options.budget, steps=steps))
    return 0


def add_score(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="folder of a run")
    parser.add_argument("paths", nargs="+", metavar="PATH", help="files, folders with all below them, or globs")
    parser.add_argument("--tiles", default="auto", metavar="N", help="auto: those that the run was trained on")
    parser.add_argument("--csv", default="scores.csv", metavar="FILE", help="where all scores are written")
    parser.add_argument("--heatmaps", metavar="DIR", help="write each image under its heatmap there, as a PNG")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line instead of words")
    parser.add_argument("--watch", action="store_true", help="go on with new files of the folders, until Ctrl-C")
    parser.set_defaults(command=run_score)
    parser.epilog = "The exit code is 3 if an image was flagged, 0 if none was, and 1 after an error."


def run_score(options: argparse.Namespace) -> int:
    from adlib.explorer import score

    return score.exit_code(score.score_paths(options.run, options.paths, tiles=options.tiles, table=options.csv,
                                             heatmaps=options.heatmaps, as_json=options.json, watch=options.watch))


def add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="folder of a run")
    parser.add_argument("--format", choices=("onnx", "torchscript", "pt2"), default="onnx")
    parser.add_argument("--out", metavar="FILE", help="where to write it; by default model.FORMAT in the run's folder")
    parser.set_defaults(command=run_export)


def run_export(options: argparse.Namespace) -> int:
    from adlib.runs import export

    print(export.describe_export(export.export_run(options.run, options.format, path=options.out)))
    return 0


def add_describe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("root", help="folder of categories")
    parser.set_defaults(command=run_describe)


def run_describe(options: argparse.Namespace) -> int:
    from adlib.runs.datasets import describe

    return 1 if describe(options.root) else 0


def add_fetch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", help="of a .tar, .tar.gz, .tar.xz, .tgz or .zip")
    parser.add_argument("--sha256", help="of the archive; checked before it is unpacked")
    parser.add_argument("--name", help="folder to make in data/; by default the archive's name")
    parser.set_defaults(command=run_fetch)


def run_fetch(options: argparse.Namespace) -> int:
    from adlib.runs import download

    print(f"unpacked into {download.fetch(options.url, sha256=options.sha256, name=options.name)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
