"""Exit codes of ``smartlive-sandbox``, for scripts."""

from __future__ import annotations

OK = 0

#: The sandbox, a receiver or a job said no.
FAILED = 1

#: Wrong arguments, or a file that cannot be used; argparse's own code.
USAGE = 2

#: There is no sandbox at the URL.
UNREACHABLE = 3
