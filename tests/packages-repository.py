#!/usr/bin/python3
"""The repository: signed, never rewritten, keys rotate, and APT refuses what is altered."""

import os
import pathlib
import shutil
import tempfile

from bed.case import Failed, check, main, run
from bed.host import TOP

NEEDS = "host"

APT = """Dir::Etc "{dir}";
Dir::Etc::sourcelist "{dir}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State "{dir}/state";
Dir::State::status "{dir}/state/status";
Dir::Cache "{dir}/cache";
APT::Sandbox::User "root";
APT::Update::Post-Invoke {{}};
APT::Update::Post-Invoke-Success {{}};
"""


def _fails(*words, env):
    try:
        run(*words, env=env)
    except Failed as error:
        return str(error)
    raise Failed(f"{' '.join(map(str, words))}: this should be refused")


def test(tools):
    """Works on a copy, with a key of its own."""
    with tempfile.TemporaryDirectory(prefix="guifi-repository-") as name:
        work = pathlib.Path(name)
        env = os.environ | {"GUIFI_REPO_KEY": str(work / "key")}
        out = work / "out"
        packages = sorted(tools.repository.glob("pool/guifi/*/*_0.1.0_*.deb")) or sorted(tools.repository.glob("pool/guifi/*/*.deb"))
        run(TOP / "repo/publish", out, *packages, env=env)
        _signed(out, work / "key")
        run(TOP / "repo/publish", out, *packages, env=env)

        _refuses_other_content(work, out, packages[0], env)
        config = _apt(work, out)
        _renewed(out, env, config)
        _rotates(out, packages, env, config)
        _altered(out, config)


def _signed(out, key):
    run("gpgv", "--keyring", out / "guifi-archive-keyring.gpg", out / "dists/guifi/InRelease")
    run("gpgv", "--keyring", out / "guifi-archive-keyring.gpg", out / "dists/guifi/Release.gpg", out / "dists/guifi/Release")
    check(key.stat().st_mode & 0o777 == 0o700, "others can read the keys")
    for index in ("SHA256", "SHA512"):
        check(any((out / f"dists/guifi/main/binary-amd64/by-hash/{index}").iterdir()), f"no by-hash/{index}")


def _refuses_other_content(work, out, package, env):
    tree = work / "tree"
    run("dpkg-deb", "-R", package, tree)
    (tree / "usr/share/doc/other").parent.mkdir(parents=True, exist_ok=True)
    (tree / "usr/share/doc/other").write_text("other content\n", encoding="ascii")
    other = work / package.name
    run("dpkg-deb", "--root-owner-group", "-b", tree, other)
    before = (out / "dists/guifi/InRelease").read_bytes()
    reason = _fails(TOP / "repo/publish", out, other, env=env)
    check("published already" in reason, f"the reason is not said: {reason}")
    check((out / "dists/guifi/InRelease").read_bytes() == before, "a refused package has changed the index")


def _apt(work, out):
    directory = work / "apt"
    for part in ("state/lists/partial", "cache/archives/partial"):
        (directory / part).mkdir(parents=True)
    (directory / "state/status").touch()
    source = f"deb [signed-by={work}/trusted.gpg] file:{out} guifi main\n"
    (directory / "sources.list").write_text(source, encoding="utf-8")
    (directory / "apt.conf").write_text(APT.format(dir=directory), encoding="utf-8")
    shutil.copy(out / "guifi-archive-keyring.gpg", work / "trusted.gpg")
    return os.environ | {"APT_CONFIG": str(directory / "apt.conf")}


def _update(config):
    run("apt-get", "update", "-o", "APT::Update::Error-Mode=any", env=config)


def _renewed(out, env, config):
    release = out / "dists/guifi/Release"
    before = release.read_text(encoding="utf-8")
    check("Valid-Until" not in before, "an index ends by itself unasked")
    run(TOP / "repo/publish", "--valid", "7", out, env=env)
    after = release.read_text(encoding="utf-8")
    check("Valid-Until: " in after, "the renewed index has no end")
    check(before[before.index("SHA256:") :] == after[after.index("SHA256:") :], "renewing has changed the packages")
    _update(config)
    reason = _fails(TOP / "repo/publish", "--valid", "soon", out, env=env)
    check("number of days" in reason, f"not for the number: {reason}")


def _rotates(out, packages, env, config):
    _update(config)
    old = run(TOP / "repo/key", "fingerprints", env=env)
    run(TOP / "repo/key", "rotate", env=env)
    run(TOP / "repo/publish", out, packages[0], env=env)
    _update(config)  # with the old keyring only
    trusted = out.parent / "trusted.gpg"
    shutil.copy(out / "guifi-archive-keyring.gpg", trusted)
    run(TOP / "repo/key", "retire", old, env=env)
    run(TOP / "repo/publish", out, packages[0], env=env)
    _update(config)  # with the keyring that had both
    check(run(TOP / "repo/key", "fingerprints", env=env) != old, "the old key still signs")


def _altered(out, config):
    release = out / "dists/guifi/InRelease"
    text = release.read_text(encoding="utf-8")
    release.write_text(text.replace("Components: main", "Components: evil"), encoding="utf-8")
    reason = _fails("apt-get", "update", "-o", "APT::Update::Error-Mode=any", env=config)
    check("BADSIG" in reason or "invalid" in reason.lower(), f"not for the signature: {reason}")


main(__name__, __file__)
