# SPDX-License-Identifier: BSL-1.0
"""Prints what this machine is and what the library was built with, as lines "name, value" with a tab."""
import os
import platform
import re
import subprocess
from pathlib import Path


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _field(path: str, pattern: str) -> str:
    try:
        found = re.search(pattern, Path(path).read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else "unknown"


def _memory() -> str:
    kib = _field("/proc/meminfo", r"^MemTotal:\s+(\d+)")
    return f"{int(kib) / 2**20:.1f} GiB" if kib.isdigit() else kib


def _cpu() -> str:
    model = _field("/proc/cpuinfo", r"^model name\s*:\s*(.+)$")
    virtual = re.search(r"^flags\s*:.*\bhypervisor\b", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    return model + (", in a virtual machine" if virtual else "")


def _boost() -> str:
    return _field("/usr/include/boost/version.hpp", r'#define BOOST_LIB_VERSION "([\d_]+)"').replace("_", ".")


def describe() -> dict[str, str]:
    return {
        "CPU": _cpu(),
        "cores": str(os.cpu_count()),
        "memory": _memory(),
        "kernel": platform.release(),
        "system": "Debian " + _field("/etc/debian_version", r"^(\S+)"),
        "compiler": _output(os.environ.get("CXX", "g++"), "--version").splitlines()[0],
        "gRPC": _output("pkg-config", "--modversion", "grpc++"),
        "Boost": _boost(),
        "build": "release, as `bench/run` configures it (the user's file of footprint: -O2)",
    }


if __name__ == "__main__":
    for name, value in describe().items():
        print(f"{name}\t{value}")
