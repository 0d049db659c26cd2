"""Records like those that web services exchange, made up by a seed."""

from __future__ import annotations

import random
from typing import Any

_WORDS = (
    "amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "harbor", "island", "jetty", "kelp", "lagoon",
    "meadow", "north", "orchard", "pebble", "quarry", "river", "shore", "tide", "upland", "valley", "willow",
)  # fmt: skip


def make_record(random_numbers: random.Random, number: int) -> dict[str, Any]:
    """A dictionary of numbers, texts, lists and dictionaries."""
    choose = random_numbers.choice
    return {
        "id": number,
        "name": f"{choose(_WORDS)} {choose(_WORDS)}",
        "active": random_numbers.random() < 0.5,
        "score": round(random_numbers.uniform(0, 100), 3),
        "parent": None if number % 7 == 0 else number // 2,
        "tags": [choose(_WORDS) for _ in range(random_numbers.randrange(1, 6))],
        "address": {
            "street": f"{choose(_WORDS).title()} Street {random_numbers.randrange(200)}",
            "position": [random_numbers.uniform(-90, 90), random_numbers.uniform(-180, 180)],
        },
        "text": " ".join(choose(_WORDS) for _ in range(random_numbers.randrange(4, 30))),
    }


def make_records(seed: int, count: int) -> list[dict[str, Any]]:
    """Records that are numbered from 0."""
    random_numbers = random.Random(seed)
    return [make_record(random_numbers, number) for number in range(count)]
