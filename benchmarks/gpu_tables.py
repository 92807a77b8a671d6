"""The results of a run on a GPU as Markdown tables. Knows the JSON, and nothing that measured it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Row = Mapping[str, Any]
Column = tuple[str, Callable[[Row], str]]


def tables(found: Mapping[str, Any]) -> str:
    """Return all tables of a run, with what it ran on above and what failed below."""
    machine = found["machine"]
    words = ", ".join(f"{key} {machine[key]}" for key in ("name", "memory_gib", "torch", "cuda") if key in machine)
    parts = [f"{words or machine.get('device', '')}; medians (quartiles); float32 is strict, TF32 where it says so"]
    for section, rows in found["rows"].items():
        if rows:
            parts.append(f"**{section}**\n\n{_table(rows, COLUMNS[section])}")
    for section, lines in found["failed"].items():
        parts += [f"{section} {label}: {line}" for label, line in lines]
    return "\n\n".join(parts)


def _table(rows: list[Row], columns: tuple[Column, ...]) -> str:
    """Return a table without the columns that no row fills."""
    cells = [[cell(row) for _, cell in columns] for row in rows]
    filled = [index for index in range(len(columns)) if any(line[index] for line in cells)]
    lines = [[columns[index][0] for index in filled], ["---"] * len(filled)]
    lines += [[line[index] for index in filled] for line in cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(key: str, form: str, factor: float = 1.0, unit: str = "") -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        value = row.get(key)
        return "" if value is None else f"{factor * value:{form}}{unit}"

    return cell


def _spread(row: Row) -> str:
    return "" if "ms" not in row else f"{row['ms']:.4g} ({row['low']:.4g} to {row['high']:.4g})"


def _ceiling(row: Row) -> str:
    value = row.get("per_second", 0.0)
    if row["name"] == "smallest kernel":
        return f"{1e3 * row['ms']:.1f} µs each"
    return f"{value / 1e12:.2f} {'TB/s' if row['name'] == 'bandwidth' else 'TFLOP/s'}"


def _plain(key: str) -> Callable[[Row], str]:
    return lambda row: str(row.get(key, ""))


_WHAT: Column = ("what", _plain("name"))
_TIME: Column = ("ms", _spread)
_PEAK: Column = ("peak above what was there, MiB", _number("peak_mib", ".0f"))
_ROOF: tuple[Column, ...] = (
    ("GFLOP", _number("gflop", ".4g")),
    ("of the measured peak", _number("share_of_peak", ".1f", 100, " %")),
    ("least bytes, MB", _number("least_mb", ".0f")),
    ("roofline, ms", _number("floor_ms", ".3g")),
    ("times the roofline", _number("distance", ".1f")),
)
_DIFFERENCE: Column = ("largest relative difference", _number("difference", ".0e"))
_GAIN: tuple[Column, ...] = (
    ("ms before", _number("ms_before", ".4g")),
    _TIME,
    ("gain", _number("gain", ".2f", 1, "x")),
    _DIFFERENCE,
)

COLUMNS: dict[str, tuple[Column, ...]] = {
    "ceilings": (_WHAT, _TIME, ("reached", _ceiling)),
    "encoders": (_WHAT, _TIME, ("images/s", _number("per_second", ".4g")), _PEAK, *_ROOF, _DIFFERENCE),
    "decoders": (
        _WHAT,
        _TIME,
        ("ms for a prompt", _number("ms_per_prompt", ".3g")),
        ("prompts/s", _number("per_second", ".4g")),
        _PEAK,
        *_ROOF,
        _DIFFERENCE,
    ),
    "predictor": (
        _WHAT,
        _TIME,
        ("per second", _number("per_second", ".4g")),
        _PEAK,
        ("embedding on", _plain("embedding_on")),
    ),
    "quality": (
        _WHAT,
        ("images", _plain("images")),
        ("masks", _plain("masks")),
        ("mean IoU", _number("mean_iou", ".4f")),
        ("5th percentile", _number("fifth_percentile", ".4f")),
        ("mean IoU of the best", _number("mean_iou_of_best", ".4f")),
        ("5th percentile", _number("fifth_percentile_of_best", ".4f")),
        ("same mask best", _number("same_choice", ".1f", 100, " %")),
    ),
    "training": (
        _WHAT,
        ("s a step", _number("seconds_a_step", ".3g")),
        ("peak allocated, GiB", _number("peak_gib", ".2f")),
        ("peak reserved, GiB", _number("reserved_gib", ".2f")),
        ("images a step", _plain("batch_size")),
        ("in parts", _plain("accumulation")),
        ("side, px", _plain("crop_size")),
    ),
    "graphs": (_WHAT, *_GAIN),
    "compile": (
        _WHAT,
        *_GAIN,
        _PEAK,
        ("compiling, s", _number("compile_seconds", ".3g")),
        ("pays after images", _number("pays_after_images", ".0f")),
    ),
}
