"""Ways to talk to the host, its neighbours, or the world, from a desktop without network."""

import os
import socket
from functools import partial

from attempts.kit import PLACE, Attempt, connect, opened

UNREACHED = "ENETUNREACH|ECONNREFUSED|EADDRNOTAVAIL|EHOSTUNREACH|timed out"
INET, INET6, UNIX = socket.AF_INET, socket.AF_INET6, socket.AF_UNIX


def planted_port() -> int:
    return int(PLACE.get("port", 1))


def own_loopback() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return connect(INET, server.getsockname())


def own_abstract() -> str:
    with socket.socket(UNIX) as server:
        server.bind(f"\0own-{os.getpid()}")
        server.listen()
        return connect(UNIX, server.getsockname())


def own_datagram() -> int:
    with socket.socket(INET, socket.SOCK_DGRAM) as end:
        end.bind(("127.0.0.1", 0))
        return end.sendto(b"x", end.getsockname())


def sent(address: tuple[str, int]) -> str:
    with socket.socket(INET, socket.SOCK_DGRAM) as end:
        end.sendto(b"x", address)
    return "sent"


def resolved(name: str) -> str:
    try:
        return str(socket.getaddrinfo(name, 80)[0][4][0])
    except socket.gaierror:
        return "unknown"


def interfaces() -> str:
    others = {name for _, name in socket.if_nameindex()} - {"lo"}
    return f"others {sorted(others)}" if others else "loopback only"


def namespaced_abstract() -> str:
    return connect(UNIX, "\0" + str(PLACE.get("abstract", "nobody")))


def planted_socket() -> str:
    return connect(UNIX, str(PLACE.get("socket", "/nowhere.sock")))


def raw_ping() -> str:
    return opened(INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)


WALL = "host network"
HERE = "none: where it leads depends on the machine"

ATTEMPTS = [
    Attempt("host loopback", lambda: connect(INET, ("127.0.0.1", planted_port())), UNREACHED,
            own_loopback, WALL),
    Attempt("host any address", lambda: connect(INET, ("0.0.0.0", planted_port())), UNREACHED,
            own_loopback, WALL),
    Attempt("host high loopback", lambda: connect(INET, ("127.1.2.3", planted_port())), UNREACHED,
            own_loopback, "none: the planted service listens on one address"),
    Attempt("host loopback mapped", lambda: connect(INET6, ("::ffff:127.0.0.1", planted_port())),
            UNREACHED, own_loopback, WALL),
    Attempt("server itself", lambda: connect(INET, ("127.0.0.1", int(PLACE.get("server", 1)))),
            UNREACHED, own_loopback, WALL),
    Attempt("abstract socket", namespaced_abstract, UNREACHED, own_abstract, WALL),
    Attempt("bound socket", planted_socket, "ENOENT|EACCES", own_abstract, "host folder"),
    Attempt("metadata service", partial(connect, INET, ("169.254.169.254", 80)), UNREACHED,
            own_loopback, HERE),
    Attempt("outside", partial(connect, INET, ("192.0.2.1", 80)), "ENETUNREACH", own_loopback,
            HERE),
    Attempt("outside 6", partial(connect, INET6, ("2001:db8::1", 80)),
            "ENETUNREACH|EADDRNOTAVAIL", own_loopback, HERE),
    Attempt("private network", partial(connect, INET, ("10.0.2.2", 80)), UNREACHED, own_loopback,
            HERE),
    Attempt("datagram", partial(sent, ("192.0.2.1", 53)), "ENETUNREACH", own_datagram, HERE),
    Attempt("multicast", partial(sent, ("224.0.0.251", 5353)), "ENETUNREACH", own_datagram, HERE),
    Attempt("broadcast", partial(sent, ("255.255.255.255", 9)), "EACCES|ENETUNREACH",
            own_datagram, HERE),
    Attempt("names", partial(resolved, "example.com"), "unknown",
            partial(resolved, "localhost"), HERE),
    Attempt("interfaces", interfaces, "loopback only", socket.if_nameindex, WALL),
    Attempt("ping socket", raw_ping, "EACCES|EPERM",
            partial(opened, INET, socket.SOCK_DGRAM, socket.IPPROTO_UDP),
            "none: depends on ping_group_range"),
]  # fmt: skip
