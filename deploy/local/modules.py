#!/usr/bin/env python3
"""Checks the dependencies among the Rust modules.

    modules.py [ROOT]           prints violations, and exits with 1 if there are any
    modules.py [ROOT] --edges   prints every import, one "importer imported" pair per line

Rules:

1. Modules do not import each other cyclically, neither as files nor as folders with everything in them.
2. A crate imports only the crates that CRATES allows.
3. Outside tests, a third-party crate is used only in the modules that WRAPPERS allows.

A module imports another if a `use` or a path in its code names an item that the other one defines. A re-export
(`pub use`) is not an import; its users import the module that defines the item. Unit tests may import anything.
"""

import re
import sys
from pathlib import Path

# Each crate: its source folder, and the crates that it may import.
CRATES = {
    "common": ("common/src", ()),
    "images": ("data/images/src", ("common",)),
    "dataset": ("data/dataset/src", ("common", "images")),
    "crawler": ("data/crawler/src", ("common", "images", "dataset")),
    "worker": ("worker/src", ("common", "images", "dataset", "crawler")),
    "coordinator": ("coordinator/src", ("common", "images", "dataset", "crawler")),
    "fake_site": ("tests/fake_site/src", ("dataset",)),
    "tests": ("tests/src", ("common", "images", "dataset", "crawler", "worker", "coordinator", "fake_site")),
}

# Third-party crates, and the modules that may use them, including their submodules.
WRAPPERS = {
    "axum": ["coordinator::server::http"],
    "fantoccini": ["crawler::ranking"],
    "image": ["images"],
    "lapin": ["common::broker"],
    "redis": ["common::store"],
    "reqwest": ["crawler::http", "coordinator::cli::client"],
    "rustix": ["dataset::files::folder"],
    "tch": ["worker::model"],
    "turbojpeg": ["images"],
}

COMMENT_OR_TEXT = re.compile(
    r'//[^\n]*|/\*.*?\*/|\bb?r(#*)".*?"\1|b?"(?:\\.|[^"\\])*"|b?\'(?:\\.[^\']*|[^\\\'])\'', re.S
)
VISIBILITY = r"(?:pub(?:\([^)]*\))?\s+)?"
UNIT_TEST = re.compile(rf"#\[cfg\((?:all\()?test[^\]]*\)\]\s*(?:#\[[^\]]*\]\s*)*{VISIBILITY}")
USE = re.compile(r"(?<!\w)(pub(?:\([^)]*\))?\s+)?use\s+([^;]+);")


class Module:
    """A source file: child modules, re-exports by name, imported paths, and the remaining code."""

    def __init__(self, source):
        code = without_unit_tests(COMMENT_OR_TEXT.sub(lambda match: " " if match[0][0] == "/" else '""', source))
        self.children = set(re.findall(rf"^\s*{VISIBILITY}mod\s+(\w+)\s*;", code, re.M))
        self.reexports, self.imports, names = {}, [], dict.fromkeys(self.children)
        for public, tree in USE.findall(code):
            for path, name in leaves(tree):
                if public:
                    self.reexports.setdefault(name, []).append(path)
                else:
                    self.imports.append(path)
                    names[name] = path
        self.code = USE.sub("", code)
        self.imports += [path.split("::") for path in re.findall(r"\b(?:crate|super|self)(?:::\w+)+", self.code)]
        # `use crate::store::keys;` imports what the code then calls `keys::…`; so does `mod keys;`.
        for name, item in re.findall(r"(?<![\w:])(\w+)::(\w+)", self.code):
            if name in names:
                self.imports.append([*(names[name] or [name]), item])

    def uses(self, crate):
        """Whether the module uses the third-party crate `crate`."""
        paths = [*self.imports, *(path for paths in self.reexports.values() for path in paths)]
        return any(path[0] == crate for path in paths) or re.search(rf"(?<![\w:.]){crate}::", self.code)


def without_unit_tests(code):
    while match := UNIT_TEST.search(code):
        depth, end = 0, match.end()
        while end < len(code):
            depth += {"{": 1, "}": -1}.get(code[end], 0)
            end += 1
            if depth == 0 and code[end - 1] in "};":
                break
        code = code[: match.start()] + code[end:]
    return code


def leaves(tree, prefix=()):
    """Yields the path of each leaf of a `use` tree, and the name in scope."""
    for part in split_at_commas(" ".join(tree.split())):
        if "{" in part:
            head, _, rest = part.partition("{")
            yield from leaves(rest[: rest.rindex("}")], (*prefix, *filter(None, head.strip().split("::"))))
            continue
        path, _, alias = part.partition(" as ")
        path = [*prefix, *path.strip().split("::")]
        if path[-1] == "self":
            path.pop()
        yield path, alias.strip() or path[-1]


def split_at_commas(text):
    depth, parts = 0, [""]
    for char in text:
        depth += {"{": 1, "}": -1}.get(char, 0)
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts if part.strip()]


def load(root):
    """Reads every module below `root`, by its path: ("common", "store", "keys")."""
    modules = {}
    for crate, (folder, _) in CRATES.items():
        for file in sorted((root / folder).rglob("*.rs")):
            path = list(file.relative_to(root / folder).with_suffix("").parts)
            if path[0] in ("main", "bin") or "tests" in path:
                continue
            if path[-1] in ("mod", "lib"):
                path.pop()
            modules[(crate, *path)] = Module(file.read_text())
    return modules


def absolute(modules, importer, path):
    """The path from the name of its crate on; None for a third-party crate."""
    first, rest = path[0], path[1:]
    if first == "crate":
        return [importer[0], *rest]
    if first == "self":
        return [*importer, *rest]
    if first == "super":
        above = importer[:-1]
        while rest and rest[0] == "super":
            above, rest = above[:-1], rest[1:]
        return [*above, *rest]
    if (first,) in modules and first != importer[0]:
        return list(path)
    if first in modules[importer].children:
        return [*importer, *path]
    return None


def definer(modules, importer, path, depth=0):
    """The module that defines the item named `path` in `importer`; None for modules and third-party crates."""
    path = absolute(modules, importer, path)
    if path is None or depth > 8:
        return None
    length = next((end for end in range(len(path), 0, -1) if tuple(path[:end]) in modules), 0)
    holder, item = tuple(path[:length]), path[length:]
    if not length or not item:
        return None
    for target in modules[holder].reexports.get(item[0], []) if holder != importer else []:
        if found := definer(modules, holder, [*target, *item[1:]], depth + 1):
            return found
    return holder


def import_graph(modules):
    """What each module imports."""
    graph = {}
    for importer, module in modules.items():
        found = {definer(modules, importer, path) for path in module.imports} - {None, importer}
        graph[importer] = found
    return graph


def folded(graph, folder):
    """The imports among the direct children of `folder`, including their submodules, each with one example."""
    depth, result = len(folder), {}
    for importer, targets in graph.items():
        for target in targets:
            if importer[:depth] == folder == target[:depth]:
                a, b = importer[: depth + 1], target[: depth + 1]
                if a != b:
                    result.setdefault(a, {}).setdefault(b, (importer, target))
    return result


def cycles(graph):
    """The strongly connected components of more than one node (Tarjan 1972)."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in sorted(graph.get(node, ())):
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            component = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(component) > 1:
                found.append(sorted(component))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def violations(modules, graph):
    name = "::".join
    for folder in sorted({path[:depth] for path in modules for depth in range(1, len(path))}):
        within = folded(graph, folder)
        for component in cycles(within):
            yield f"{' and '.join(map(name, component))} import each other:"
            for a in component:
                for b, (importer, imported) in sorted(within[a].items()):
                    if b in component:
                        yield f"    {name(importer)} imports {name(imported)}"
    for importer, targets in graph.items():
        allowed = (importer[0], *CRATES[importer[0]][1])
        for target in sorted(targets):
            if target[0] not in allowed:
                yield f"{name(importer)} imports {name(target)}: {importer[0]} may not depend on {target[0]}"
    for path, module in modules.items():
        for crate, wrappers in WRAPPERS.items():
            is_wrapper = any(f"{name(path)}::".startswith(f"{wrapper}::") for wrapper in wrappers)
            if path[0] not in ("tests", "fake_site") and not is_wrapper and module.uses(crate):
                yield f"{name(path)} uses {crate}: only {' and '.join(wrappers)} may"


def main():
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parents[2]
    modules = load(root)
    if not modules:
        sys.exit(f"error: {root} has no modules")
    graph = import_graph(modules)
    if "--edges" in sys.argv:
        print(*sorted(f"{'::'.join(a)} {'::'.join(b)}" for a, targets in graph.items() for b in targets), sep="\n")
        return
    found = list(violations(modules, graph))
    print(*found, f"{len(modules)} modules, {sum(map(len, graph.values()))} imports", sep="\n")
    if found:
        sys.exit(1)
    print("no cyclic imports")


if __name__ == "__main__":
    main()
