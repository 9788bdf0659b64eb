"""A training needs more than its step: batches, a folder, checkpoints, pictures, options."""

# isort: off
from minigrad.training.batches import Batches
from minigrad.training.checkpoint import CheckpointError, load, save
from minigrad.training.folder import Abort
from minigrad.training.options import Parser, at_least, clean_exit, folder_path, resumes
from minigrad.training.report import (
    figure, peak_memory, print_table, save_animation, save_curves, save_grid, save_scatter,
)  # fmt: skip
from minigrad.training.run import Iteration, Run
from minigrad.training.several import repeat, show
from minigrad.training.signals import Interrupted
# isort: on

__all__ = [
    "Abort", "Batches", "CheckpointError", "Interrupted", "Iteration", "Parser", "Run",
    "clean_exit", "figure", "folder_path", "load", "peak_memory", "print_table",
    "repeat", "resumes", "save", "save_animation", "save_curves", "save_grid", "save_scatter",
    "show", "at_least",
]  # fmt: skip
