"""The numbers in the tables of the three papers, as printed: in percent, where our own lie in [0, 1]."""

from pathlib import Path

import pandas as pd

FILE = Path(__file__).with_name("published.csv")
OWN_PAPER = {"stfpm": "STFPM", "destseg": "DeSTSeg", "masked_rd": "MaskedRD"}   # RD4AD's we know as quoted only
PAPER_IMAGE_SIZE = 256        # of all three on MVTec AD


def read_published() -> pd.DataFrame:
    """All numbers, one a row.

    Returns
    -------
    DataFrame
        `paper`; `table`, as text; `method`: our name where the row is one of our methods, else as `printed`; `printed`;
        `backbone`, empty where the paper quotes another; `dataset`; `category`, a folder's or a class's name, or
        "mean", which is the printed mean; `metric`; `value` and `spread` in percent, NaN where no spread is given;
        `note`, which says what is misprinted, contradictory or not recoverable.
    """
    text = dict.fromkeys(("paper", "table", "method", "printed", "backbone", "dataset", "category", "metric", "note"),
                         str)
    rows = pd.read_csv(FILE, dtype=text | {"value": float}, keep_default_na=False)
    return rows.assign(spread=pd.to_numeric(rows["spread"]))      # an empty text becomes NaN


def published_values(method: str, metric: str, *, dataset: str = "mvtec", category: str | None = None) -> pd.DataFrame:
    """The rows on a method and a metric, those of the method's own paper first, then in the papers' order.

    Parameters
    ----------
    method : str
        Our name, or another as printed; the label of an ablation's row, such as "levels 1,2,3", too.
    metric : str
        As in `settings.METRICS`.
    dataset : "mvtec" or "cifar10"
    category : str, optional
        "mean" for the printed means; by default all categories and "mean".
    """
    rows = read_published()
    rows = rows[(rows["method"] == method) & (rows["metric"] == metric) & (rows["dataset"] == dataset)]
    rows = rows if category is None else rows[rows["category"] == category]
    quoted = rows["paper"] != OWN_PAPER.get(method)
    return rows.loc[quoted.sort_values(kind="stable").index].reset_index(drop=True)


def paper_table(paper: str, table: str) -> pd.DataFrame:
    """The rows of one table, in its order: `paper_table("STFPM", "3")`."""
    rows = read_published()
    return rows[(rows["paper"] == paper) & (rows["table"] == table)].reset_index(drop=True)


def from_percent(value):
    """A published number on our scale: 98.6 is 0.986. The only place where the two scales meet."""
    return value / 100
