"""Whatever two writers, deaths and adoptions come between each other: the sum is what was written."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aster_tui.domain.lifecycle import Kind, OrderRecord, applied
from aster_tui.store.journal_file import added_up
from aster_tui.store.journal_files import JournalFiles
from tests.domain.test_lifecycle import DOUBT, INTENT, LIFE

NEWS = [*LIFE, *DOUBT]
WRITERS = (0, 1)
STEPS = st.one_of(
    st.tuples(st.just("intend"), st.sampled_from(WRITERS), st.integers(1, 3)),
    st.tuples(st.just("tell"), st.sampled_from(WRITERS), st.integers(0, 6), st.sampled_from(NEWS)),
    st.tuples(st.just("hear"), st.integers(0, 6), st.sampled_from(NEWS)),
    st.tuples(st.just("adopt"), st.sampled_from(WRITERS)),
    st.tuples(st.just("die"), st.sampled_from(WRITERS)),
    st.tuples(st.just("end"), st.sampled_from(WRITERS)),
)
Told = tuple[Kind, int, dict[str, Any]]


@dataclass
class Machine:
    """Two processes on one state folder, and what they were told."""

    folder: Path
    lives: list[int] = field(default_factory=lambda: [0, 0])
    told: dict[str, list[Told]] = field(default_factory=dict)
    adopted: Counter[str] = field(default_factory=Counter)
    clock: int = 2000

    def __post_init__(self) -> None:
        self.writers = [self.process(writer) for writer in WRITERS]

    def process(self, writer: int) -> JournalFiles:
        files = JournalFiles(self.folder, f"{writer}-{self.lives[writer]}")
        self.lives[writer] += 1
        files.open()
        return files

    def intend(self, writer: int, count: int) -> None:
        names = [f"o{len(self.told) + n}" for n in range(count)]
        self.writers[writer].intend([replace(INTENT, client_order_id=name) for name in names])
        self.told |= {name: [] for name in names}

    def tell(self, writers: tuple[int, ...], which: int, news: tuple[Kind, dict[str, Any]]) -> None:
        if not self.told:
            return
        name = [*self.told][which % len(self.told)]
        self.clock += 1
        for writer in writers:
            files = self.writers[writer]
            (seen,) = files.append([(name, news[0], self.clock, news[1])])
            assert essence(seen) == essence(reduced(name, [*self.told[name], (news[0], self.clock, news[1])]))
        self.told[name].append((news[0], self.clock, news[1]))
        for writer in writers:
            self.writers[writer]._hear(0.0)  # the moment that its owner has is over

    def adopt(self, writer: int) -> None:
        for record in self.writers[writer].take_over():
            name = record.client_order_id
            assert record.unresolved
            self.adopted[name] += 1
            self.clock += 1
            self.told[name].append(("resolved", self.clock, {"word": "never-placed"}))
            self.writers[writer].append([(name, "resolved", self.clock, {"word": "never-placed"})])

    def die(self, writer: int) -> None:
        files = self.writers[writer]
        for file in files._all():
            file.release()  # what a kill does
        self.writers[writer] = self.process(writer)

    def end(self, writer: int) -> None:
        self.writers[writer].close()
        self.writers[writer] = self.process(writer)


def reduced(name: str, told: list[Told]) -> OrderRecord:
    record = replace(INTENT, client_order_id=name)
    for kind, at, data in told:
        record = applied(record, kind, at, data)
    return record


def essence(record: OrderRecord | None) -> tuple[Any, ...]:
    """What does not depend on the order in which news came."""
    assert record is not None
    return (
        record.client_order_id,
        record.state,
        record.status,
        record.executed,
        record.average_price,
        record.commission,
        record.realized,
        sorted(record.trade_ids),
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, max_size=25))
def test_the_sum_of_all_files_is_what_was_written(steps: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(Path(folder) / "journal")
        for step in steps:
            if step[0] == "intend":
                machine.intend(step[1], step[2])
            elif step[0] == "tell":
                machine.tell((step[1],), step[2], step[3])
            elif step[0] == "hear":
                machine.tell(WRITERS, step[1], step[2])
            else:
                getattr(machine, step[0])(step[1])
        agree(machine)
        for files in machine.writers:
            files.close()


def agree(machine: Machine) -> None:
    expected = {name: essence(reduced(name, told)) for name, told in machine.told.items()}
    reader = JournalFiles(machine.folder, "reader")
    assert reader.open_to_read()
    for files in (*machine.writers, reader):
        records = files.orders("1", [])
        assert len(records) == len(expected)
        assert {r.client_order_id: essence(r) for r in records} == expected
        for name in expected:
            assert essence(files.order(name)) == expected[name]
            assert essence(added_up(files.lines(name))[0]) == expected[name]
    lines = reader.entries_since({}, 10_000)
    assert len({(line.journal, line.seq) for line in lines}) == len(lines)
    assert Counter(line.client_order_id for line in lines if line.kind == "intent") == Counter([*expected])
    # Nothing is resolved twice: who takes an order over and resolves it is the only one.
    assert all(count == 1 for count in machine.adopted.values())
    assert len(list(machine.folder.glob("*.sqlite"))) <= 2 + sum(machine.lives) - 2
    reader.close()
