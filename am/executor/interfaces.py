"""Which network interface carries an address, as libraries want to be told that pick a wrong one by themselves.

The kernel's answer to SIOCGIFCONF (netdevice(7)) is an array of `struct ifreq`: 16 bytes of name, then a sockaddr (for
AF_INET 2 bytes of family, 2 of port, 4 of address), padded to the largest member of its union, `struct ifmap`.
"""

from __future__ import annotations

import array
import socket
import struct
import typing

from am.executor.ports import addresses_of, is_loopback

LOOPBACK = "lo"
_SIOCGIFCONF = 0x8912
_NAME_BYTES = 16
_ENTRY_BYTES = _NAME_BYTES + struct.calcsize("LLHBBB0L")
_ROOM = 256  # interfaces with IPv4 addresses


def interface_of(host: str) -> str:
    """Return the interface of this machine that carries the address of `host`; empty when none does.

    Loopback's only when `host` means nothing but loopback.
    """
    addresses = addresses_of(host)
    real = [address for address in addresses if not is_loopback(address)]
    if addresses and not real:
        return LOOPBACK
    carried = {address: name for name, address in interfaces()}
    return next((carried[address] for address in real if address in carried), "")


def interfaces() -> typing.List[typing.Tuple[str, str]]:
    """Return (name, IPv4 address) of what is up; nothing where the kernel does not say."""
    import fcntl

    room = array.array("B", bytes(_ROOM * _ENTRY_BYTES))
    where, size = room.buffer_info()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            said = fcntl.ioctl(asked.fileno(), _SIOCGIFCONF, struct.pack("iP", size, where))
        except OSError:
            return []
    return parse(room.tobytes()[: struct.unpack("iP", said)[0]])


def parse(entries: bytes) -> typing.List[typing.Tuple[str, str]]:
    """Return (name, IPv4 address) of each entry of the kernel's answer; an alias `eth0:1` is its interface."""
    found = []
    for start in range(0, len(entries) - _ENTRY_BYTES + 1, _ENTRY_BYTES):
        name = entries[start : start + _NAME_BYTES].partition(b"\0")[0].decode(errors="replace")
        address = socket.inet_ntoa(entries[start + _NAME_BYTES + 4 : start + _NAME_BYTES + 8])
        found.append((name.partition(":")[0], address))
    return found
