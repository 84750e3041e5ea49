"""What a reader found in a data set: how much it read, how much it left out and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

#: So many problems are named one by one in a table; all of them stand in the JSON.
NAMED_PROBLEMS = 5


@dataclass
class ReadReport:
    """Counts of what was read from one source and of what was left out.

    Args:
        source: the file (or set) that was read.
        read: what -> how many, in the order in which it is shown.
        dropped: reason -> how many; a reason begins with what was left out: 'point: ...', 'person: ...'.
        problems: what was wrong with each broken item, one line each.
    """

    source: str
    read: dict[str, int] = field(default_factory=dict)
    dropped: Counter = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """Reasons and counts, those that took place only, by reason."""
        return sorted((reason, count) for reason, count in self.dropped.items() if count)

    def line(self) -> str:
        """Return everything in one line."""
        text = f"{self.source}: {', '.join(f'{count} {what}' for what, count in self.read.items())}"
        reasons = ', '.join(f'{count} x {reason}' for reason, count in self.reasons)
        return f'{text}; dropped: {reasons}' if reasons else text

    def table(self) -> str:
        """Return a Markdown table of the counts, and the first problems below it."""
        rows = [('read', what, count) for what, count in self.read.items()]
        rows += [('dropped', reason, count) for reason, count in self.reasons]
        lines = [f'{self.source}', '', '| | what | count |', '|---|---|---:|']
        lines += [f'| {kind} | {what} | {count:,} |' for kind, what, count in rows]
        if self.problems:
            lines += ['', *self.problems[:NAMED_PROBLEMS]]
        if len(self.problems) > NAMED_PROBLEMS:
            lines.append(f'... and {len(self.problems) - NAMED_PROBLEMS} more')
        return '\n'.join(lines)

    def to_dict(self) -> dict:
        """Return plain values for JSON."""
        return dict(
            source=self.source,
            read=dict(self.read),
            dropped=dict(self.reasons),
            problems=list(self.problems),
        )

    @classmethod
    def from_dict(cls, values: dict) -> ReadReport:
        """Read what :meth:`to_dict` gave."""
        return cls(values['source'], values['read'], Counter(values['dropped']), list(values['problems']))
