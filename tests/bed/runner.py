"""Runs system tests: files tests/X-behaviour.py, each with one function `test`.

A file says in NEEDS what its test gets:
    "host"  nothing but the repository (class Tools)
    "bed"   an empty bed with a repository
    "town"  the joined town; shared by all such tests of a run, repaired after each
and may say TIMEOUT (seconds, 180 otherwise) and LONG (only with --long).
"""

import importlib.util
import pathlib
import signal
import sys
import tempfile
import time
import traceback

from .bed import Bed, sweep
from .host import TOP, Failed, need_bed
from .packages import build, own, tidy
from .say import say, warn
from .town import Town, diagnose


class Skipped(Exception):
    """The test cannot run here, and why."""


class Context:
    """What tests share: the repository, the town, the logs, and whether this is a long run."""

    def __init__(self, long=False):
        self.long = long
        self.passed = self.failed = self.skipped = 0
        self.logs = pathlib.Path(tempfile.mkdtemp(prefix="guifi-tests-"))
        self._repository = None
        self._town = None

    @property
    def repository(self):
        """The packages of this checkout, built once a run."""
        if self._repository is None:
            need_bed()
            self._repository = build(own("test-repository"))
        return self._repository

    def town(self):
        """The joined town, made when it is first needed."""
        if isinstance(self._town, Exception):
            raise Failed(f"the town could not be made: {self._town}")
        if self._town is None:
            say("-- making the town: boxes on three links, a router, a NAT")
            town = Town(self.repository)
            town.bed.log_to(self.logs / "town.log")
            try:
                town.boot()
                town.install()
                town.join()
            except BaseException as error:
                (self.logs / "town-boxes.log").write_text(diagnose(town), encoding="utf-8")
                town.close()
                if isinstance(error, Exception):
                    self._town = error
                raise
            say("-- the town stands")
            self._town = town
        return self._town

    def drop_town(self):
        """Takes the shared town down."""
        if isinstance(self._town, Town):
            self._town.close()
        self._town = None

    def report(self, outcome, name, seconds, why=""):
        """One line for a test, and the count."""
        word = {"passed": "ok  ", "failed": "FAIL", "skipped": "skip"}[outcome]
        setattr(self, outcome, getattr(self, outcome) + 1)
        say(f"{word}  {name}  {seconds:.1f} s" + (f": {why}" if why else ""))

    def finish(self):
        """The last line; returns the exit status."""
        self.drop_town()
        tidy()
        if self.failed:
            warn(f"logs: {self.logs}")
        else:
            for log in self.logs.iterdir():
                log.unlink()
            self.logs.rmdir()
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped", flush=True)
        return 1 if self.failed else 0

    def run(self, name, body):
        """Runs something as one test of this name."""
        begin = time.monotonic()
        try:
            body()
        except Skipped as reason:
            self.report("skipped", name, time.monotonic() - begin, str(reason))
        except Exception as error:  # whatever a test raises is its failure
            trace = traceback.format_exc()
            with open(self.logs / f"{name}.log", "a", encoding="utf-8") as log:
                log.write(trace)
            lines = str(error).splitlines() or [type(error).__name__]
            self.report("failed", name, time.monotonic() - begin, lines[0])
            for line in lines[1:30]:
                warn(f"          {line}")
        else:
            self.report("passed", name, time.monotonic() - begin)


class Tools:
    """What a test without machines gets."""

    def __init__(self, context):
        self.repository = context.repository
        self.long = context.long


def _alarm(_signal, _frame):
    raise Failed("not finished within its time")


def load(path):
    """A test file as a module."""
    spec = importlib.util.spec_from_file_location(path.stem.replace("-", "_"), path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def matches(pattern, name):
    """Whether a filter means this test: it begins with it, at a word of its name."""
    return f"-{name}".find(f"-{pattern}") >= 0


def tests(pattern=""):
    """The test files that a filter means: without machines first, town last."""
    found = [path for path in sorted((TOP / "tests").glob("*-*.py")) if matches(pattern, path.stem)]
    order = {"host": 0, "bed": 1, "town": 2}
    loaded = [(path.stem, load(path)) for path in found]
    return sorted(loaded, key=lambda pair: order[pair[1].NEEDS])


def run_test(context, name, module):
    """Runs one test file with what it needs."""

    def body():
        if getattr(module, "LONG", False) and not context.long:
            raise Skipped("only with --long")
        if module.NEEDS == "host":
            _limited(module, Tools(context))
        elif module.NEEDS == "bed":
            repository = context.repository
            with Bed() as bed:
                bed.repository = repository
                bed.long = context.long
                bed.log_to(context.logs / f"{name}.commands.log")
                try:
                    _limited(module, bed)
                except Exception:
                    _journals(context, name, bed)
                    raise
        else:
            _in_town(context, name, module)

    context.run(name, body)


def _limited(module, argument):
    signal.signal(signal.SIGALRM, _alarm)
    signal.alarm(getattr(module, "TIMEOUT", 180))
    try:
        module.test(argument)
    finally:
        signal.alarm(0)


def _in_town(context, name, module):
    town = context.town()
    town.long = context.long
    try:
        _limited(module, town)
    except Exception:
        _journals(context, name, town.bed)
        (context.logs / f"{name}.boxes.log").write_text(diagnose(town), encoding="utf-8")
        raise
    finally:
        try:
            town.repair()
        except Failed as error:
            # The next test gets a new one.
            warn(f"          the town is beyond repair: {error}")
            context.drop_town()


def _journals(context, name, bed):
    for node in bed.nodes.values():
        log = context.logs / f"{name}.{node}.journal"
        log.write_text(f"{node.console()}\n{node.journal(lines=400)}", encoding="utf-8")


def alone(path):
    """A test file called as a program."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sweep()
    context = Context(long="--long" in sys.argv)
    status = 1
    try:
        run_test(context, pathlib.Path(path).stem, load(pathlib.Path(path)))
    finally:
        status = context.finish()
    return status
