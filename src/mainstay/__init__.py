"""Accuracy and performance regression gates with a stated error rate.

The package never imports torch or the reference model, and importing it loads nothing heavy.
"""

from importlib.metadata import version

__version__ = version("mainstay")
__all__ = ["__version__"]
