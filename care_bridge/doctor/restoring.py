"""What restoring needs: the models, the device, memory and cores, and the worker."""

from __future__ import annotations

from collections.abc import Iterator

import psutil

from care_bridge.doctor.finding import Finding
from care_bridge.errors import CareBridgeError
from care_bridge.package.package import Package, load_package
from care_bridge.package.store import bundled_models
from care_bridge.runtime.engines import compute_threads
from care_bridge.runtime.session import Session
from care_bridge.runtime.worker_address import key_file, this_installation
from care_bridge.runtime.worker_client import running_worker

_GIB = 1 << 30
_LITTLE = 2 * _GIB


def restoring() -> Iterator[Finding]:
    """Findings on what computes; a model is loaded to see on which device."""
    packages: list[Package] = []
    for name, folder in bundled_models().items():
        try:
            package = load_package(folder)
            package.weights()
        except CareBridgeError as error:
            yield Finding("model", "missing", str(error), "install care_bridge again", needed=True)
        else:
            packages.append(package)
            yield Finding("model", "ok", f"{name} {package.spec.version}")
    if packages:
        yield _device(packages[0])
    yield _memory()
    yield _worker()


def _device(package: Package) -> Finding:
    try:
        session = Session(package.weights())
    except CareBridgeError as error:
        return Finding("device", "missing", "none can be used", str(error), needed=True)
    text = f"auto takes {session.device} ({session.engine})"
    return Finding("device", "ok", text, session.advice)


def _memory() -> Finding:
    memory = psutil.virtual_memory()
    text = (
        f"{memory.available / _GIB:.1f} of {memory.total / _GIB:.1f} GiB free, "
        f"{compute_threads()} cores"
    )
    if memory.available < _LITTLE:
        return Finding("memory", "warning", text, "close programs, else tiles are small and slow")
    return Finding("memory", "ok", text)


def _worker() -> Finding:
    try:
        address = running_worker()
    except OSError as error:
        return Finding("worker", "warning", str(error), "let XDG_CACHE_HOME be a folder of yours")
    if address is None:
        return Finding("worker", "ok", "none runs; one is started when it is needed")
    if address.installation != this_installation():
        return Finding(
            "worker",
            "warning",
            f"process {address.process} is of another installation, {address.installation}",
            "care-bridge worker --stop",
        )
    return Finding("worker", "ok", f"process {address.process} runs, its key is in {key_file()}")
