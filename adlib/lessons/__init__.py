"""What single lessons use, with their figures (`plots`) and exercises; a module says which lesson it belongs to."""

__all__ = ["TEACHERS", "ablations", "appearance", "effects", "exercises", "failures", "feature_space",
           "paper_comparison", "plots", "pretraining", "protocols", "psychometrics", "quotes", "reference",
           "resolution", "selection_bias"]
TEACHERS = "data/teachers/{backbone}-{dataset}.pt"      # relative, so that a run has the same identity everywhere
