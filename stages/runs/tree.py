"""The package's files, and which of them are executed from a starting point: the import closure.

Static: every import of ours counts, wherever in a file it stands, and so do a module or data file
(a template, a table of references) that a string names and a data file beside a module of the
same name. Of packages that hold alternatives only those files count that the caller chose.
"""

import hashlib
from collections.abc import Iterator, Mapping, Set
from pathlib import Path

import stages
from stages.runs.code_file import CodeFile, read_code_file

ROOT = Path(stages.__file__).resolve().parent


class SourceTree:
    """All files of a package as they are when they are first asked for; a new tree looks again.

    `root` is the package's folder.
    """

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root
        self._modules: dict[str, Path] = {}
        self._data: dict[str, Path] = {}
        self._sources: dict[Path, CodeFile] = {}
        for path in sorted(root.rglob("*")):
            if path.suffix == ".py":
                self._modules[self._dotted(path)] = path
            elif path.is_file() and path.parent.name != "__pycache__":
                self._data[path.name] = path

    def closure(self, entry: str, chosen: Mapping[str, Set[str]]) -> dict[str, str]:
        """Every file that running the module `entry` may execute or read, with its hash.

        `chosen` has packages of alternatives and the names of their modules that are used; what
        a package's own `__init__` imports of it does not count. Keys are paths from the folder
        above the package, in order; an unknown entry gives none.
        """
        found: set[Path] = set()
        waiting = set(self._loaded(entry))
        while waiting:
            path = waiting.pop()
            found.add(path)
            waiting |= set(self._uses(path, chosen)) - found
        hashes = {path.relative_to(self.root.parent): self._read(path).digest for path in found}
        return {path.as_posix(): hashes[path] for path in sorted(hashes)}

    def _uses(self, path: Path, chosen: Mapping[str, Set[str]]) -> Iterator[Path]:
        """The files that one file imports or names."""
        source = self._read(path)
        if path.suffix == ".py":
            name = self._dotted(path)
            imports = set(source.imports | source.texts & self._modules.keys())
            if name in chosen:
                imports = {other for other in imports if not other.startswith(f"{name}.")}
                imports |= {f"{name}.{module}" for module in chosen[name]}
            for other in imports:
                yield from self._loaded(other)
        for text, data in self._data.items():
            if text in source.texts or data.with_suffix(".py") == path:
                yield data

    def _loaded(self, name: str) -> Iterator[Path]:
        """The file of a module of ours and those of the packages around it."""
        while name in self._modules:
            yield self._modules[name]
            name = name.rpartition(".")[0]

    def _read(self, path: Path) -> CodeFile:
        if path not in self._sources:
            content = path.read_bytes()
            if path.suffix == ".py":
                inside = path.name == "__init__.py"
                name = self._dotted(path)
                package = name if inside else name.rpartition(".")[0]
                self._sources[path] = read_code_file(content, package)
            else:
                self._sources[path] = self._read_data(content)
        return self._sources[path]

    def _read_data(self, content: bytes) -> CodeFile:
        """A template names the ones that it includes; anything else names nothing."""
        named = {name for name in self._data if f'"{name}"'.encode() in content}
        return CodeFile(hashlib.sha256(content).hexdigest(), frozenset(), frozenset(named))

    def _dotted(self, path: Path) -> str:
        parts = path.relative_to(self.root.parent).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
