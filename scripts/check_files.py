"""Rules of this repository that no linter knows: sizes of files, and no broad excepts."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

MOST_LINES = 500
MOST_BYTES = 5_000_000


def main() -> int:
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, check=True)
    files = [Path(name) for name in listed.stdout.split("\0") if name and Path(name).is_file()]
    found = [problem for file in files for problem in problems(file)]
    print("\n".join(found) or f"{len(files)} files keep the rules")
    return 1 if found else 0


def problems(file: Path) -> list[str]:
    found = []
    if file.stat().st_size > MOST_BYTES:
        found.append(f"{file}: over {MOST_BYTES} bytes")
    if file.suffix == ".py":
        source = file.read_text("utf-8")
        if source.count("\n") > MOST_LINES:
            found.append(f"{file}: over {MOST_LINES} lines")
        if file.parts[0] == "care_bridge":
            found += [f"{file}:{line}: broad except" for line in broad_excepts(source)]
    return found


def broad_excepts(source: str) -> list[int]:
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"})
    ]


if __name__ == "__main__":
    sys.exit(main())
