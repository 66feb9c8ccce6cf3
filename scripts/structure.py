"""Measure the structure of a checkout: ``python scripts/structure.py [ROOT ...]``.

Prints a Markdown table with a column per tree (by default of the repository this script stands in),
then what lies at the top of the package and which imports tie two packages both ways.

Code lines: not blank, not only a comment, not in a docstring. Functions: methods and nested ones
too, from ``def`` to the end. p90: nearest rank. Median of module lines: of modules that hold code.
Cyclomatic complexity: 1, and 1 for each if, elif, conditional expression, for, while, except, case,
operand of and / or after the first, for and if of a comprehension; nested functions included.
Public: the own name has no leading underscore. Late import: a statement inside a function; blocks
under ``if TYPE_CHECKING`` are skipped. An import leads to the module it names, not to the packages
around that; in a chain, a circle counts as one module. Packages: ``flows``, ``tasks``, each folder
in ``st_kpi``, and ``base`` for the modules beside those (``__main__`` alone). Two-way tie: two
packages that import each other, late imports too. Bindings: arguments but ``self`` and ``cls``, and
names that functions bind by assignment, loop or ``with``, not by comprehensions.
"""

import argparse
import ast
import io
import math
import statistics
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from importlib.util import resolve_name
from itertools import combinations
from pathlib import Path

CORE = "st_kpi"
PACKAGES = (CORE, "flows", "tasks")
LONG_FUNCTION = 40
HIGH_COMPLEXITY = 10
#: Words that leave open what a variable holds.
BARE_WORDS = {
    *("found", "known", "told", "wanted", "kept", "made", "given", "came"),
    *("gone", "said", "asked", "opened", "touched", "there"),
}

Branch = (
    ast.If | ast.IfExp | ast.For | ast.AsyncFor | ast.While | ast.ExceptHandler | ast.match_case
)
Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = ast.Module | ast.ClassDef | Function
Graph = dict[str, set[str]]
Rows = Iterator[tuple[str, str]]


@dataclass(frozen=True, eq=False)
class Module:
    """One source file and what it is made of."""

    file: Path
    name: str
    tree: ast.Module
    lines: int
    code_lines: int
    docstring_lines: int
    comments: list[str]

    @property
    def package(self) -> str:
        """The package that two-way ties count it to."""
        top, *rest = self.file.parts
        if top != CORE or len(rest) > 1:
            return rest[0] if top == CORE else top
        return "__main__" if rest == ["__main__.py"] else "base"


@dataclass(frozen=True)
class Import:
    """A module that a line imports; what is not one of the packages' modules has no package."""

    importer: Module
    name: str
    package: str | None
    line: int
    late: bool


@dataclass(frozen=True)
class Tree:
    """A checkout."""

    root: Path
    modules: list[Module]
    tests: list[Module]
    imports: list[Import]


def read_tree(root: Path) -> Tree:
    """Read all sources of a checkout once."""
    modules = read_modules(root, *PACKAGES)
    packages = {module.name: module.package for module in modules}
    imports = [imported for module in modules for imported in imports_of(module, packages)]
    return Tree(root, modules, read_modules(root, "tests"), list(dict.fromkeys(imports)))


def read_modules(root: Path, *folders: str) -> list[Module]:
    """Read all Python files of folders."""
    paths = [path for folder in folders for path in sorted((root / folder).rglob("*.py"))]
    return [read_module(root, path) for path in paths]


def read_module(root: Path, path: Path) -> Module:
    """Read one file and tell code, comments and docstrings apart."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    docstrings = docstring_lines(tree)
    code = [
        number
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#") and number not in docstrings
    ]
    file = path.relative_to(root)
    return Module(
        file=file,
        name=".".join(file.with_suffix("").parts).removesuffix(".__init__"),
        tree=tree,
        lines=len(text.splitlines()),
        code_lines=len(code),
        docstring_lines=len(docstrings),
        comments=[token.string for token in tokens if token.type == tokenize.COMMENT],
    )


def docstring_lines(tree: ast.Module) -> set[int]:
    """Line numbers of all docstrings."""
    owners = [node for node in ast.walk(tree) if isinstance(node, Documented)]
    strings = [node.body[0] for node in owners if has_docstring(node)]
    return {line for s in strings for line in range(s.lineno, (s.end_lineno or 0) + 1)}


def has_docstring(node: Documented) -> bool:
    """Whether a module, class or function is documented."""
    return ast.get_docstring(node, clean=False) is not None


def walk(node: ast.AST, inside: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """All nodes below, each with whether it is inside a function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            continue
        yield child, inside
        yield from walk(child, inside or isinstance(child, Function))


def imports_of(module: Module, packages: dict[str, str]) -> Iterator[Import]:
    """What a module imports: ``package.name`` if that is a module, else ``package``."""
    here = module.name if module.file.stem == "__init__" else module.name.rpartition(".")[0]
    for node, late in walk(module.tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            source = resolve_name("." * node.level + (node.module or ""), here)
            full = [f"{source}.{alias.name}" for alias in node.names]
            names = [name if name in packages else source for name in full]
        else:
            continue
        yield from (Import(module, n, packages.get(n), node.lineno, late) for n in names)


def import_graph(tree: Tree, late: bool) -> Graph:
    """The modules that each module imports."""
    graph: Graph = {module.name: set() for module in tree.modules}
    for imported in tree.imports:
        if imported.package and (late or not imported.late):
            graph[imported.importer.name].add(imported.name)
    return graph


def circles(graph: Graph) -> dict[str, str]:
    """For each module the first module of its circle; itself where it is in none."""
    reach = {name: {name, *imported} for name, imported in graph.items()}
    for between in graph:
        for name in graph:
            if between in reach[name]:
                reach[name] |= reach[between]
    return {name: min(other for other in reach[name] if name in reach[other]) for name in graph}


def largest_circle(graph: Graph) -> int:
    """How many modules the largest circle has; 0 where there is none."""
    size = max(Counter(circles(graph).values()).values())
    return size if size > 1 else 0


def longest_chain(graph: Graph) -> int:
    """How many modules the longest chain of imports has."""
    circle = circles(graph)
    condensed: Graph = defaultdict(set)
    for name, imported in graph.items():
        condensed[circle[name]] |= {circle[other] for other in imported} - {circle[name]}
    length: dict[str, int] = {}
    for name in TopologicalSorter(condensed).static_order():
        length[name] = 1 + max((length[other] for other in condensed[name]), default=0)
    return max(length.values())


def two_way_ties(tree: Tree) -> list[tuple[list[Import], list[Import]]]:
    """The imports, there and back, of each two packages that import each other."""
    between: dict[tuple[str, str], list[Import]] = defaultdict(list)
    for imported in tree.imports:
        if imported.package:
            between[imported.importer.package, imported.package].append(imported)
    pairs = combinations(sorted({module.package for module in tree.modules}), 2)
    ties = [(between[one, other], between[other, one]) for one, other in pairs]
    return [(there, back) for there, back in ties if there and back]


def branches(node: ast.AST) -> int:
    """What one node adds to the cyclomatic complexity."""
    if isinstance(node, ast.BoolOp):
        return len(node.values) - 1
    if isinstance(node, ast.comprehension):
        return 1 + len(node.ifs)
    return int(isinstance(node, Branch))


def bindings(module: Module) -> Iterator[str]:
    """The names of arguments and local variables, each time they are bound."""
    nodes = list(walk(module.tree))
    targets = [node.target for node, _ in nodes if isinstance(node, ast.comprehension)]
    skipped = {name for target in targets for name in ast.walk(target)}
    for node, inside in nodes:
        if isinstance(node, ast.arg) and node.arg not in ("self", "cls"):
            yield node.arg
        elif inside and isinstance(node, ast.Name) and node not in skipped:
            yield from [node.id] if isinstance(node.ctx, ast.Store) else []


def functions_in(modules: Sequence[Module]) -> list[Function]:
    """All functions of modules."""
    nodes = [node for module in modules for node in ast.walk(module.tree)]
    return [node for node in nodes if isinstance(node, Function)]


def line_counts(functions: Sequence[Function]) -> list[int]:
    """How long functions are, shortest first."""
    return sorted((f.end_lineno or 0) - f.lineno + 1 for f in functions)


def middle(ranked: Sequence[int]) -> str:
    """The median of sorted values, and what nine of ten do not exceed."""
    return f"{statistics.median(ranked):.0f} / {ranked[math.ceil(0.9 * len(ranked)) - 1]}"


def share(of_interest: Sequence[bool], digits: int = 1) -> str:
    """How many in a hundred are true."""
    return f"{100 * sum(of_interest) / len(of_interest):.{digits}f}"


def size_rows(tree: Tree) -> Rows:
    """How much there is and how it lies in files."""
    all_lines = [module.lines for module in tree.modules]
    product = [module.lines for module in tree.modules if module.package != "sandbox"]
    median = statistics.median(module.lines for module in tree.modules if module.code_lines)
    files, folders = top_level(tree)
    yield "modules / lines (thousand)", f"{len(all_lines)} / {sum(all_lines) / 1000:.1f}"
    yield "the same without the sandbox", f"{len(product)} / {sum(product) / 1000:.1f}"
    yield f"top level of {CORE}: modules + folders", f"{len(files)} + {len(folders)}"
    yield "module lines, median / max", f"{median:.0f} / {max(all_lines)}"


def top_level(tree: Tree) -> tuple[list[str], list[str]]:
    """Modules and folders right inside the package; ``__init__`` is the package itself."""
    paths = sorted((tree.root / CORE).iterdir())
    files = [path.name for path in paths if path.suffix == ".py" and path.stem != "__init__"]
    return files, [f"{path.name}/" for path in paths if any(path.rglob("*.py"))]


def function_rows(tree: Tree) -> Rows:
    """How long and how branched functions are."""
    functions = functions_in(tree.modules)
    lines = line_counts(functions)
    scores = [1 + sum(map(branches, ast.walk(function))) for function in functions]
    high = share([score > HIGH_COMPLEXITY for score in scores])
    yield "function lines, median / p90 / max", f"{middle(lines)} / {lines[-1]}"
    yield f"functions over {LONG_FUNCTION} lines", f"{share([n > LONG_FUNCTION for n in lines])} %"
    yield f"cyclomatic over {HIGH_COMPLEXITY} / max", f"{high} % / {max(scores)}"


def docstring_rows(tree: Tree) -> Rows:
    """What share of modules, public classes and public functions is documented."""
    trees = [module.tree for module in tree.modules]
    classes = [n for root in trees for n in ast.walk(root) if isinstance(n, ast.ClassDef)]
    kinds: list[list[Documented]] = [
        [*trees],
        [node for node in classes if not node.name.startswith("_")],
        [node for node in functions_in(tree.modules) if not node.name.startswith("_")],
    ]
    shares = [share([has_docstring(node) for node in nodes], digits=0) for nodes in kinds]
    yield "docstrings: modules / public classes / public functions", f"{' / '.join(shares)} %"


def text_rows(tree: Tree) -> Rows:
    """Comments and docstrings beside the code, and the names in it."""
    code = sum(module.code_lines for module in tree.modules)
    comments = [comment for module in tree.modules for comment in module.comments]
    docstrings = sum(module.docstring_lines for module in tree.modules)
    ignored = sum("type: ignore" in comment for comment in comments)
    product = [module for module in tree.modules if module.package != "sandbox"]
    bare = share([name in BARE_WORDS for module in product for name in bindings(module)])
    yield "comment lines per 100 code lines", f"{100 * len(comments) / code:.1f}"
    yield "docstring lines per 100 code lines", f"{100 * docstrings / code:.0f}"
    yield "`type: ignore` per 1,000 code lines", f"{1000 * ignored / code:.1f}"
    yield "bindings called by a bare word, without the sandbox", f"{bare} %"


def import_rows(tree: Tree) -> Rows:
    """How modules and packages hang together."""
    code = sum(module.code_lines for module in tree.modules)
    late = {(imported.importer.file, imported.line) for imported in tree.imports if imported.late}
    graphs = [import_graph(tree, late=False), import_graph(tree, late=True)]
    circle, chain = (
        " / ".join(str(measure(graph)) for graph in graphs)
        for measure in (largest_circle, longest_chain)
    )
    yield "late imports per 1,000 code lines", f"{1000 * len(late) / code:.1f}"
    yield "modules in the largest import circle, without / with late imports", circle
    yield "longest import chain, without / with late imports", chain
    yield "two-way ties between packages", str(len(two_way_ties(tree)))


def test_rows(tree: Tree) -> Rows:
    """How much is tested, and the README."""
    sizes = [module.lines for module in tree.tests]
    tests = [test for test in functions_in(tree.tests) if test.name.startswith("test_")]
    lines = f"{middle(line_counts(tests))}; {max(sizes):,}"
    readme = (tree.root / "README.md").read_text(encoding="utf-8")
    yield "test lines / lines", f"{sum(sizes) / sum(module.lines for module in tree.modules):.2f}"
    yield "test function lines, median / p90; largest file", lines
    yield "README lines / words", f"{len(readme.splitlines()):,} / {len(readme.split()):,}"


def table(trees: Sequence[Tree]) -> Iterator[str]:
    """The lines of the Markdown table."""
    topics = (size_rows, function_rows, docstring_rows, text_rows, import_rows, test_rows)
    yield f"| | {' | '.join(str(tree.root) for tree in trees)} |"
    yield "|---" * (1 + len(trees)) + "|"
    for topic in topics:
        for rows in zip(*map(topic, trees), strict=True):
            yield f"| {rows[0][0]} | {' | '.join(value for _, value in rows)} |"


def details(tree: Tree) -> Iterator[str]:
    """The names at the top level, and the imports of each two-way tie."""
    yield f"\n{tree.root}: the top level of {CORE}\n"
    yield from (f"- {', '.join(names)}" for names in top_level(tree))
    ties = two_way_ties(tree)
    yield f"\n{tree.root}: {len(ties)} two-way ties\n"
    for imports in (way for tie in ties for way in tie):
        lines = ", ".join(f"{i.importer.file}:{i.line} ({i.name})" for i in imports)
        yield f"- {imports[0].importer.package} imports {imports[0].package}: {lines}"


def main() -> None:
    """Print the table, then the details of each tree."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    here = Path(__file__).resolve().parents[1]
    parser.add_argument("roots", nargs="*", type=Path, default=[here], metavar="ROOT")
    roots: list[Path] = parser.parse_args().roots
    for root in roots:
        if not (root / CORE).is_dir():
            parser.error(f"{root} has no package {CORE}")
    trees = [read_tree(root) for root in roots]
    print(*table(trees), *(line for tree in trees for line in details(tree)), sep="\n")


if __name__ == "__main__":
    main()
