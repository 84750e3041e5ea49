"""What was wrong with the input of an evaluation: counted and listed, never dropped in silence."""

from __future__ import annotations

from collections import Counter


class Problems:
    """A list of problems by kind.

    Args:
        strict: raise at the end of each step instead of going on.
    """

    def __init__(self, strict: bool = False) -> None:
        self.strict = strict
        self.entries: list[tuple[str, str]] = []

    def __len__(self) -> int:
        return len(self.entries)

    def add(self, kind: str, detail: str) -> None:
        """Note one problem: its kind ('prediction for an unknown image') and what exactly it is."""
        self.entries.append((kind, detail))

    def counts(self) -> dict[str, int]:
        """How many problems there are of each kind, in the order in which the kinds appeared."""
        return dict(Counter(kind for kind, _ in self.entries))

    def lines(self, shown: int | None = None) -> list[str]:
        """One line per kind with its count, each followed by its entries (the first ``shown`` of them)."""
        lines = []
        for kind, count in self.counts().items():
            details = [detail for found, detail in self.entries if found == kind]
            lines.append(f'{count} x {kind}')
            lines += [f'  {detail}' for detail in details[:shown]]
            if shown is not None and count > shown:
                lines.append(f'  ... and {count - shown} more')
        return lines

    def to_dict(self) -> dict:
        """The counts by kind and all entries, for JSON."""
        return dict(counts=self.counts(), entries=[f'{kind}: {detail}' for kind, detail in self.entries])

    def check(self) -> None:
        """Raise ValueError with all counts and the first entries if there are any and ``strict`` is set."""
        if self.strict and self.entries:
            raise ValueError('\n'.join([f'{len(self)} problems in the input (strict):', *self.lines(5)]))
