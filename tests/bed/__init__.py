"""The test bed: Debian machines in containers, on links, behind routers, on one host.

Standard library only; needs root, LXC, mmdebstrap and a kernel with namespaces. It never
touches the network of the host: everything lives in network namespaces of its own.
"""
