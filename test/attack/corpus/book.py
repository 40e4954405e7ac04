"""The book that the frames are written into, each once."""
from __future__ import annotations

import json
from typing import Any, Callable, TextIO

from scapy.packet import Packet

SHORTEST = 14

Frame = Packet | bytes
# A frame is made from a mark that no other carries, where its protocol has room for one.
Maker = Callable[[bytes], Frame]

DEFAULT = "default"


class Book:
    """Frames, and what must become of them."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self._seen: dict[tuple[str, str], str] = {}
        self._numbers: dict[str, int] = {}

    def add(
        self,
        guard: str,
        description: str,
        make: Maker,
        *,
        expected: str,
        direction: str = "egress",
        profile: str = DEFAULT,
        reason: str | None = None,
    ) -> None:
        number = self._numbers.get(guard, 0) + 1
        self._numbers[guard] = number
        name = f"{guard}-{number:03d}"
        data = bytes(make(f"<attack {name}>".encode()))
        if len(data) < SHORTEST:
            raise ValueError(f"{name}: a tap takes no frame of {len(data)} bytes")
        key = (direction, data.hex())
        if key in self._seen:
            raise ValueError(f"{name} ({description}) is the same frame as {self._seen[key]}")
        self._seen[key] = name
        self.entries.append(
            {
                "id": name,
                "guard": guard,
                "profile": profile,
                "direction": direction,
                "description": description,
                "expected": expected,
                "reason": reason,
                "hex": data.hex(),
            }
        )

    def chapter(self, guard: str, **fixed: Any) -> Chapter:
        return Chapter(self, guard, fixed)

    def write(self, file: TextIO) -> None:
        for entry in self.entries:
            file.write(json.dumps(entry) + "\n")


class Chapter:
    """Frames of one guard. `drops` is counted by that guard; `drops_somewhere` by it or by one that stands before."""

    def __init__(self, book: Book, guard: str, fixed: dict[str, Any]) -> None:
        self._book = book
        self._guard = guard
        self._fixed = fixed

    def passes(self, description: str, make: Maker, **fields: Any) -> None:
        self._book.add(self._guard, description, make, expected="passes", **{**self._fixed, **fields})

    def drops(self, description: str, make: Maker, **fields: Any) -> None:
        given = {"reason": self._guard, **self._fixed, **fields}
        self._book.add(self._guard, description, make, expected="dropped", **given)

    def drops_somewhere(self, description: str, make: Maker, **fields: Any) -> None:
        self._book.add(self._guard, description, make, expected="dropped", **{**self._fixed, **fields})
