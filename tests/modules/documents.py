"""Writes version, examples and tables of inputs and outputs of each module's README, and checks that they are right.

In: terraform/modules/<module>/*.tf, formatted by `terraform fmt`, its CHANGELOG.md, newest version first, and its examples.
Out: the part of README.md between the markers, or with `--check` exit code 1 and the names of READMEs that differ. Wrong: a
module without markers, without a version, without one of both examples, or whose README does not say what it costs; a
variable or output without a description.
"""

import argparse
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODULES = ROOT / "terraform/modules"
BEGIN, END = "<!-- inputs-and-outputs -->", "<!-- /inputs-and-outputs -->"
EXAMPLES = ("minimal", "complete")
PRICES = "List prices, eu-central-1, at the time of writing."
TOKEN = re.compile(r'\s+|"(?:[^"\\]|\\.)*"|#[^\n]*|[A-Za-z_][A-Za-z0-9_-]*|-?\d+(?:\.\d+)?|.', re.S)


class Wrong(Exception):
    """A module that cannot be documented."""


def blocks(text, kind):
    """Yields name and body of each block of a kind, in the order of the file."""
    for found in re.finditer(rf'^{kind} "([^"]+)" {{\n(.*?)^}}$', text, re.M | re.S):
        yield found[1], found[2]


def argument(body, name):
    """Returns the expression of an argument at the block's own depth, or None."""
    found = re.search(rf"^  {name}\s*=\s*", body, re.M)
    if not found:
        return None
    depth, taken = 0, []
    for token in tokens(body[found.end():]):
        if token == "\n" and depth == 0:
            break
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(token, 0)
        taken.append(token)
    return taken


def tokens(text):
    """Yields the tokens of an expression; of white space only line ends."""
    for token in TOKEN.findall(text):
        if token.isspace():
            if "\n" in token:
                yield "\n"
        elif not token.startswith("#"):
            yield token


def compact(taken):
    """Returns an expression on one line."""
    words = [token for token in taken if token != "\n"]
    text = " ".join(words)
    for pattern, shorter in ((r"\s*([(),\[\]])\s*", r"\1"), (r",", ", "), (r",\s*([)\]}])", r"\1"), (r"{\s*}", "{}"), (r"\s*\.\s*", ".")):
        text = re.sub(pattern, shorter, text)
    return text.strip()


def shape(taken):
    """Returns a type as people read it: the keys of an object, `?` behind an optional one."""
    words = [token for token in taken if token != "\n"]
    at = 0

    def read():
        nonlocal at
        name = words[at]
        at += 1
        if at >= len(words) or words[at] != "(":
            return name
        at += 1
        if name == "object":
            at += 1
            keys = []
            while words[at] != "}":
                key = words[at]
                at += 2
                optional = words[at] == "optional"
                inner = read()
                keys.append(f"{key}{'?' if optional else ''}{inner[inner.index('{'):].rstrip(')') if '{' in inner else ''}")
                if words[at] == ",":
                    at += 1
            at += 1
            inner = "{" + ", ".join(keys) + "}"
        else:
            inner = read()
        depth = 1
        while depth:
            depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(words[at], 0)
            at += 1
        return inner if name in ("object", "optional") else f"{name}({inner})"

    return read()


def cell(text):
    # Outside of code, what is between < and > would be an element of HTML.
    parts = text.replace("|", "\\|").replace("\n", " ").split("`")
    return "`".join(part if index % 2 else part.replace("<", "&lt;") for index, part in enumerate(parts))


def described(module, name, body):
    found = argument(body, "description")
    if not found:
        raise Wrong(f"{module}: `{name}` has no description")
    return found[0][1:-1].replace('\\"', '"')


def tables(folder):
    """Returns the two tables of a module."""
    text = "\n".join(path.read_text() for path in sorted(folder.glob("*.tf")))
    lines = ["| Input | Type | Default | Meaning |", "|---|---|---|---|"]
    for name, body in blocks(text, "variable"):
        kind, default = argument(body, "type"), argument(body, "default")
        shown = "" if default is None else f"`{compact(default)}`"
        if len(shown) > 120:
            shown = "see variables.tf"
        lines.append(f"| `{name}` | `{cell(shape(kind))}` | {cell(shown)} | {cell(described(folder.name, name, body))} |")
    lines += ["", "| Output | Meaning |", "|---|---|"]
    for name, body in blocks(text, "output"):
        lines.append(f"| `{name}` | {cell(described(folder.name, name, body))} |")
    return "\n".join(lines)


def version(folder):
    """Returns the newest version in the module's changelog."""
    changelog = (folder / "CHANGELOG.md").read_text() if (folder / "CHANGELOG.md").is_file() else ""
    found = re.search(r"^## (\d+\.\d+\.\d+)$", changelog, re.M)
    if not found:
        raise Wrong(f"{folder.name}: CHANGELOG.md has no version, such as ## 1.0.0")
    return found[1]


def examples(folder):
    """Returns links to the module's examples."""
    for name in EXAMPLES:
        if not (folder / "examples" / name / "main.tf").is_file():
            raise Wrong(f"{folder.name}: examples/{name}/main.tf is missing")
    return ", ".join(f"[{name}](examples/{name})" for name in EXAMPLES)


def check_cost(folder, readme):
    """Raises where the README does not say what the module costs, or gives prices without saying whose they are."""
    found = re.search(r"^## Cost\n\n(.+?)(?=\n## |\n<!-- |\Z)", readme, re.M | re.S)
    if not found or not found[1].strip():
        raise Wrong(f"{folder.name}: README.md has no section ## Cost")
    if re.search(r"\d", re.sub(r"\(.*?\)", "", found[1])) and PRICES not in found[1]:
        raise Wrong(f"{folder.name}: the section Cost of README.md gives prices without {PRICES!r}")


def with_tables(folder):
    """Returns the module's README, and as it would be with the right version, examples and tables."""
    readme = (folder / "README.md").read_text()
    if readme.count(BEGIN) != 1 or readme.count(END) != 1 or readme.index(BEGIN) > readme.index(END):
        raise Wrong(f"{folder.name}: README.md needs the lines {BEGIN} and {END} once each, in this order")
    before, after = readme[:readme.index(BEGIN)], readme[readme.index(END):]
    check_cost(folder, readme)
    summary = f"Version {version(folder)} ([changelog](CHANGELOG.md)). Examples: {examples(folder)}."
    return readme, f"{before}{BEGIN}\n\n{summary}\n\n{tables(folder)}\n\n{after}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing, and fail where a README differs")
    check = parser.parse_args().check
    differ = []
    for folder in sorted(path for path in MODULES.iterdir() if list(path.glob("*.tf"))):
        try:
            readme, right = with_tables(folder)
        except Wrong as wrong:
            differ.append(str(wrong))
            continue
        if readme != right:
            if check:
                differ.append(f"{folder.name}: version, examples or tables of README.md are not those of CHANGELOG.md, examples/ and the .tf files")
            else:
                (folder / "README.md").write_text(right)
                print(f"{folder.name}: README.md written")
    for line in differ:
        print(line, file=sys.stderr)
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
