"""Root file systems of Debian, made once and kept in the cache."""

import fcntl
import hashlib
import os
import shutil

from .host import CACHE, run
from .say import say

RELEASES = ("bookworm", "trixie")

MIRROR = "http://deb.debian.org/debian"

# All that our packages depend on or recommend is in the base, so that no test needs a
# network; and the programs that know nothing of us, with which tests look at boxes.
INCLUDE = (
    "systemd systemd-sysv dbus libpam-systemd avahi-daemon avahi-utils libnss-mdns libsqlite3-0 "
    "iproute2 iputils-ping nftables procps curl bind9-dnsutils lighttpd socat libfaketime debconf "
    "man-db python3-minimal"
).split()

# No terminal, no devices, no periodic work of Debian's own, no web server unasked.
MASKED = (
    "console-getty.service getty@tty1.service getty-static.service systemd-udevd.service "
    "systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-networkd-wait-online.service "
    "apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer "
    "man-db.timer e2scrub_reap.service"
).split()

# Also after apt's own cleaning nothing may point to the network.
_FINISH = """
rm -f "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/* "$1"/etc/resolv.conf
rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin
: >"$1"/etc/machine-id
mkdir -p "$1"/var/log/journal "$1"/srv/guifi
rm -f "$1"/etc/systemd/system/multi-user.target.wants/lighttpd.service
for unit in UNITS; do ln -sf /dev/null "$1"/etc/systemd/system/$unit; done
"""


# Name servers that follow ours, that ours follows and that stand behind ours, and programs that
# ask, change and judge.
SERVERS = ("bind9", "knot", "nsd", "unbound", "bind9-dnsutils", "knot-dnsutils", "dnsviz", "zonemaster-cli")


def _recipe(release, include):
    return [
        "mmdebstrap", "--quiet", "--format=directory", "--mode=root", "--variant=minbase",
        f"--include={','.join(include)}", f"--customize-hook={_FINISH.replace('UNITS', ' '.join(MASKED))}",
        release,
    ]  # fmt: skip


def base(release):
    """The directory with the root file system of a release; makes it if need be."""
    return _made("base", release, INCLUDE)


def servers(release):
    """The same with name servers, none of which is started, and with programs that ask them."""
    return _made("servers", release, SERVERS)


def _made(name, release, include):
    recipe = _recipe(release, include)
    key = hashlib.sha256(repr(recipe).encode()).hexdigest()[:12]
    directory = CACHE / f"{name}-{release}-{key}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if directory.is_dir():
            return directory
        for old in CACHE.glob(f"{name}-{release}-*"):
            _remove(old)
        say(f"making a root file system of Debian {release} (once): {name}")
        fresh = CACHE / f"new-{release}"
        _remove(fresh)
        mirror = os.environ.get("GUIFI_BED_MIRROR", MIRROR)
        run(*recipe, fresh, f"deb {mirror} {release} main", timeout=1800)
        fresh.rename(directory)
    return directory


def _remove(directory):
    if directory.exists():
        shutil.rmtree(directory, ignore_errors=True)


def clean():
    """Removes everything that is cached."""
    _remove(CACHE)
