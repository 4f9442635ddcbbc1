#!/usr/bin/env python3
"""Plants names without words in a header, and sees tools/docs find these and no others."""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

DOCS = pathlib.Path(__file__).resolve().parents[2] / 'tools/docs'
HEADER = '''#pragma once
namespace x {

/// A comment is about what follows it up to the next blank line.
int first();
int second(int with,
           int continuations);

int alone();

/// Where several have comments of their own,
int third();
int wordless();
int third(int overloads);
/// each needs one.
int fourth();
int fourth(int overloads);

/// So is that of a struct.
struct Good {
  Good() = default;
  Good(int);
  int a = 0;  ///< or a word behind the name
  int b = 0;

  int lonely = 0;
  friend bool operator==(const Good&, const Good&) = default;
};

struct Bad {
  int member() {
    int local = 0;
    return local;
  }
};

/// Nobody sees what is private.
class Closed {
 public:
  template <class T>
  explicit Closed(T t);
  ~Closed();

  /// Words.
  template <class T>
  void worded(T t);
  void too();

  void silent();

 private:
  int hidden = 0;
};

}  // namespace x
'''
FOUND = {'alone', 'wordless', 'lonely', 'Bad', 'member', 'silent'}


def main():
    if shutil.which('doxygen') is None:
        print('skipped: there is no doxygen here; run tools/setup')
        return 0
    with tempfile.TemporaryDirectory() as folder:
        header = pathlib.Path(folder, 'x.h')
        header.write_text(HEADER, encoding='utf-8')
        done = subprocess.run([DOCS, '--out', folder + '/out', header], capture_output=True, text=True, check=False)
        print(done.stdout + done.stderr)
        found = set(re.findall(r'(?:Member|Compound) (?:x::)?(\w+)', done.stdout))
        if done.returncode != 1 or found != FOUND:
            print(f'found {sorted(found)}, expected {sorted(FOUND)}')
            return 1
        header.write_text('#pragma once\n/// Words.\nint worded();\n', encoding='utf-8')
        clean = subprocess.run([DOCS, '--out', folder + '/out', header], capture_output=True, text=True, check=False)
        if clean.returncode != 0 or not pathlib.Path(folder, 'out/html/index.html').is_file():
            print(f'a good header is refused, or nothing is written:\n{clean.stdout}{clean.stderr}')
            return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
