"""Ports for the servers of a benchmark."""

import random
import socket

from bed.host import Failed


def free_port():
    """A port that nobody has, for UDP and TCP; below those that others are given by chance."""
    for port in random.sample(range(10_000, 30_000), 100):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            try:
                udp.bind(("127.0.0.1", port))
                tcp.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass  # somebody's
    raise Failed("no port is free")
