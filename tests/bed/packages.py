"""The repository that the machines of a bed install from."""

import os
import pathlib
import shutil
import subprocess

from .host import CACHE, TOP, Failed

# Keys of the bed's own: those of a real repository are not touched.
_KEY = CACHE / "key"


def tool(name, *words, **environment):
    """Runs a script of repo/, showing its words."""
    done = subprocess.run(
        [str(TOP / "repo" / name), *map(str, words)],
        stdin=subprocess.DEVNULL,
        env=os.environ | {"GUIFI_REPO_KEY": str(_KEY)} | environment,
        check=False,
    )
    if done.returncode:
        raise Failed(f"repo/{name} ended with status {done.returncode}")


def own(name):
    """The name of a repository of this run, which others that run beside it do not touch."""
    return f"runs/{os.getpid()}/{name}"


def tidy():
    """Removes the repositories of this run, and of those that have died."""
    for run in CACHE.glob("runs/*"):
        if run.name == str(os.getpid()) or not pathlib.Path("/proc", run.name).exists():
            shutil.rmtree(run, ignore_errors=True)


def build(name):
    """Builds the packages into a repository of the cache; returns its directory."""
    given = os.environ.get("GUIFI_TEST_REPOSITORY")
    if given:
        return pathlib.Path(given)
    directory = CACHE / name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    tool("build", "--out", directory)
    return directory


def next_version(directory, suffix):
    """Adds the same packages under a higher version: what is compiled is compiled once."""
    built = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", TOP / "target")) / "release"
    reuse = {"GUIFI_BINARIES": str(built)} if (built / "guifi-peerd").exists() else {}
    tool("build", "--out", directory, "--suffix", suffix, **reuse)


def copy(repository, name):
    """A copy that a test may change."""
    directory = CACHE / own(name)
    shutil.copytree(repository, directory, symlinks=True)
    return directory


def version(repository, package="guifi-common"):
    """The newest version of a package in the repository."""
    files = sorted(repository.glob(f"pool/guifi/*/{package}_*.deb"), key=lambda path: path.stat().st_mtime)
    if not files:
        raise Failed(f"{repository} has no package {package}")
    return files[-1].name.split("_")[1]
