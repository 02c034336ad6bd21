"""What an interpreter says of itself: one JSON object, on the last line that it prints.

It is given to any interpreter (Python 3.9 or newer) on its command line, with ``-I``.
"""

from __future__ import annotations

import json
import os
import platform
import site
import sys
import sysconfig


def markers() -> dict[str, str]:
    """The variables of environment markers (PEP 508), for this interpreter."""
    info = sys.implementation.version
    version = f"{info.major}.{info.minor}.{info.micro}"
    if info.releaselevel != "final":
        version += info.releaselevel[0] + str(info.serial)
    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": version,
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_full_version": platform.python_version(),
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "sys_platform": sys.platform,
        "extra": "",
    }


def sites() -> list[str]:
    """The folders that packages are imported from, in the order of ``sys.path``."""
    found: dict[str, str] = {}
    named = {os.path.realpath(path) for path in site.getsitepackages()}
    for path in sys.path:
        real = os.path.realpath(path)
        if real in named and os.path.isdir(real):  # noqa: PTH112
            found.setdefault(real, path)
    return list(found.values())


sys.stdout.write(
    "\n"
    + json.dumps(
        {
            "version": platform.python_version(),
            "prefix": sys.prefix,
            "base_prefix": sys.base_prefix,
            "site": sites(),
            "markers": markers(),
            "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
            "path": sys.path,
        }
    )
    + "\n"
)
