"""JSON, dictionaries, strings and objects, as scripts use them. The argument is the number of rounds."""

import json
import sys
from dataclasses import dataclass

RECORDS = 4000


@dataclass
class Order:
    number: int
    customer: str
    lines: list[dict[str, int]]


def make_records(seed: int) -> list[dict[str, object]]:
    records: list[dict[str, object]] = []
    for number in range(RECORDS):
        seed = (seed * 1103515245 + 12345) % 2**31
        tags = [f"tag{(seed >> shift) % 97}" for shift in range(0, 12, 3)]
        price = {"amount": seed % 10_000, "currency": "EUR"}
        records.append({"id": number, "name": f"item {seed:x}" * (1 + seed % 5), "tags": tags, "price": price})
    return records


def count_words(records: list[dict[str, object]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for record in records:
        for word in str(record["name"]).split(" "):
            counts[word] = counts.get(word, 0) + 1
    return counts


def make_orders(records: list[dict[str, object]]) -> int:
    orders: dict[str, Order] = {}
    for position, record in enumerate(records):
        customer = f"customer {position % 499}"
        order = orders.setdefault(customer, Order(position, customer, []))
        order.lines.append({"item": position, "length": len(str(record["name"]))})
    return sum(line["length"] for order in orders.values() for line in order.lines)


def main() -> None:
    total = 0
    for seed in range(int(sys.argv[1])):
        text = json.dumps(make_records(seed + 1), indent=1)
        records = json.loads(text)
        total += len(text) + len(count_words(records)) + make_orders(records)
        total += len(json.dumps(sorted(records, key=lambda record: str(record["name"]))))
    print(total)


main()
