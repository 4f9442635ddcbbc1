#!/usr/bin/env python3
"""Checks what the compiler does not: folders, layers, lengths, and patterns that g++ 12 compiles wrongly.

    check.py ROOT

Prints "path:line: rule: what to do" for each violation; exit status 1 if there is any. The rules about coroutines read the
text, not the syntax tree: they find the patterns in the shapes in which people write them, not in every possible one.
"""
import pathlib
import re
import subprocess
import sys

LINES_MAX = 500
FOLDERS = {'engine', 'codecs', 'manager', 'bench', 'tests', 'tools', '.ci'}
LAYERS = {  # folder -> what it may include of <cairn/...>
    'engine': {'engine'},
    'codecs': {'codecs'},
    'manager': {'manager', 'engine', 'codecs'},
    'tools': {'manager', 'engine', 'codecs'},
    'bench': {'manager', 'engine', 'codecs'},
    'tests': {'manager', 'engine', 'codecs'},
}
LIBRARY = {'engine', 'codecs', 'manager'}
SEES_INTERNAL = {'tests', 'bench'}
PRIVATE_LIBRARIES = re.compile(
    r'(liburing|linux/io_uring|tbb/|oneapi/|zstd|zdict|isa-l|isal|crc\.h|xxhash|xxh3|blosc|fmt/|spdlog/)')

CXX = {'.h', '.cpp', '.ipp'}
TEXT = CXX | {'.py', '.sh', '.cmake', ''}
SKIPPED = {'.git', '.cache', '.venv', '__pycache__', 'build', 'data'}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)
# Spelled in two parts, so that this file does not contain them.
UNFINISHED = re.compile(r'\b(TO' r'DO|FIX' r'ME|XX' r'X|HA' r'CK)\b')
CAPTURES = r'\[(?!\])(?!\[)[^\[\]]+\]'
LAMBDA_COROUTINE = re.compile(CAPTURES + r'\s*(?:\([^{};]*\))[^{};()]*->\s*[\w:]*\bawaitable\s*<')
# A bracket opens a lambda where an expression may begin, and indexes anywhere else.
LAMBDA = re.compile(r'(?:^|[(,=;{}&|?:]|\breturn\b)\s*(\[[^\[\]]*\])\s*(?=[({<]|mutable\b|->)')


def files_of(root):
    """The project's own files: what git knows or would add; without git, everything but build outputs."""
    git = subprocess.run(['git', '-C', root, 'ls-files', '-co', '--exclude-standard', '-z'],
                         capture_output=True, text=True, check=False)
    top = subprocess.run(['git', '-C', root, 'rev-parse', '--show-toplevel'], capture_output=True, text=True, check=False)
    if git.returncode == 0 and pathlib.Path(top.stdout.strip()) == root.resolve():
        names = [pathlib.PurePath(name) for name in git.stdout.split('\0') if name]
    else:
        names = [path.relative_to(root) for path in root.rglob('*') if path.is_file()]
    return sorted(n for n in names if not SKIPPED.intersection(n.parts) and (root / n).is_file())


def blank(text):
    """The text with comments, strings and character literals as spaces, so that positions stay."""
    pattern = re.compile(
        r'//[^\n]*|/\*.*?\*/|R"(?P<mark>[^()\s\\]*)\(.*?\)(?P=mark)"|"(?:\\.|[^"\\\n])*"|(?<!\w)\'(?:\\.|[^\'\\\n])+\'', re.S)
    return pattern.sub(lambda m: re.sub(r'[^\n]', ' ', m.group()), text)


def awaited(code, start):
    """The expression behind a co_await: up to the end of the statement, or of what encloses it."""
    depth = 0
    for i in range(start, len(code)):
        if code[i] in '([{':
            depth += 1
        elif code[i] in ')]}':
            depth -= 1
        if depth < 0 or (depth == 0 and code[i] in ';,'):
            return code[start:i]
    return code[start:]


def check_layers(path, text):
    """Yields (offset, rule, message) for the includes of a C++ file."""
    folder = path.parts[0]
    public = path.suffix != '.cpp' and folder in LIBRARY and 'internal' not in path.parts
    for match in INCLUDE.finditer(text):
        quote, name = match.groups()
        parts = name.split('/')
        if parts[0] == 'cairn' and len(parts) > 2:
            if parts[1] not in LAYERS[folder]:
                yield match.start(), 'layers', f'{folder}/ may not include <{name}>: includes run downward'
            if parts[2] == 'internal' and (public or (parts[1] != folder and folder not in SEES_INTERNAL)):
                yield match.start(), 'internal', f'<{name}> belongs to the sources of {parts[1]}/ alone'
        elif name == 'cairn/cairn.h' and folder in LIBRARY:
            yield match.start(), 'layers', 'the library does not include its own summary header'
        if quote == '"' and folder in LIBRARY:
            yield match.start(), 'spelling', f'write <cairn/{folder}/...> for "{name}"'
        if public and quote == '<' and PRIVATE_LIBRARIES.match(name):
            yield match.start(), 'public header', f'<{name}> may not show in a public header'


def check_coroutines(code):
    """Yields (offset, rule, message) for the patterns that g++ 12.2 destroys twice or too early."""
    for match in LAMBDA_COROUTINE.finditer(code):
        yield match.start(), 'coroutine lambda', 'its captures die before it does: pass its state as parameters by value'
    for match in re.finditer(r'\bco_await\b', code):
        expression = awaited(code, match.end())
        # A lambda's body is no braced list; without captures it is harmless.
        without_bodies = expression
        for opened in LAMBDA.finditer(expression):
            if opened.group(1).strip('[] \n'):
                yield match.start(), 'co_await', 'a capturing lambda in the expression: name it before, then move it in'
            body = expression.find('{', opened.end(1))
            inside = awaited(expression, body + 1) if body >= 0 else ''
            without_bodies = without_bodies.replace('{' + inside, ' ')
        if re.search(r'[?]', without_bodies):
            yield match.start(), 'co_await', 'a conditional in the expression: its operands die twice; name the result before'
        if '{' in without_bodies:
            yield match.start(), 'co_await', 'a braced list in the expression: make a named object before'


def check(root):
    """Yields (path, line, rule, message) for every violation under root."""
    for path in files_of(root):
        if len(path.parts) > 1 and path.parts[0] not in FOLDERS:
            yield path, 1, 'folders', f'the top-level folders are fixed: {", ".join(sorted(FOLDERS))}'
            continue
        if path.suffix not in TEXT and path.name != 'CMakeLists.txt':
            continue
        try:
            text = (root / path).read_text(encoding='utf-8')
        except UnicodeDecodeError:
            continue
        found = []
        lines = text.count('\n')
        if lines > LINES_MAX and path.name != 'LICENSE':
            yield path, lines, 'length', f'{lines} lines; no file has more than {LINES_MAX}: split it'
        found += ((m.start(), 'unfinished', f'"{m.group()}": finish it, or take it out') for m in UNFINISHED.finditer(text))
        if path.suffix in CXX and path.parts[0] in LAYERS:
            if path.suffix == '.h' and not re.search(r'^#pragma once$', text, re.M):
                yield path, 1, 'guard', 'a header says #pragma once'
            found += check_layers(path, text)
            found += check_coroutines(blank(text))
        for offset, rule, message in sorted(found):
            yield path, text.count('\n', 0, offset) + 1, rule, message


def main():
    if len(sys.argv) != 2 or not pathlib.Path(sys.argv[1], 'CMakeLists.txt').is_file():
        sys.exit('usage: check.py ROOT, the folder of the top CMakeLists.txt')
    violations = list(check(pathlib.Path(sys.argv[1])))
    for path, line, rule, message in violations:
        print(f'{path}:{line}: {rule}: {message}')
    print(f'{len(violations)} violations of the structure rules')
    return 1 if violations else 0


if __name__ == '__main__':
    sys.exit(main())
