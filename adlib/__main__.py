"""The command line: python -m adlib demo | run | try | data."""

import argparse
import sys

from adlib import parameters, runs  # light; what imports torch is imported by the command that needs it

TOUR = tuple(dict.fromkeys(runs.LESSON_OF.values()))      # the lessons that `demo` executes, in reading order


def main(arguments: list[str] | None = None) -> int:
    options = build_parser().parse_args(arguments)
    try:
        return options.command(options)
    except (OSError, ValueError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m adlib", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_demo(commands.add_parser("demo", help="make the demo data set and execute the lessons of the tour on it"))
    add_run(commands.add_parser("run", help="one ledger run: a method on a category"))
    add_try(commands.add_parser("try", help="your own photographs: train on good ones, score new ones"))
    data = commands.add_parser("data", help="look at a data set, or fetch one").add_subparsers(required=True)
    add_describe(data.add_parser("describe", help="print what an MVTec-layout folder holds, and what is missing"))
    add_fetch(data.add_parser("fetch", help="download an archive, check it and unpack it into data/"))
    return parser


def add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data-only", action="store_true", help="make the data, execute nothing")
    parser.add_argument("--seed", type=int, default=0, help="of the data: 0 goes to data/demo, another to data/demo-sN")
    parser.add_argument("--category", default="gravel", help="the category that the lessons run on")
    parser.add_argument("--out-dir", default="runs", help="where the executed notebooks go")
    parser.set_defaults(command=run_demo)


def run_demo(options: argparse.Namespace) -> int:
    from adlib import demo

    root = demo.ensure(demo.root(options.seed))
    print(f"demo data: {root}", flush=True)
    if options.data_only:
        return 0
    given = {"data_root": str(root), "category": options.category, "budget": "demo", "out_dir": options.out_dir}
    executed = [runs.run_lesson(lesson, given, out_dir=options.out_dir) for lesson in TOUR]
    print()
    for notebook in executed:
        print(f"{runs.printed_by(notebook, 'report')}  executed lesson: {notebook}\n")
    return 0


def add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("method", choices=runs.LESSON_OF, metavar="METHOD", help=", ".join(runs.LESSON_OF))
    parser.add_argument("--data-root", metavar="DIR", help="folder of categories, MVTec layout")
    parser.add_argument("--category", metavar="CAT", help="one of them")
    parser.add_argument("--budget", metavar="B", help="smoke, demo or paper")
    parser.add_argument("--seed", metavar="N")
    parser.add_argument("--backbone", metavar="NAME", help="of the teacher")
    parser.add_argument("--weights", metavar="W", help="auto, random, or the path of a state dict")
    parser.add_argument("--image-size", metavar="S", help="auto, or a multiple of 32")
    parser.add_argument("--precision", metavar="P", help="auto, float32 or bf16")
    parser.add_argument("--device", metavar="D", help="auto, cpu, cuda, ...")
    parser.add_argument("--out-dir", metavar="DIR", help="where runs are written")
    parser.add_argument("-p", dest="more", metavar="NAME=VALUE", action="append", default=[],
                        help="any parameter of the method's lesson; may be repeated")
    parser.add_argument("--again", action="store_true", help="run it even if a whole run is there, from the start")
    parser.set_defaults(command=run_method)
    parser.epilog = "What is not given is the lesson's default."


def run_method(options: argparse.Namespace) -> int:
    defaults = runs.lesson_parameters(runs.LESSON_OF[options.method])
    texts = {name: getattr(options, name, None) for name in defaults}
    for text in options.more:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"-p {text}: expected NAME=VALUE")
        texts[name.strip()] = value
    given = {name: parameters.parse(value, name, defaults.get(name, "")) for name, value in texts.items()
             if value is not None}
    runs.run(options.method, given, again=options.again)
    return 0


def add_try(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("good", help="folder of photographs of good parts, at least 8, of any sizes")
    parser.add_argument("--new", metavar="DIR", help="folder of photographs to judge; else held-back good ones")
    parser.add_argument("--budget", default="demo", help="smoke, demo or paper")
    parser.add_argument("--image-size", default="auto", metavar="S", help="auto, or a multiple of 32")
    parser.add_argument("--out-dir", default="runs", metavar="DIR", help="where the run is written")
    parser.set_defaults(command=run_try)


def run_try(options: argparse.Namespace) -> int:
    from adlib import photographs

    size = parameters.parse(options.image_size, "image_size", "auto")
    photographs.show(photographs.train(options.good, options.new, out_dir=options.out_dir, image_size=size,
                                       budget=options.budget))
    return 0


def add_describe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("root", help="folder of categories")
    parser.set_defaults(command=run_describe)


def run_describe(options: argparse.Namespace) -> int:
    from adlib.data import describe

    return 1 if describe(options.root) else 0


def add_fetch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", help="of a .tar, .tar.gz, .tar.xz, .tgz or .zip")
    parser.add_argument("--sha256", help="of the archive; checked before it is unpacked")
    parser.add_argument("--name", help="folder to make in data/; by default the archive's name")
    parser.set_defaults(command=run_fetch)


def run_fetch(options: argparse.Namespace) -> int:
    from adlib import fetch

    print(f"unpacked into {fetch.fetch(options.url, sha256=options.sha256, name=options.name)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
