"""What the host must have, and running commands on it."""

import os
import pathlib
import pwd
import subprocess

from .say import say

TOP = pathlib.Path(__file__).resolve().parents[2]
"""The checkout."""

CACHE = pathlib.Path("/var/cache/guifi-bed")
"""Root file systems and repositories; may be removed at any time."""

STATE = pathlib.Path("/var/lib/guifi-bed")
"""Running beds, one directory each."""

PACKAGES = (
    "lxc mmdebstrap debian-archive-keyring iproute2 nftables dnsmasq-base tcpdump procps "
    "util-linux gnupg apt-utils"
)
"""What a bed needs of Debian."""


class Failed(Exception):
    """A command ended with an error, or something that was awaited did not come."""


def run(*words, check=True, timeout=600, **more):
    """Runs a command; returns its standard output without the last new line."""
    done = subprocess.run(
        [str(word) for word in words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        timeout=timeout,
        **more,
    )
    if check and done.returncode:
        raise Failed(f"{' '.join(map(str, words))}: status {done.returncode}\n{done.stderr or done.stdout}".rstrip())
    return done.stdout.rstrip("\n")


def need(*packages):
    """Installs the packages that are missing, and says so."""
    state = run("dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *packages, check=False)
    there = {line.split()[0] for line in state.splitlines() if line.endswith(" installed")}
    missing = [name for name in packages if name not in there]
    if not missing:
        return
    say(f"installing {' '.join(missing)}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LXC_DHCP": "no"}
    install = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", *missing]
    try:
        run(*install, env=environment, timeout=900)
    except Failed:
        run("apt-get", "update", "-qq", timeout=300)
        run(*install, env=environment, timeout=900)


def need_bed():
    """Installs what a bed needs."""
    need(*PACKAGES.split())


def owner():
    """The owner of the checkout: builds run as him, also under sudo."""
    return pwd.getpwuid(TOP.stat().st_uid)


def as_owner(words, **environment):
    """The command with which root runs `words` as the owner of the checkout."""
    person = owner()
    path = f"{person.pw_dir}/.cargo/bin:{os.environ.get('PATH', '')}"
    if person.pw_uid in (0, os.getuid()):
        # Root's own compiler, or already the right person.
        pairs = [f"PATH={path}"]
        prefix = ["env"]
    else:
        pairs = [f"PATH={path}", f"HOME={person.pw_dir}"]
        prefix = ["runuser", "-u", person.pw_name, "--", "env"]
    pairs += [f"{name}={value}" for name, value in environment.items()]
    return [*prefix, *pairs, *words]
