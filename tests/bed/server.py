"""Machines that run a server of Debian's, unmodified, out of a root file system that stays as it is."""

import pathlib
import subprocess
import tempfile

from .base import RELEASES, servers
from .host import Failed
from .node import Visitor

# How each name server is started, and the beginning of its configuration, but for BIND's options;
# OWN is the address of its machine.
COMMANDS = {"bind": "named -g -c /tmp/conf", "knot": "knotd -c /tmp/conf", "nsd": "nsd -d -c /tmp/conf"}
HEADS = {
    "bind": "controls { };\n",
    "knot": """
server:
  listen: OWN@53
  rundir: /tmp
database:
  storage: /tmp
log:
  - target: stderr
    any: info
""",
    "nsd": """
server:
  ip-address: OWN
  username: ""
  zonesdir: "/tmp"
  xfrdir: "/tmp"
  xfrdfile: ""
  zonelistfile: "/tmp/zone.list"
  pidfile: "/tmp/pid"
remote-control:
  control-enable: no
""",
}


class Server(Visitor):
    """A machine without an init, with name servers and the programs that ask them."""

    def __init__(self, bed, name, link, host):
        super().__init__(bed, name, link, host)
        self.root = servers(RELEASES[0])
        self.log = bed.directory / f"{name}.log"
        self.process = None

    def start(self, command, files):
        """Starts a command in the foreground; what it writes below /tmp and /etc, and `files` in /tmp, only it sees.

        Returns when the files are there: only then does the shell give its output away, for that of the command."""
        with tempfile.TemporaryDirectory() as directory:
            for name, text in files.items():
                path = pathlib.Path(directory, name)
                path.write_text(text, encoding="utf-8")
                path.chmod(0o666)
            archive = subprocess.run(["tar", "-C", directory, "-c", "."], capture_output=True, check=True).stdout
        own = f"cp -a {self.root}/etc {self.root}/tmp/etc && mount --bind {self.root}/tmp/etc {self.root}/etc"
        inside = f"mount -t tmpfs tmpfs {self.root}/tmp && tar -C {self.root}/tmp -x && {own} && exec chroot {self.root} {command} >&2"
        words = ["nsenter", f"--net=/run/netns/{self.namespace}", "--", "unshare", "--mount", "sh", "-c", inside]
        with open(self.log, "wb") as log:
            # Ended by teardown, with everything else in the namespace.
            self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True)
        with self.process.stdin, self.process.stdout:
            self.process.stdin.write(archive)
            self.process.stdin.close()
            self.process.stdout.read()

    def serve(self, kind, text, files=()):
        """Starts a name server; `text` is what its configuration says of zones."""
        conf = (HEADS[kind] + text).replace("OWN", self.address)
        self.start(COMMANDS[kind], dict(files) | {"conf": conf})

    def inside(self, words, text="", check=True, timeout=120):
        """Runs a shell command as root where the server runs; returns what it says."""
        if self.process is None or self.process.poll() is not None:
            raise Failed(f"{self.name} has ended:\n{self.said()[-2000:]}")
        enter = ["nsenter", f"--target={self.process.pid}", "--mount", "--net", "--", "chroot", self.root, "sh", "-c", words]
        done = subprocess.run(enter, input=text, capture_output=True, text=True, check=False, timeout=timeout)
        self.bed.log(f"{self.name}# {words}", done)
        if check and done.returncode:
            raise Failed(f"{self.name}: {words}: status {done.returncode}\n{done.stdout}{done.stderr}".rstrip())
        return done.stdout + done.stderr

    def said(self):
        """What the server has written."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""
