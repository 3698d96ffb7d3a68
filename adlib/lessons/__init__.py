"""What single lessons use, with their figures (`plots`) and exercises; a module says which lesson it belongs to."""

__all__ = ["ablations", "appearance", "exercises", "failures", "feature_space", "paper_comparison", "plots",
           "pretraining", "protocols", "psychometrics", "selection_bias"]
