"""How fast the model is on a GPU, how much memory it takes there, and how far it is from what the device can do.

Weights are random where times do not depend on them; `light` has its own. float32 is strict: TF32 is off except in
rows that say so. Each row is measured on its own: one that fails is one line, and the others go on. Results are
written after each, so that a run that is ended early leaves what it had.

    python benchmarks/gpu.py --images FOLDER --output gpu.json     # about 80 s
    python benchmarks/gpu.py --show gpu.json                       # the tables
    python benchmarks/gpu.py --device cpu --smoke                  # whether it runs, without a GPU
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gpu_decoders
import gpu_encoders
import gpu_options
import gpu_use
import torch
from gpu_bench import SMOKE, Bench, Row, Sizes, Task
from gpu_clock import Clock, tensor_float
from gpu_tables import tables

# What a row may fail with, compilers and missing packages included. Ctrl-C ends the run.
FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


# What may take long or go wrong stands last.
SECTIONS: dict[str, Callable[[Bench], Iterator[Task]]] = {
    "ceilings": gpu_encoders.ceilings,
    "encoders": gpu_encoders.encoders,
    "decoders": gpu_decoders.decoders,
    "predictor": gpu_use.predictor,
    "quality": gpu_use.quality,
    "training": gpu_use.training,
    "graphs": gpu_options.graphs,
    "compile": gpu_options.compiled,
}


def run_section(bench: Bench, name: str, section: Callable[[Bench], Iterator[Task]]) -> None:
    """Measure the rows of a section, and say of those that fail why."""
    start = time.monotonic()
    rows = bench.found["rows"].setdefault(name, [])
    try:
        for label, task in section(bench):
            _run_row(bench, name, label, task, rows)
        bench.clock.tidy()
    except FAILURES as error:
        _note(bench, name, "", error)
    bench.found["machine"].setdefault("section_seconds", {})[name] = round(time.monotonic() - start, 1)
    print(f"[{name}: {time.monotonic() - start:.1f} s, {bench.left:.0f} s left]", flush=True)
    bench.keep()


def _run_row(bench: Bench, section: str, label: str, task: Callable[[], Row], rows: list[Row]) -> None:
    if bench.left <= 0:
        _note(bench, section, label, TimeoutError("left out: the time is up (--budget)"))
        return
    try:
        row = {"name": label, **task()}
    except FAILURES as error:
        _note(bench, section, label, error)
        return
    rows.append(row)
    print(f"{section} {label}: {_in_short(row)}", flush=True)
    bench.keep()


def _in_short(row: Row) -> str:
    """Return the numbers of a row in one line; the rest is in the file."""
    numbers = {key: value for key, value in row.items() if isinstance(value, int | float)}
    return ", ".join(f"{key} {value:.4g}" for key, value in numbers.items())


def _note(bench: Bench, section: str, label: str, error: BaseException) -> None:
    line = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    bench.found["failed"].setdefault(section, []).append([label, line])
    print(f"{section} {label}: failed: {line}", flush=True)


def machine(device: torch.device) -> dict[str, Any]:
    """Return what the numbers belong to."""
    found: dict[str, Any] = {"torch": torch.__version__, "python": platform.python_version(), "device": str(device)}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found |= {
            "name": properties.name,
            "memory_gib": round(properties.total_memory / 2**30, 1),
            "multiprocessors": properties.multi_processor_count,
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
        }
    return found


def main() -> None:
    start = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--sections", default=",".join(SECTIONS), help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--seconds", type=float, default=0.15, help="for each measurement (default: 0.15)")
    parser.add_argument("--budget", type=float, default=85.0, help="no row begins after so many seconds")
    parser.add_argument("--images", type=Path, help="a folder of PNG files, for the quality of bfloat16")
    parser.add_argument("--output", type=Path, help="JSON file for the results")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, to see whether everything runs")
    parser.add_argument("--show", metavar="FILE", type=Path, help="print the tables of such a file, and no more")
    arguments = parser.parse_args()
    if arguments.show:
        print(tables(json.loads(arguments.show.read_text(encoding="utf-8"))))
        return
    chosen = arguments.sections.split(",")
    if unSECTIONS := sorted(set(chosen) - set(SECTIONS)):
        parser.error(f"there is no section {', '.join(unSECTIONS)}; known are {', '.join(SECTIONS)}")
    device = torch.device(arguments.device)
    bench = Bench(
        Clock(device, arguments.seconds, least=1) if arguments.smoke else Clock(device, arguments.seconds),
        SMOKE if arguments.smoke else Sizes(),
        start + arguments.budget,
        arguments.images,
        arguments.output,
    )
    bench.found["machine"] = machine(device) | {
        "seconds_per_measurement": arguments.seconds,
        "sizes": {**asdict(bench.sizes), "shape": repr(bench.sizes.shape)},
    }
    torch.manual_seed(0)
    with tensor_float(False):
        for name in chosen:
            run_section(bench, name, SECTIONS[name])
    print(f"\n{tables(bench.found)}")


if __name__ == "__main__":
    main()
