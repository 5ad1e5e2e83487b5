"""The metrics of processes, containers, hosts and CPython in the registry of semantic-conventions v1.44.0.

Copied by hand from model/{process,container,system,cpython}/metrics.yaml and registry.yaml of
open-telemetry/semantic-conventions at the tag v1.44.0: those that the SDK could emit from here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

REQUIRED, RECOMMENDED, OPT_IN = "required", "recommended", "opt_in"


@dataclass(frozen=True)
class Row:
    instrument: str
    unit: str
    value: type
    stability: str
    attributes: dict[str, str] = field(default_factory=dict)
    modes: frozenset[str] = frozenset()
    """Values of cpu.mode that the convention asks for."""


RC, DEV = "release_candidate", "development"
MODE = "cpu.mode"
PROCESS_MODES = frozenset({"user", "system", "wait"})
SYSTEM_MODES = frozenset({"user", "system", "nice", "idle", "iowait", "interrupt", "steal"})
DEVICE = {"system.device": RECOMMENDED}
DISK = {"disk.io.direction": RECOMMENDED}
FILESYSTEM = {
    **DEVICE, "system.filesystem.state": RECOMMENDED, "system.filesystem.type": RECOMMENDED,
    "system.filesystem.mode": RECOMMENDED, "system.filesystem.mountpoint": RECOMMENDED,
}  # fmt: skip
NETWORK = {"network.interface.name": RECOMMENDED, "network.io.direction": RECOMMENDED}
GENERATION = {"cpython.gc.generation": REQUIRED}

REGISTRY = {
    "process.cpu.time": Row("counter", "s", float, RC, {MODE: REQUIRED}, PROCESS_MODES),
    "process.cpu.utilization": Row("gauge", "1", float, RC, {MODE: REQUIRED}, PROCESS_MODES),
    "process.memory.usage": Row("updowncounter", "By", int, RC),
    "process.memory.virtual": Row("updowncounter", "By", int, RC),
    "process.memory.utilization": Row("gauge", "1", float, DEV),
    "process.disk.io": Row("counter", "By", int, RC, {"disk.io.direction": REQUIRED}),
    "process.disk.operations": Row("counter", "{operation}", int, DEV, {"disk.io.direction": REQUIRED}),
    "process.network.io": Row("counter", "By", int, RC, {"network.io.direction": REQUIRED}),
    "process.signals_pending": Row("updowncounter", "{signal}", int, DEV),
    "process.thread.count": Row("updowncounter", "{thread}", int, RC),
    "process.unix.file_descriptor.count": Row("updowncounter", "{file_descriptor}", int, RC),
    "process.windows.handle.count": Row("updowncounter", "{handle}", int, RC),
    "process.context_switches": Row("counter", "{context_switch}", int, RC, {"process.context_switch.type": REQUIRED}),
    "process.paging.faults": Row("counter", "{fault}", int, RC, {"system.paging.fault.type": RECOMMENDED}),
    "process.uptime": Row("gauge", "s", float, RC),
    "cpython.gc.collections": Row("counter", "{collection}", int, DEV, GENERATION),
    "cpython.gc.collected_objects": Row("counter", "{object}", int, DEV, GENERATION),
    "cpython.gc.uncollectable_objects": Row("counter", "{object}", int, DEV, GENERATION),
    "container.uptime": Row("gauge", "s", float, DEV),
    "container.cpu.time": Row("counter", "s", float, RC, {MODE: RECOMMENDED}, frozenset({"user", "system"})),
    "container.cpu.usage": Row("gauge", "{cpu}", float, DEV, {MODE: RECOMMENDED}, frozenset({"user", "system"})),
    "container.memory.usage": Row("updowncounter", "By", int, RC),
    "container.memory.available": Row("updowncounter", "By", int, RC),
    "container.memory.rss": Row("updowncounter", "By", int, RC),
    "container.memory.working_set": Row("updowncounter", "By", int, RC),
    "container.paging.faults": Row("counter", "{fault}", int, DEV, {"system.paging.fault.type": RECOMMENDED}),
    "container.disk.io": Row("counter", "By", int, DEV, {**DISK, **DEVICE}),
    "container.network.io": Row("counter", "By", int, DEV, NETWORK),
    "system.uptime": Row("gauge", "s", float, DEV),
    "system.cpu.physical.count": Row("updowncounter", "{cpu}", int, DEV),
    "system.cpu.logical.count": Row("updowncounter", "{cpu}", int, DEV),
    "system.cpu.time": Row("counter", "s", float, DEV, {MODE: RECOMMENDED, "cpu.logical_number": OPT_IN}, SYSTEM_MODES),
    "system.cpu.utilization": Row(
        "gauge", "1", float, DEV, {MODE: RECOMMENDED, "cpu.logical_number": OPT_IN}, SYSTEM_MODES
    ),
    "system.cpu.frequency": Row("gauge", "Hz", int, DEV, {"cpu.logical_number": RECOMMENDED}),
    "system.memory.usage": Row("updowncounter", "By", int, DEV, {"system.memory.state": RECOMMENDED}),
    "system.memory.limit": Row("updowncounter", "By", int, DEV),
    "system.memory.utilization": Row("gauge", "1", float, DEV, {"system.memory.state": RECOMMENDED}),
    "system.memory.linux.available": Row("updowncounter", "By", int, DEV),
    "system.memory.linux.shared": Row("updowncounter", "By", int, DEV),
    "system.paging.usage": Row("updowncounter", "By", int, DEV, {"system.paging.state": RECOMMENDED, **DEVICE}),
    "system.paging.utilization": Row("gauge", "1", float, DEV, {"system.paging.state": RECOMMENDED, **DEVICE}),
    "system.paging.faults": Row("counter", "{fault}", int, DEV, {"system.paging.fault.type": RECOMMENDED}),
    "system.paging.operations": Row(
        "counter", "{operation}", int, DEV,
        {"system.paging.fault.type": RECOMMENDED, "system.paging.direction": RECOMMENDED},
    ),
    "system.disk.io": Row("counter", "By", int, DEV, {**DEVICE, **DISK}),
    "system.disk.operations": Row("counter", "{operation}", int, DEV, {**DEVICE, **DISK}),
    "system.disk.io_time": Row("counter", "s", float, DEV, DEVICE),
    "system.disk.operation_time": Row("counter", "s", float, DEV, {**DEVICE, **DISK}),
    "system.disk.merged": Row("counter", "{operation}", int, DEV, {**DEVICE, **DISK}),
    "system.disk.limit": Row("updowncounter", "By", int, DEV, DEVICE),
    "system.filesystem.usage": Row("updowncounter", "By", int, DEV, FILESYSTEM),
    "system.filesystem.utilization": Row("gauge", "1", float, DEV, FILESYSTEM),
    "system.filesystem.limit": Row(
        "updowncounter", "By", int, DEV, {k: v for k, v in FILESYSTEM.items() if k != "system.filesystem.state"}
    ),
    "system.network.packet.dropped": Row("counter", "{packet}", int, DEV, NETWORK),
    "system.network.packet.count": Row(
        "counter", "{packet}", int, DEV, {**DEVICE, "network.io.direction": RECOMMENDED}
    ),
    "system.network.errors": Row("counter", "{error}", int, DEV, NETWORK),
    "system.network.io": Row("counter", "By", int, DEV, NETWORK),
    "system.network.connection.count": Row(
        "updowncounter", "{connection}", int, DEV,
        {
            "network.interface.name": RECOMMENDED, "network.connection.state": RECOMMENDED,
            "network.transport": RECOMMENDED,
        },
    ),
    "system.process.count": Row("updowncounter", "{process}", int, DEV, {"process.state": RECOMMENDED}),
    "system.process.created": Row("counter", "{process}", int, DEV),
    "system.process.limit": Row("updowncounter", "{thread}", int, DEV),
}  # fmt: skip

VALUES: dict[str, frozenset[object]] = {
    "disk.io.direction": frozenset({"read", "write"}),
    "network.io.direction": frozenset({"transmit", "receive"}),
    "process.context_switch.type": frozenset({"voluntary", "involuntary"}),
    "system.paging.fault.type": frozenset({"major", "minor"}),
    "system.paging.state": frozenset({"used", "free"}),
    "system.memory.state": frozenset({"used", "free", "buffers", "cached"}),
    "system.filesystem.state": frozenset({"used", "free", "reserved"}),
    "cpython.gc.generation": frozenset({0, 1, 2}),
}
"""The values an attribute may have, without deprecated ones."""
