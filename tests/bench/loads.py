"""What goes on in a server beside the questions of the benchmark, in a process of its own."""

import multiprocessing
import os
import signal
import socket
import struct
import time

from bed.host import Failed
from servers import CLIENT_CORE
from updates import HOSTS, IN, SOA, ZONE, update, wire, zone_file

SOCKETS = 64
_QUERY = struct.pack("!HHHHHH", 7, 0, 1, 0, 0, 0) + wire(ZONE) + struct.pack("!HH", SOA, IN)


class Load:
    """Begins when it is made; `stop` ends it and says how it went."""

    def __init__(self, port, server, work):
        self.port, self.server, self.work = port, server, work
        self._ours, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("fork").Process(target=self._begin, args=(theirs,), daemon=True)
        self._process.start()

    def _begin(self, pipe):
        os.sched_setaffinity(0, {int(CLIENT_CORE)})
        try:
            pipe.send(self.work_on(lambda: not pipe.poll()))
        except Exception as error:  # told where it is waited for
            pipe.send(error)

    def work_on(self, wanted):
        """Works as long as `wanted()`; returns what is to be said."""
        raise NotImplementedError

    def stop(self):
        """Ends it."""
        self._ours.send(None)
        said = self._ours.recv()
        self._process.join()
        if isinstance(said, Exception):
            raise Failed(f"{type(self).__name__}: {said!r}")
        return said


class Updates(Load):
    """Signed updates at a rate, each of one host; those that are not acknowledged are counted."""

    RATE = 1000

    def work_on(self, wanted):
        sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(SOCKETS)]
        for one in sockets:
            one.connect(("127.0.0.1", self.port))
            one.setblocking(False)
        sent = done = 0
        begin = time.monotonic()
        while wanted():
            due = int((time.monotonic() - begin) * self.RATE)
            while sent < due:
                address = struct.pack("!I", 0x0A000000 + sent)
                sockets[sent % SOCKETS].send(update(sent, sent % HOSTS, address))
                sent += 1
            done += _answers(sockets)
            time.sleep(0.002)
        took = time.monotonic() - begin
        time.sleep(0.5)
        done += _answers(sockets)
        if done < 0.99 * sent:
            raise Failed(f"{sent - done} of {sent} updates have no answer")
        return f"{done / took:,.0f} updates/s acknowledged"


def _answers(sockets):
    count = 0
    for one in sockets:
        while True:
            try:
                answer = one.recv(4096)
            except BlockingIOError:
                break
            if answer[3] & 0xF:
                raise Failed(f"an update has the answer {answer[3] & 0xF}")
            count += 1
    return count


class Swaps(Load):
    """A zone of 20,000 hosts comes anew from its file, again and again."""

    def work_on(self, wanted):
        times, serial = [], 1
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.connect(("127.0.0.1", self.port))
        one.settimeout(5)
        while wanted():
            serial += 1
            zone_file(self.work / "busy/dyn", HOSTS, serial)
            begin = time.monotonic()
            os.kill(self.server.pid, signal.SIGHUP)  # taskset has become the server
            while _serial(one) != serial:
                if time.monotonic() > begin + 30:
                    raise Failed("a zone is not taken")
                time.sleep(0.005)
            times.append(time.monotonic() - begin)
            time.sleep(0.5)
        return f"{len(times)} swaps of {HOSTS:,} hosts, the longest {max(times):.2f} s"


def _serial(one):
    one.send(_QUERY)
    answer = one.recv(4096)
    # The data end with five numbers, the first of which is the serial.
    return struct.unpack("!I", answer[-20:-16])[0]
