"""The demo as a module; examples are scripts, which no package holds."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "examples" / "demo.py"
_NAME = "docbus_demo"


def load_demo() -> Any:
    """Return a new module of the demo."""
    spec = importlib.util.spec_from_file_location(_NAME, DEMO)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Where dataclasses look for the names in their annotations.
    sys.modules[_NAME] = module
    spec.loader.exec_module(module)
    return module
