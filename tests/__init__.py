"""The tests mirror the package; what several of them share is in the modules of this folder."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
