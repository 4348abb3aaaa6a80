"""Shared by all tests: the tests' own helpers are importable, and tests never write into _build/results."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
