"""A bed: its network, its nodes, and an end that leaves nothing on the host."""

import os
import pathlib
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from .host import STATE, Failed, run
from .network import Network
from .node import Node, Visitor
from .server import Server

OUTSIDE = "192.0.2.80"
"""An address of the outside world: a web server that has nothing to do with us."""


class Bed:
    """Machines on links. Use as a context: whatever happens inside, nothing is left."""

    def __init__(self, tag=None):
        self.tag = tag or f"t{os.getpid()}"
        self.directory = STATE / self.tag
        self.nodes = {}
        self.resolver = "127.0.0.1"
        self._log = None
        self._hosts = {}
        teardown(self.tag)
        self.directory.mkdir(parents=True)
        (self.directory / "owner").write_text(str(os.getpid()), encoding="ascii")
        try:
            self.network = Network(self.tag)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends everything: machines, namespaces, mounts, files."""
        teardown(self.tag)

    def log_to(self, path):
        """From now on, writes every command of the nodes, with its output, to a file."""
        self._log = path

    def log(self, what, done):
        """Writes a command and its result to the log."""
        if self._log:
            with open(self._log, "a", encoding="utf-8") as log:
                log.write(f"[{time.strftime('%T')}] {what}\n{done.stdout}{done.stderr}[status {done.returncode}]\n")

    def _host(self, link):
        number = self._hosts.get(link.name, 10) + 1
        self._hosts[link.name] = number
        return number

    def node(self, name, release, link, repository=None):
        """Adds a machine to a link; it is off."""
        node = Node(self, name, release, link, self._host(link), repository)
        self.nodes[name] = node
        return node

    def visitor(self, name, link):
        """Adds a machine that has nothing of ours."""
        return Visitor(self, name, link, self._host(link))

    def server(self, name, link):
        """Adds a machine with name servers of Debian's, none of which runs yet."""
        return Server(self, name, link, self._host(link))

    def outside(self, router):
        """Gives the router an outside world: a name server and a web page, at www.outside.test."""
        page = self.directory / "outside"
        page.mkdir()
        (page / "index.html").write_text("outside\n", encoding="ascii")
        run("ip", "-n", router, "addr", "add", f"{OUTSIDE}/32", "dev", "lo")
        self.resolver = "10.77.1.1"
        self._background(
            router, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file",
            "--user=nobody", "--cache-size=0", f"--address=/www.outside.test/{OUTSIDE}",
        )  # fmt: skip
        self._background(router, "/usr/bin/python3", "-m", "http.server", "80", "--bind", OUTSIDE, "-d", str(page))

    def _background(self, namespace, *words):
        # Ended by teardown, with everything else in the namespace.
        subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{namespace}", "--", *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip


def together(work, things):
    """Does the same with several things at once; raises the first error."""
    things = list(things)
    with ThreadPoolExecutor(max(1, len(things))) as pool:
        return list(pool.map(work, things))


def eventually(what, probe, deadline=30.0, every=0.2):
    """Waits until `probe` returns something true, and returns it with the seconds it took."""
    begin = time.monotonic()
    last = None
    while True:
        try:
            value = probe()
        except (Failed, ValueError, KeyError) as error:
            value, last = None, error
        took = time.monotonic() - begin
        if value:
            return value, took
        if took > deadline:
            raise Failed(f"not within {deadline:.0f} s: {what}" + (f"\n{last}" if last else ""))
        time.sleep(every)


def teardown(tag):
    """Removes a bed, whoever made it, and however far it had come."""
    directory = STATE / tag
    for config in directory.glob("*/config"):
        run("lxc-stop", "-k", "-P", directory, "-n", config.parent.name, check=False, timeout=60)
    names = run("ip", "netns", "list", check=False).splitlines()
    spaces = [words.split()[0] for words in names if words.startswith(f"guifi-{tag}-")]
    for space in spaces:
        for process in run("ip", "netns", "pids", space, check=False).split():
            try:
                os.kill(int(process), signal.SIGKILL)
            except ProcessLookupError:
                pass  # gone in the meantime
    for space in spaces:
        run("ip", "netns", "del", space, check=False)
    if not directory.exists():
        return
    mounts = pathlib.Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    for place in reversed([line.split()[1] for line in mounts if line.split()[1].startswith(f"{directory}/")]):
        run("umount", "-l", place, check=False)
    _remove_cgroups([config.parent.name for config in directory.glob("*/config")])
    # What was unmounted while in use, and processes about to die, may hold on for a moment.
    for _ in range(50):
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            break
        time.sleep(0.2)
    if STATE.exists() and not any(STATE.iterdir()):
        STATE.rmdir()


def _remove_cgroups(names):
    # LXC leaves empty groups behind; one that is in use cannot be removed anyway.
    patterns = [f"lxc.payload.{name}*" for name in names] + [f"lxc.monitor.{name}*" for name in names] + ["lxc.pivot"]
    root = pathlib.Path("/sys/fs/cgroup")
    for pattern in patterns:
        for group in [*root.glob(pattern), *root.glob(f"*/{pattern}")]:
            for below in sorted(group.glob("**/"), reverse=True):
                try:
                    below.rmdir()
                except OSError:
                    pass


def sweep():
    """Removes beds whose maker has died."""
    for owner in STATE.glob("t*/owner"):
        if not pathlib.Path(f"/proc/{owner.read_text(encoding='ascii')}").exists():
            teardown(owner.parent.name)
