"""The tests here share the fakes of the tests of owners."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "owner"))
