"""The command line: python -m adlib demo | data."""

import argparse
import sys

from adlib import demo, fetch
from adlib.data import describe


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
    root = demo.ensure(demo.root(options.seed))
    print(f"demo data: {root}", flush=True)
    if options.data_only:
        return 0
    from adlib import runs

    parameters = {"data_root": str(root), "category": options.category, "budget": "demo"}
    executed = runs.run_lesson("00_data_and_metrics", parameters, out_dir=options.out_dir)
    print(f"\n{runs.printed_by(executed, 'report')}")
    print(f"The executed lesson: {executed}")
    return 0


def add_describe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("root", help="folder of categories")
    parser.set_defaults(command=lambda options: 1 if describe(options.root) else 0)


def add_fetch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", help="of a .tar, .tar.gz, .tar.xz, .tgz or .zip")
    parser.add_argument("--sha256", help="of the archive; checked before it is unpacked")
    parser.add_argument("--name", help="folder to make in data/; by default the archive's name")
    parser.set_defaults(command=run_fetch)


def run_fetch(options: argparse.Namespace) -> int:
    print(f"unpacked into {fetch.fetch(options.url, sha256=options.sha256, name=options.name)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
