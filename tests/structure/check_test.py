#!/usr/bin/env python3
"""Plants one violation at a time in a small clean tree: each must be found, under its rule, and nothing else."""
import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import check  # pylint: disable=wrong-import-position

CLEAN = {
    'CMakeLists.txt': 'project(x)\n',
    'README.md': '# x\n',
    'engine/file.h': '#pragma once\n#include <cairn/export.h>\n#include <boost/asio/awaitable.hpp>\n',
    'engine/internal/ring.h': '#pragma once\n#include <liburing.h>\n',
    'engine/file.cpp': '''#include <cairn/engine/internal/ring.h>
awaitable<void> f(std::vector<int> v, int n) {
  auto named = [n](int i) { return i + n; };
  const Range range{1, 2};
  co_await g(v[n], range, std::move(named));  // [n] in a comment { is no lambda
  co_await g("{[n](", [](int i) { return i; });
  if (auto r = co_await h(v[0]); r) { done(); }
  for (int i : co_await list()) { use(i); }
  auto coroutine = [](int m) -> awaitable<void> { co_await h(m); };
}
''',
    'codecs/dtype.h': '#pragma once\n#include <vector>\n',
    'manager/step.cpp': '#include <cairn/engine/file.h>\n#include <cairn/codecs/dtype.h>\n',
    'tests/codecs/dtype_test.cpp': '#include <cairn/codecs/internal/x.h>\n#include "support.h"\n',
    'tests/data/any.h': 'not ours to judge\n',
}
PLANTED = [
    ('folders', 'util/x.h', '#pragma once\n'),
    ('layers', 'engine/up.cpp', '#include <cairn/manager/step.h>\n'),
    ('layers', 'engine/across.cpp', '#include <cairn/codecs/dtype.h>\n'),
    ('layers', 'codecs/across.cpp', '# include <cairn/engine/file.h>\n'),
    ('layers', 'manager/all.cpp', '#include <cairn/cairn.h>\n'),
    ('internal', 'engine/leak.h', '#pragma once\n#include <cairn/engine/internal/ring.h>\n'),
    ('internal', 'manager/peek.cpp', '#include <cairn/engine/internal/ring.h>\n'),
    ('internal', 'tools/peek.cpp', '#include <cairn/manager/internal/x.h>\n'),
    ('spelling', 'codecs/quoted.cpp', '#include "dtype.h"\n'),
    ('guard', 'codecs/unguarded.h', 'struct X;\n'),
    ('length', 'bench/long.cpp', '\n' * (check.LINES_MAX + 1)),
    ('unfinished', 'manager/later.cpp', '// TO' 'DO: all of it\n'),
    ('unfinished', 'tools/later.sh', '# FIX' 'ME\n'),
    ('coroutine lambda', 'engine/l.cpp', 'auto f = [x](int y) -> awaitable<void> { co_return; };\n'),
    ('coroutine lambda', 'engine/m.cpp', 'auto f = [&]() mutable -> asio::awaitable<int> { co_return 1; };\n'),
    ('co_await', 'engine/n.cpp', 'auto v =\n    co_await run(pool, [x] { return x; });\n'),
    ('co_await', 'engine/o.cpp', 'co_await run([=](int y) {\n  return x;\n}, 3);\n'),
    ('co_await', 'engine/p.cpp', 'co_await write(fd, {1, 2});\n'),
    ('co_await', 'engine/r.cpp', 'co_await load(all ? everything() : std::move(some));\n'),
    ('co_await', 'engine/q.cpp', 'co_await write(fd, Range{1, 2}, token);\n'),
] + [('public header', f'engine/h{i}.h', f'#pragma once\n#include <{name}>\n') for i, name in enumerate(
    ['liburing.h', 'tbb/task_arena.h', 'oneapi/tbb.h', 'zstd.h', 'isa-l.h', 'isa-l/crc.h', 'xxhash.h', 'fmt/core.h'])]


class CheckTest(unittest.TestCase):
    def violations(self, files):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name, text in files.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text, encoding='utf-8')
            return [(str(path), rule) for path, _, rule, _ in check.check(root)]

    def test_clean_tree_has_no_violation(self):
        self.assertEqual(self.violations(CLEAN), [])

    def test_each_planted_violation_is_found_alone(self):
        for rule, name, text in PLANTED:
            with self.subTest(rule=rule, text=text[:80]):
                self.assertEqual(self.violations(CLEAN | {name: text}), [(name, rule)])

    def test_line_is_that_of_the_violation(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / 'engine').mkdir()
            (root / 'engine/a.cpp').write_text('int x;\n\n#include <cairn/codecs/dtype.h>\n', encoding='utf-8')
            self.assertEqual([line for _, line, _, _ in check.check(root)], [3])


if __name__ == '__main__':
    unittest.main()
