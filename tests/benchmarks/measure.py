"""How a benchmark measures: interleaved rounds, medians with their range, and a table for the page.

The subjects of one comparison take turns, so that a machine that grows slow meets all of them. Times are wall-clock of one
call each unless said otherwise; the cyclic garbage collector runs, as it does in production.
"""

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROUNDS = int(os.environ.get("PADDOCK_BENCH_ROUNDS", "5"))
SECONDS = float(os.environ.get("PADDOCK_BENCH_SECONDS", "2"))  # of each subject in each round
WARM_UP = 0.1  # of a round's length, before it


@dataclass(frozen=True, slots=True)
class Round:
    """One subject's calls in one round, in microseconds; ``cpu`` is this process's CPU time for each."""

    count: int
    p50: float
    p99: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Figure:
    """The median of the rounds, with the least and the greatest."""

    middle: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Figure":
        return cls(median(values), min(values), max(values))

    def __str__(self) -> str:
        return f"{_short(self.middle)} [{_short(self.least)}-{_short(self.greatest)}]"


def run_round(call: Callable[[], object], seconds: float) -> Round:
    """Calls as often as fits into the time."""
    for length in (seconds * WARM_UP, seconds):
        took = []
        ends_at = time.perf_counter() + length
        began_cpu = time.process_time_ns()
        while True:
            began = time.perf_counter_ns()
            call()
            took.append(time.perf_counter_ns() - began)
            if time.perf_counter() >= ends_at:
                break
        cpu = time.process_time_ns() - began_cpu
    took.sort()
    return Round(len(took), took[len(took) // 2] / 1e3, took[len(took) * 99 // 100] / 1e3, cpu / len(took) / 1e3)


def compare(
    subjects: Mapping[str, Callable[[], object]], *, rounds: int = ROUNDS, seconds: float = SECONDS
) -> dict[str, list[Round]]:
    """All subjects in turn, ``rounds`` times."""
    found: dict[str, list[Round]] = {name: [] for name in subjects}
    for _ in range(rounds):
        for name, call in subjects.items():
            found[name].append(run_round(call, seconds))
    return found


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def times(found: Mapping[str, Sequence[Round]]) -> str:
    """What ``compare`` found, as a table."""
    rows = [
        (
            name,
            Figure.of([one.p50 for one in each]),
            Figure.of([one.p99 for one in each]),
            Figure.of([one.cpu for one in each]),
            sum(one.count for one in each),
        )
        for name, each in found.items()
    ]
    return table(["subject", "p50 us", "p99 us", "CPU us", "calls"], rows)


def machine() -> str:
    """Where it was measured."""
    lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    return f"{os.cpu_count()} cores ({model}), {platform.system()} {platform.release()}, Python {platform.python_version()}"


def report(name: str, text: str) -> None:
    """Prints a result, and keeps it as a file below ``PADDOCK_BENCH_FOLDER`` when that is set."""
    print(f"\n{name} ({machine()}; {ROUNDS} rounds of {SECONDS} s)\n\n{text}\n")
    if folder := os.environ.get("PADDOCK_BENCH_FOLDER"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{name}.md").write_text(f"{text}\n")


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
