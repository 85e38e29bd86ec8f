"""Where the model is that ships with the project: a small one, made by `streams/shipped.py`."""

from pathlib import Path

SHIPPED = Path(__file__).resolve().parents[1] / "models" / "shipped"
"""Its directory."""
