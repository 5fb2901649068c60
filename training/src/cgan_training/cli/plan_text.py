"""The text that cgan-train --dry-run prints."""

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cgan_runtime.errors import printable

if TYPE_CHECKING:
    from cgan_training.data import Dataset
    from cgan_training.data.fingerprint import Fingerprint
    from cgan_training.recipe import Recipe
    from cgan_training.run.planning.plan import Plan

WIDTH = 80  # columns of the terminal
LONG_MINUTES = 60  # --minutes is suggested for longer runs
MAX_CLASS_NAMES = 12  # largest number of class names that are listed


def format_plan(recipe: "Recipe", data: "Dataset", statistics: "Fingerprint", plan: "Plan") -> str:
    """Return the text about the dataset, the recipe and the plan, in lines of at most WIDTH."""
    changes = plan.changes or ("none",)
    return "\n".join(
        [
            *_section("Dataset", _dataset_rows(data, statistics)),
            *_section(f"Recipe {recipe.name}", _recipe_rows(recipe.to_dict())),
            *_section("Plan", _plan_rows(plan)),
            "Adjustments for this dataset",
            *(line for change in changes for line in _wrapped(change, "  - ")),
        ]
    )


def _dataset_rows(data: "Dataset", statistics: "Fingerprint") -> dict[str, str]:
    channels, height, width = statistics.image_shape
    counts, names = statistics.class_counts, data.class_names
    smallest, largest = min(counts), max(counts)
    ellipsis = ", ..." if len(names) > MAX_CLASS_NAMES else ""
    return {
        "source": data.source,
        "images": f"{statistics.images:,} of {height} x {width} pixels (height x width), "
        f"{'gray' if channels == 1 else 'RGB'}",
        "classes": f"{len(names):,}: {', '.join(names[:MAX_CLASS_NAMES])}{ellipsis}",
        "images per class": f"{smallest:,} each"
        if smallest == largest
        else f"smallest {smallest:,} ({names[counts.index(smallest)]}), median "
        f"{statistics.median_count:,}, largest {largest:,} ({names[counts.index(largest)]})",
        "imbalance": f"{statistics.imbalance:,.1f} (largest class / smallest class)",
        "mean pixel value": f"{statistics.mean_pixel_value:.1f} of 255",
        "duplicates": f"{statistics.duplicate_share:.1%} of the images equal an earlier image",
        "texture": f"{statistics.lost_detail:.2%} of the variance is detail that a perceptron "
        "loses",
        "high frequencies": f"{statistics.high_frequency:.2%} of the spectral power is above half "
        "the Nyquist frequency",
    }


def _recipe_rows(values: Mapping[str, Any]) -> dict[str, str]:
    """Return a row per value; a value in a nested table is named TABLE.KEY."""
    rows: dict[str, str] = {}
    for name, value in values.items():
        table = value if isinstance(value, dict) else {"": value}
        rows |= {f"{name}.{key}" if key else name: str(part) for key, part in table.items()}
    return rows


def _plan_rows(plan: "Plan") -> dict[str, str]:
    size = plan.generator_parameters / 1e6
    limit = "; --minutes ends it earlier" if plan.minutes > LONG_MINUTES else ""
    return {
        "generator": f"{plan.generator_parameters:,} parameters",
        "discriminator": f"{plan.discriminator_parameters:,} parameters",
        "steps": f"{plan.steps:,} ({plan.steps_per_epoch:,} per epoch)",
        "training time": f"{_format_minutes(plan.minutes)} on this machine, estimated from a few "
        f"steps{limit}",
        "exported file": f"about {4 * size:.2g} MB as fp32, {2 * size:.2g} MB as fp16, "
        f"{size:.2g} MB as int8 (from the number of parameters)",
        "speed": f"{plan.microseconds_per_image:.3g} µs per image in PyTorch, in batches; "
        "cgan-export measures the exported file",
    }


def _format_minutes(minutes: float) -> str:
    if minutes < 1:
        return "less than 1 minute"
    return f"{minutes:,.0f} minutes" if minutes < 120 else f"{minutes / 60:,.1f} hours"


def _section(title: str, rows: Mapping[str, str]) -> list[str]:
    width = max(map(len, rows))
    lines = [line for name, text in rows.items() for line in _wrapped(text, f"  {name:<{width}}  ")]
    return [printable(title), *lines, ""]


def _wrapped(text: str, prefix: str) -> list[str]:
    """Return a text in lines. The first one starts with the prefix, the others are indented."""
    return textwrap.wrap(
        printable(text),
        WIDTH,
        initial_indent=prefix,
        subsequent_indent=" " * len(prefix),
        break_on_hyphens=False,
    )
