"""Words on the terminal, with the time since the start."""

import sys
import time

_started = time.monotonic()


def say(words):
    """Says what is being done now."""
    seconds = int(time.monotonic() - _started)
    print(f"{seconds // 60:3}:{seconds % 60:02}  {words}", flush=True)


def warn(words):
    """Says what went wrong, on standard error."""
    print(words, file=sys.stderr, flush=True)


def elapsed():
    """Seconds since the start."""
    return time.monotonic() - _started
