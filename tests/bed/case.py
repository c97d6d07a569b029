"""What a test file imports: checks in words, and running the file alone."""

import sys

from .bed import Bed, eventually, together
from .host import Failed, run
from .node import Node
from .runner import Skipped, alone
from .say import say

__all__ = ["Bed", "Failed", "Node", "Skipped", "check", "equal", "eventually", "main", "run", "say", "together"]


def check(truth, words):
    """Fails with these words unless it is true."""
    if not truth:
        raise Failed(words)


def equal(found, expected, what):
    """Fails unless both are equal."""
    if found != expected:
        raise Failed(f"{what}:\nfound    {found!r}\nexpected {expected!r}")


def main(name, path):
    """At the end of each test file: `main(__name__, __file__)`."""
    if name == "__main__":
        sys.exit(alone(path))
