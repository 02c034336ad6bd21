"""`python without_network.py COMMAND…`: run it where there is no network but the loopback."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import sys

NEW_USER, NEW_NET = 0x10000000, 0x40000000
SET_FLAGS, UP = 0x8914, 0x1


def main() -> None:
    user, group = os.getuid(), os.getgid()
    flags = NEW_NET if user == 0 else NEW_NET | NEW_USER
    if ctypes.CDLL(None, use_errno=True).unshare(flags):
        raise SystemExit(f"unshare: {os.strerror(ctypes.get_errno())}")
    if user:
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"0 {user} 1"),
            ("gid_map", f"0 {group} 1"),
        ):
            with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123 - written at once
                file.write(text)
    with socket.socket() as any_one:
        fcntl.ioctl(any_one, SET_FLAGS, struct.pack("16sH14x", b"lo", UP))
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606


if __name__ == "__main__":
    main()
