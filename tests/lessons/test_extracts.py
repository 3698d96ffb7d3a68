"""The tables that lessons quote, made from two runs and recounted here."""

import numpy as np
import pandas as pd
import pytest
from helpers import leave

from adlib.lessons.extracts import write_extracts


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The runs' folders and maps by method, their category, and the tables."""
    root, target = tmp_path_factory.mktemp("ledger"), tmp_path_factory.mktemp("tables")
    left = {method: leave(root, method) for method in ("nearest", "stfpm")}
    write_extracts(root / "runs", target, data_root=root / "set")
    return left, {path.stem: pd.read_csv(path) for path in target.iterdir()}


def test_every_table_is_written_for_the_runs_that_have_it(made):
    left, tables = made
    assert set(tables) == {"verdicts", "causes", "feature_space", "films", "effects"}
    assert set(tables["verdicts"]["method"]) == {"nearest", "stfpm"}
    assert {*tables["effects"]["method"], *tables["films"]["method"]} == {"stfpm"}
    assert tables["effects"]["level"].tolist() == [1, 2, 3]
    assert set(tables["verdicts"]["run"]) == {folder.name for folder, *_ in left.values()}


def test_verdicts_are_counted_at_the_runs_own_threshold(made):
    left, tables = made
    for method, (folder, data, _) in left.items():
        row = tables["verdicts"].set_index("method").loc[method]
        stored = np.load(folder / "maps.npz")
        threshold = np.nextafter(stored["validation_scores"].max(), np.float32(np.inf))     # of two images
        alarms, labels = stored["scores"] >= threshold, data.labels.numpy()
        assert (row["normal"], row["anomalous"]) == ((~labels).sum(), labels.sum())
        assert (row["false_alarms"], row["misses"]) == (alarms[~labels].sum(), (~alarms[labels]).sum())
        causes = tables["causes"].query("method == @method")
        counted = causes.groupby("kind")["failures"].sum()
        assert counted.get("false alarm", 0) == row["false_alarms"]
        assert counted.get("miss", 0) == row["misses"]


def test_a_film_is_its_last_picture_over_its_best(made):
    film = made[1]["films"].iloc[0]
    assert film["last_step"] == 4
    assert film["at_step"] in (0, 1, 4)
    assert film["last_ratio"] <= film["highest_ratio"]
    assert film["last_ratio"] == pytest.approx(
        film["highest_ratio"] * film["defect_since"] / film["normal_since"], rel=0.01)


def test_a_ledger_without_runs_leaves_the_tables_alone(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no complete run"):
        write_extracts(tmp_path / "runs", tmp_path)
    assert list(tmp_path.glob("*.csv")) == []
