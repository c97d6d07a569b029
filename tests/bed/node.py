"""A node: a Debian machine, booted with systemd in a container, on one link."""

import json
import re
import shlex
import shutil
import signal
import subprocess
import time

from .base import base
from .host import Failed, run

_CONFIG = """
lxc.include = /usr/share/lxc/config/common.conf
lxc.include = /usr/share/lxc/config/nesting.conf
lxc.rootfs.path = dir:{merged}
lxc.uts.name = {name}
lxc.namespace.share.net = {anchor}
lxc.apparmor.profile = unconfined
lxc.tty.max = 0
lxc.mount.auto =
lxc.mount.auto = proc:mixed sys:mixed cgroup:rw:force
lxc.cgroup.devices.allow = c 10:200 rwm
lxc.cgroup2.devices.allow = c 10:200 rwm
lxc.mount.entry = /dev/net/tun dev/net/tun none bind,create=file,optional 0 0
lxc.mount.entry = /dev/fuse dev/fuse none bind,create=file,optional 0 0
"""

_ENVIRONMENT = "PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive".split()

_SOURCE = """Types: deb
URIs: file:/srv/guifi
Suites: guifi
Components: main
Signed-By: /etc/apt/keyrings/guifi-archive-keyring.gpg
"""


class Node:
    """A machine of a bed. `name` is its host name, `address` and `address6` its addresses."""

    def __init__(self, bed, name, release, link, host, repository=None, router=1):
        self.bed = bed
        self.name = name
        self.release = release
        self.link = link
        self.repository = repository
        self.address, self.address6 = link.addresses(host)
        self.directory = bed.directory / name
        self.merged = self.directory / "merged"
        self.namespace = bed.network.namespace(name)
        bed.network.cable(self.namespace, link, name, host=host)
        bed.network.default_route(self.namespace, link, router)
        self._anchor = subprocess.Popen(  # keeps the namespace while the machine is off
            ["nsenter", f"--net=/run/netns/{self.namespace}", "sleep", "infinity"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        self._make()

    def __str__(self):
        return self.name

    def _make(self):
        for part in ("upper", "work", "merged"):
            (self.directory / part).mkdir(parents=True, exist_ok=True)
        # Without `volatile` each unmounting writes out the whole disk of the host.
        shutil.rmtree(self.directory / "work" / "work", ignore_errors=True)
        layers = f"lowerdir={base(self.release)},upperdir={self.directory / 'upper'},workdir={self.directory / 'work'}"
        run("mount", "-t", "overlay", "overlay", "-o", f"{layers},volatile", self.merged)
        etc = self.merged / "etc"
        (etc / "hostname").write_text(f"{self.name}\n", encoding="ascii")
        (etc / "hosts").write_text(f"127.0.0.1\tlocalhost\n127.0.1.1\t{self.name}\n::1\tlocalhost\n", encoding="ascii")
        (etc / "resolv.conf").write_text(f"nameserver {self.bed.resolver}\n", encoding="ascii")
        config = _CONFIG.format(merged=self.merged, name=self.name, anchor=self._anchor.pid)
        if self.repository:
            config += f"lxc.mount.entry = {self.repository} srv/guifi none bind,ro,create=dir 0 0\n"
            # Not where the keyring package puts it: that goes when the package goes.
            keyring = etc / "apt/keyrings/guifi-archive-keyring.gpg"
            keyring.parent.mkdir(exist_ok=True)
            shutil.copyfile(self.repository / "guifi-archive-keyring.gpg", keyring)
            (etc / "apt/sources.list.d/guifi.sources").write_text(_SOURCE, encoding="ascii")
        (self.directory / "config").write_text(config, encoding="utf-8")

    def _lxc(self, program, *words, **more):
        return run(program, "-P", self.bed.directory, "-n", self.name, *words, **more)

    def start(self, deadline=90):
        """Boots the machine and waits until systemd has started everything."""
        self._lxc("lxc-start", "-d", "-o", self.directory / "lxc.log", "-L", self.directory / "console.log")
        state = "silent"
        end = time.monotonic() + deadline
        while time.monotonic() < end:
            # The bus may not be there in the first moments.
            state = self.run("systemctl is-system-running --wait", check=False, timeout=deadline).stdout.strip()
            if state == "running":
                return self
            if state == "degraded":
                raise Failed(f"{self}: units have failed:\n{self.sh('systemctl --failed --no-legend')}")
            time.sleep(0.1)
        raise Failed(f"{self} has not booted in {deadline} s: {state}\n{self.console()}")

    def crash(self):
        """The power goes: everything dies at once; disk, cable and address stay."""
        self._lxc("lxc-stop", "-k", check=False)

    def stop(self):
        """Shuts the machine down properly."""
        self._lxc("lxc-stop", "-t", "20")

    def console(self):
        """The last words on the console."""
        log = self.directory / "console.log"
        return "".join(log.read_text(errors="replace").splitlines(True)[-15:]) if log.exists() else ""

    def command(self, words, user=None, environment=()):
        """The command line with which the host runs a shell command in the node."""
        variables = [part for pair in (*_ENVIRONMENT, *environment) for part in ("-v", pair)]
        if user:
            words = f"exec runuser -u {user} -- sh -c {shlex.quote(words)}"
        return [
            "lxc-attach", "-P", str(self.bed.directory), "-n", self.name,
            "--clear-env", *variables, "--", "sh", "-c", f"cd /; {words}",
        ]  # fmt: skip

    def run(self, words, check=True, timeout=60, user=None, environment=()):
        """Runs a shell command; returns status, standard output and standard error."""
        command = ["timeout", "-k", "5", str(timeout), *self.command(words, user, environment)]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
        )
        self.bed.log(f"{self.name}$ {words}", done)
        if check and done.returncode:
            reason = "no end within its time" if done.returncode == 124 else f"status {done.returncode}"
            raise Failed(f"{self}: {words}: {reason}\n{done.stdout[-2000:]}{done.stderr[-2000:]}".rstrip())
        return done

    def sh(self, words, **more):
        """Runs a shell command and returns what it prints."""
        return self.run(words, **more).stdout.rstrip("\n")

    def ok(self, words, **more):
        """Runs a shell command and tells whether it succeeds."""
        return self.run(words, check=False, **more).returncode == 0

    def json(self, words, **more):
        """Runs a shell command and reads the JSON document that it prints."""
        return json.loads(self.sh(words, **more))

    def lines(self, words, **more):
        """Runs a shell command and reads the JSON documents that it prints, one a line."""
        return [json.loads(line) for line in self.sh(words, **more).splitlines()]

    def write(self, path, text, mode=0o644):
        """Writes a file on the machine."""
        target = self.merged / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        target.chmod(mode)

    def install(self, *packages, deadline=300, preseed=""):
        """Installs packages from the repository, through APT, without asking."""
        if preseed:
            self.write("/root/preseed", preseed)
            self.sh("debconf-set-selections /root/preseed")
        self.sh("apt-get -qq update -o APT::Update::Error-Mode=any", timeout=deadline)
        options = "-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold"
        return self.run(f"apt-get -qq -y {options} install {' '.join(packages)} 2>&1", timeout=deadline).stdout

    def unit_pid(self, unit):
        """The main process of a unit, 0 if there is none."""
        return int(self.sh(f"systemctl show -P MainPID {unit}"))

    def kill(self, unit, number=signal.SIGKILL):
        """Kills the main process of a unit."""
        self.sh(f"systemctl kill --kill-who=main -s {int(number)} {unit}")

    def journal(self, unit=None, lines=40):
        """The last lines of the journal, also if the machine is off."""
        which = ["-u", unit] if unit else []
        # The host may have no journalctl, the machine has.
        words = ["journalctl", "--no-pager", "-D", "/var/log/journal", "-o", "short-iso-precise", "-n", lines, *which]
        return run("chroot", self.merged, *words, check=False)

    def files(self, *places):
        """Paths of everything below some directories, with type, mode and owner."""
        text = self.sh(f"find {' '.join(places)} -xdev -printf '%p %y %m %u:%g\\n' | sort")
        return [line for line in text.splitlines() if not re.match(r"/var/(log|cache|tmp|lib/(apt|dpkg))/", line)]

    def pull(self):
        """Pulls the network cable."""
        self.bed.network.pull(self.name)

    def plug(self):
        """Puts the network cable back."""
        self.bed.network.plug(self.name)


class Visitor:
    """A machine without an init: programs of the base, on a link. It has nothing of ours."""

    def __init__(self, bed, name, link, host, release="bookworm"):
        self.bed = bed
        self.name = name
        self.address, self.address6 = link.addresses(host)
        self.root = base(release)
        self.namespace = bed.network.namespace(name)
        bed.network.cable(self.namespace, link, name, host=host)
        bed.network.default_route(self.namespace, link)

    def run(self, words, check=True, timeout=30):
        """Runs a shell command in the base, which it must not change."""
        command = ["timeout", "-k", "5", str(timeout), "nsenter", f"--net=/run/netns/{self.namespace}", "--"]
        command += ["chroot", "--userspec=65534:65534", str(self.root), "sh", "-c", words]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        self.bed.log(f"{self.name}$ {words}", done)
        if check and done.returncode:
            raise Failed(f"{self.name}: {words}: status {done.returncode}\n{done.stdout}{done.stderr}".rstrip())
        return done

    def sh(self, words, **more):
        """Runs a shell command and returns what it prints."""
        return self.run(words, **more).stdout.rstrip("\n")
