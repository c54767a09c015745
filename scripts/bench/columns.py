"""A table of docs/benchmarks.md with a column a processor. A run replaces the column of its own processor, and no
other.

    python3 scripts/bench/columns.py    # shows what merge does with a small table, and fails where it is wrong

Standard library only.
"""

import re


def processor():
    """The name of this machine's processor, as a column has it: two kinds with the same name differ by family and
    model."""
    with open("/proc/cpuinfo") as f:
        text = f.read()
    field = lambda name: (re.search(rf"^{name}\s*:\s*(.*)$", text, re.M) or [None, "?"])[1].strip()
    return f"{field('model name')} (family {field('cpu family')}, model {field('model')})"


def cells(line):
    return [c.strip() for c in line.strip().strip("|").split("|")]


def merge(text, column, values, about):
    """text is a table, then a line "- COLUMN: …" for each column, then anything. values are {row: cell}; about is
    what the line of the column says. Rows and columns that are not there yet are added; cells that were not measured
    are empty."""
    lines = text.strip().split("\n")
    table = [l for l in lines if l.startswith("|")]
    notes = {l[2:].split(": ", 1)[0]: l[2:].split(": ", 1)[1] for l in lines if l.startswith("- ") and ": " in l}
    rest = "\n".join(l for l in lines if not l.startswith(("|", "- "))).strip()
    head = cells(table[0])[1:] if table else []
    rows = {cells(l)[0]: cells(l)[1:] for l in table[2:]}
    if column not in head:
        head.append(column)
    at = head.index(column)
    for row in list(rows) + [r for r in values if r not in rows]:
        have = rows.setdefault(row, [])
        have += [""] * (len(head) - len(have))
        have[at] = values.get(row, "")
    notes[column] = about
    out = ["| | " + " | ".join(head) + " |", "| --- |" + " --- |" * len(head)]
    out += [f"| {row} | " + " | ".join(have) + " |" for row, have in rows.items()]
    return "\n".join(out + [""] + [f"- {c}: {notes[c]}" for c in head if c in notes] + ["", rest]).rstrip() + "\n"


def replace(path, marks, column, values, about):
    """merge between two marks of a file."""
    with open(path) as f:
        text = f.read()
    if marks[0] not in text:
        raise SystemExit(f"{path} has no {marks[0]}")
    before, after = text.split(marks[0], 1)
    table, after = after.split(marks[1], 1)
    with open(path, "w") as f:
        f.write(before + marks[0] + "\n" + merge(table, column, values, about) + marks[1] + after)


if __name__ == "__main__":
    one = merge("", "A", {"x": "1", "y": "2"}, "first")
    two = merge(one + "\nmore\n", "B", {"x": "3", "z": "4"}, "second: 2 threads")
    three = merge(two, "A", {"x": "9"}, "again")
    print(three)
    want = "| | A | B |\n| --- | --- | --- |\n| x | 9 | 3 |\n| y |  |  |\n| z |  | 4 |\n\n- A: again\n- B: second: 2 threads\n\nmore\n"
    assert three == want, f"want\n{want}"
