"""All that must hold before a change is accepted: sources, packages, behaviour."""

import argparse
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib

from .base import clean
from .bed import sweep
from .host import TOP, Failed, as_owner, need, owner, run
from .runner import Context, Skipped, matches, run_test, tests
from .say import say

CEILING = 2.0
"""How exposed a unit may be, by systemd-analyze; exceptions in systemd/exposure.toml."""


_PATIENCE = 1800
"""Seconds that one command may take: what hangs must not hold up the rest."""


def _output(context, name, words, **more):
    """Runs a command with its output in a log; fails with the end of it."""
    log = context.logs / f"{name}.log"
    with open(log, "w", encoding="utf-8") as file:
        try:
            done = subprocess.run(
                words, stdin=subprocess.DEVNULL, stdout=file, stderr=file, check=False, timeout=_PATIENCE, **{"cwd": TOP, **more}
            )
        except subprocess.TimeoutExpired:
            raise Failed(f"no end within {_PATIENCE} s: {log.read_text(errors='replace')[-2000:]}") from None
    text = log.read_text(encoding="utf-8", errors="replace")
    if done.returncode:
        raise Failed(f"status {done.returncode}\n" + "\n".join(text.splitlines()[-25:]))
    return text


def _cargo(context, name, *words, **environment):
    return _output(context, name, as_owner(["cargo", *words], **environment))


def formatting(context):
    """cargo fmt"""
    _cargo(context, "source-format", "fmt", "--all", "--check")


def clippy(context):
    """cargo clippy; in the release profile, which shares its work with the build."""
    _cargo(context, "source-clippy", "clippy", "--release", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings")


def dependencies(context):
    """cargo deny"""
    if not (TOP / ".deny.toml").exists():
        raise Skipped("there is no .deny.toml")
    try:
        run(*as_owner(["cargo", "deny", "--version"]))
    except Failed:
        raise Skipped("cargo-deny is not installed") from None
    # The advisories are a database of their own, which must have been fetched: cargo deny fetch.
    checks = ["bans", "licenses", "sources"]
    if any(pathlib.Path(owner().pw_dir, ".cargo").glob("advisory-db*/*")):
        checks.append("advisories")
    else:
        say("      without advisories: their database is not here (cargo deny fetch)")
    _cargo(context, "source-dependencies", "deny", "--offline", "--config", ".deny.toml", "check", *checks)


def scripts(context):
    """shellcheck and the Python compiler"""
    need("shellcheck")
    candidates = [path for folder in ("repo", "tests", "lxc-templates", "debian", ".ci", "systemd") for path in (TOP / folder).rglob("*")]
    shell = [path for path in candidates if path.is_file() and _is_shell(path)]
    # Sourced files are looked up beside the script; debconf belongs to Debian.
    _output(context, "source-scripts", ["shellcheck", "-x", "-P", "SCRIPTDIR", "-e", "SC1091,SC2119", *map(str, shell)])
    for path in (TOP / "tests").rglob("*.py"):
        compile(path.read_text(encoding="utf-8"), str(path), "exec")


def _is_shell(path):
    with open(path, "rb") as file:
        return re.match(rb"#!\s*/bin/(ba)?sh|# shellcheck shell", file.readline() + file.readline()) is not None or (
            path.parent.name == "debian" and path.suffix in (".postinst", ".prerm", ".postrm", ".preinst", ".config")
        )


def manuals(context):
    """mandoc -T lint"""
    need("mandoc")
    pages = sorted(str(page) for page in (TOP / "man").glob("*.[1-9]"))
    if not pages:
        raise Failed("there are no manuals")
    _output(context, "source-manuals", ["mandoc", "-T", "lint", "-W", "warning", *pages])


def units(context):
    """systemd-analyze security"""
    need("systemd")
    exceptions = {}
    if (TOP / "systemd/exposure.toml").exists():
        exceptions = tomllib.loads((TOP / "systemd/exposure.toml").read_text(encoding="utf-8"))
    found = sorted((TOP / "systemd").glob("*.service"))
    if not found:
        raise Failed("there are no units")
    for unit in found:
        ceiling = exceptions.get(unit.name, {}).get("ceiling", CEILING)
        words = ["systemd-analyze", "security", "--no-pager", "--offline=yes", f"--threshold={round(ceiling * 10)}", str(unit)]
        try:
            _output(context, "source-units", words)
        except Failed as error:
            raise Failed(f"{unit.name} is more exposed than {ceiling}\n{error}") from None


def firewall(context):
    """nft --check of the rules for those who filter"""
    need("nftables")
    text = (TOP / "systemd/usr/share/guifi/nftables/common.nft").read_text(encoding="utf-8")
    # The example in the comment is what is checked, with the rules of the sources.
    example = re.search(r"^#   table .*?^#   }$", text, re.MULTILINE | re.DOTALL)[0].replace("#", "")
    with tempfile.NamedTemporaryFile("w", suffix=".nft") as file:
        file.write(example.replace("/usr/share", str(TOP / "systemd/usr/share")) + "\n")
        file.flush()
        _output(context, "source-firewall", ["unshare", "--net", "nft", "--check", "--file", file.name])


def packages(context):
    """repo/build"""
    assert context.repository


def lintian(context):
    """lintian, as an ordinary user, without errors or warnings"""
    need("lintian")
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        for package in context.repository.glob("pool/guifi/*/*.deb"):
            shutil.copy(package, directory)
        names = sorted(str(path) for path in pathlib.Path(directory).glob("*.deb"))
        words = ["runuser", "-u", "nobody", "--", "env", f"HOME={directory}", "lintian", "--fail-on", "error,warning", *names]
        # The checkout may be closed to others.
        _output(context, "packages-lintian", words, cwd=directory)


def cargo_tests(context):
    """cargo test; its own counts are added up."""
    name = "source-tests"
    log = context.logs / f"{name}.log"
    more = ["--", "--include-ignored"] if context.long else []
    # The tests themselves look whether they are to take long.
    environment = {"GUIFI_LONG": "1"} if context.long else {}
    words = as_owner(["cargo", "test", "--release", "--locked", "--workspace", "--no-fail-fast", *more], **environment)
    with open(log, "w", encoding="utf-8") as file:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd=TOP, check=False)
    text = log.read_text(encoding="utf-8", errors="replace")
    passed = failed = skipped = 0
    for line in re.finditer(r"^test result: .*?(\d+) passed; (\d+) failed; (\d+) ignored", text, re.MULTILINE):
        passed, failed, skipped = passed + int(line[1]), failed + int(line[2]), skipped + int(line[3])
    for line in re.findall(r"^test (.*) \.\.\. FAILED$", text, re.MULTILINE):
        say(f"FAIL  {line}")
    context.passed += passed
    context.failed += failed
    context.skipped += skipped
    say(f"      {passed} tests of the crates passed, {failed} failed, {skipped} ignored")
    if done.returncode and not failed:
        raise Failed(f"cargo test: status {done.returncode}\n" + "\n".join(text.splitlines()[-25:]))


STAGES = (
    ("source-format", formatting),
    ("source-scripts", scripts),
    ("source-manuals", manuals),
    ("source-units", units),
    ("source-firewall", firewall),
    ("source-dependencies", dependencies),
    ("packages-build", packages),
    ("packages-lintian", lintian),
    ("source-clippy", clippy),
    ("source-tests", cargo_tests),
)


def _list(chosen, system):
    for name, stage in chosen:
        print(f"{name:32} {(stage.__doc__ or '').splitlines()[0]}")
    for name, module in system:
        print(f"{name:32} {module.__doc__.splitlines()[0]}")


def main():
    """Command line of tests/run."""
    parser = argparse.ArgumentParser(prog="tests/run", description="Runs all tests, or those with a word of their name that begins with FILTER.")
    parser.add_argument("--long", action="store_true", help="also soak, big fuzz runs, big simulations, kill series")
    parser.add_argument("--list", action="store_true", help="only list the tests")
    parser.add_argument("--clean", action="store_true", help="remove cached root file systems and repositories first")
    parser.add_argument("filter", nargs="?", default="", metavar="FILTER")
    options = parser.parse_args()
    chosen = [(name, stage) for name, stage in STAGES if matches(options.filter, name)]
    system = tests(options.filter)
    if options.list:
        _list(chosen, system)
        return 0
    if not chosen and not system:
        parser.error(f"no test is called like {options.filter}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sweep()
    if options.clean:
        clean()
    # What the tests of the crates need: a bus daemon of their own, and the build.
    need("build-essential", "pkg-config", "libsqlite3-dev", "libssl-dev", "dbus-daemon")
    context = Context(options.long)
    status = 1
    try:
        for name, stage in chosen:
            say(f"--    {name}: {(stage.__doc__ or '').splitlines()[0]}")
            context.run(name, lambda stage=stage: stage(context))
        for name, module in system:
            say(f"--    {name}: {module.__doc__.splitlines()[0]}")
            run_test(context, name, module)
    finally:
        status = context.finish()
    return status


if __name__ == "__main__":
    sys.exit(main())
