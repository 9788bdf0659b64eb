"""The tests, in the order of the reading; those of the repository as a whole stand here."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
