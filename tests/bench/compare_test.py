#!/usr/bin/env python3
"""How bench/micro/compare judges: runs that are made up here, in the JSON of Google Benchmark."""
import contextlib
import importlib.machinery
import importlib.util
import io
import json
import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
PATH = pathlib.Path(__file__).resolve().parents[2] / 'bench/micro/compare'
LOADER = importlib.machinery.SourceFileLoader('compare', str(PATH))
compare = importlib.util.module_from_spec(importlib.util.spec_from_loader('compare', LOADER))
LOADER.exec_module(compare)

COPY = [100, 101, 99, 100, 100]


def run_of(benchmarks, processor='Xeon', compiler='g++ 12', failed=()):
    """benchmarks: name -> (yardstick, times in ns)."""
    entries = []
    for family, (name, (label, times)) in enumerate(benchmarks.items()):
        for time in times:
            real = name.endswith('/real_time')
            entries.append({'name': name, 'run_name': name, 'run_type': 'iteration', 'family_index': family, 'label': label,
                            'real_time': time if real else 10 * time, 'cpu_time': 7 if real else time, 'time_unit': 'ns'})
        # What Google Benchmark adds to repetitions; not to be taken for one.
        entries.append({'name': name + '_mean', 'run_name': name, 'run_type': 'aggregate', 'real_time': 1, 'cpu_time': 1,
                        'time_unit': 'ns'})
    entries += [{'name': name, 'run_name': name, 'run_type': 'iteration', 'error_occurred': True, 'error_message': why}
                for name, why in failed]
    return {'context': {'date': '2026-01-01', 'host_name': 'secret', 'num_cpus': 2, 'processor': processor,
                        'compiler': compiler}, 'benchmarks': entries}


def crc(times, copy=None, **machine):
    return run_of({'memcpy/65536': ('', copy or COPY), 'crc32c': ('memcpy/65536', times)}, **machine)


class CompareTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def file(self, name, content):
        path = self.folder / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding='utf-8')
        return str(path)

    def call(self, *arguments):
        """Exit status and what was printed."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            status = compare.main([str(argument) for argument in arguments])
        return status, out.getvalue()

    def judged(self, before, now, name='crc32c', *options):
        status, text = self.call(self.file('a.json', before), self.file('b.json', now), '--strict', *options)
        line = next(line for line in text.splitlines() if line.startswith(name + ' '))
        return status, line.split()[-1]

    def test_what_lies_outside_both_bands_counts(self):
        self.assertEqual(self.judged(crc([200, 202, 198]), crc([230, 232, 228])), (1, 'SLOWER'))
        self.assertEqual(self.judged(crc([230, 232, 228]), crc([200, 202, 198])), (0, 'faster'))

    def test_a_noisy_run_on_either_side_hides_a_change(self):
        self.assertEqual(self.judged(crc([200, 260, 198]), crc([230, 232, 228])), (0, 'same'))
        self.assertEqual(self.judged(crc([200, 202, 198]), crc([230, 290, 180])), (0, 'same'))
        self.assertEqual(self.judged(crc([230, 232, 180]), crc([200, 202, 198])), (0, 'same'))
        self.assertEqual(self.judged(crc([230, 232, 228]), crc([200, 260, 198])), (0, 'same'))

    def test_a_change_within_some_percent_never_counts(self):
        before, now = crc([200, 200, 200], copy=[100] * 3), crc([208, 208, 208], copy=[100] * 3)
        self.assertEqual(self.judged(before, now), (0, 'same'))
        self.assertEqual(self.judged(before, now, 'crc32c', '--band', '2'), (1, 'SLOWER'))

    def test_a_day_on_which_everything_is_slower_is_no_change(self):
        slow_day = crc([400, 404, 396], copy=[2 * time for time in COPY])
        self.assertEqual(self.judged(crc([200, 202, 198]), slow_day), (0, 'same'))
        # And one on which the copy alone got faster shows what did not.
        self.assertEqual(self.judged(slow_day, crc([400, 404, 396])), (1, 'SLOWER'))

    def test_a_yardstick_that_wavers_widens_the_band(self):
        wavering = [80, 85, 100, 120, 130]
        self.assertEqual(self.judged(crc([200] * 5), crc([230] * 5)), (1, 'SLOWER'))
        self.assertEqual(self.judged(crc([200] * 5), crc([230] * 5, copy=wavering)), (0, 'same'))

    def test_real_time_counts_where_the_name_says_so(self):
        def hops(time):
            return run_of({'trip/real_time': ('', [10] * 3), 'hop/real_time': ('trip/real_time', [time] * 3)})
        self.assertEqual(self.judged(hops(20), hops(40), 'hop/real_time'), (1, 'SLOWER'))

    def test_another_machine_is_named_and_nothing_is_judged(self):
        paths = [self.file('a.json', crc([200] * 3)), self.file('b.json', crc([500] * 3, processor='EPYC'))]
        status, text = self.call(*paths, '--strict')
        self.assertEqual(status, 0)
        self.assertIn('another machine', text)
        self.assertIn('Xeon', text)
        self.assertIn('EPYC', text)
        self.assertNotIn('SLOWER', text)

    def test_another_compiler_is_named_and_judged(self):
        paths = [self.file('a.json', crc([200] * 3)), self.file('b.json', crc([500] * 3, compiler='g++ 13'))]
        status, text = self.call(*paths, '--strict')
        self.assertEqual(status, 1)
        self.assertIn('compilers differ', text)

    def test_without_strict_slower_is_said_alone(self):
        status, text = self.call(self.file('a.json', crc([200] * 3)), self.file('b.json', crc([500] * 3)))
        self.assertEqual(status, 0)
        self.assertIn('1 slower: crc32c', text)

    def test_what_is_in_one_run_alone_is_named(self):
        now = run_of({'memcpy/65536': ('', COPY), 'new_one': ('memcpy/65536', [5] * 3), 'lost': ('no_copy', [5] * 3)},
                     failed=[('uring.nop', 'io_uring is refused')])
        status, text = self.call(self.file('a.json', crc([200] * 3)), self.file('b.json', now), '--strict')
        self.assertEqual(status, 0)
        self.assertRegex(text, r'new_one .* new\n')
        self.assertIn('left out: lost: its yardstick no_copy is not in this run', text)
        self.assertIn('left out: uring.nop: io_uring is refused', text)
        self.assertIn('gone: crc32c', text)

    def test_a_baseline_compares_as_the_run_that_it_was_made_of(self):
        baseline = self.folder / 'baseline.json'
        old, new = self.file('old.json', crc([200, 202, 198])), self.file('new.json', crc([230, 232, 228]))
        self.assertEqual(self.call('--update', '--baseline', baseline, old)[0], 0)
        text = baseline.read_text(encoding='utf-8')
        self.assertNotIn('secret', text)
        self.assertNotIn('2026', text)
        self.assertEqual(self.call('--baseline', baseline, '--strict', old)[0], 0)
        self.assertEqual(self.call('--baseline', baseline, '--strict', new)[0], 1)

    def test_a_baseline_needs_all_benchmarks(self):
        baseline = self.folder / 'baseline.json'
        run = self.file('run.json', run_of({'memcpy/65536': ('', COPY)}, failed=[('uring.nop', 'io_uring is refused')]))
        status, text = self.call('--update', '--baseline', baseline, run)
        self.assertEqual(status, 2)
        self.assertIn('uring.nop did not run: io_uring is refused', text)
        self.assertFalse(baseline.exists())

    def program(self, text):
        path = pathlib.Path(self.file('micro', '#!/bin/sh\n' + text))
        path.chmod(0o755)
        return str(path)

    def test_all_processes_count(self):
        # The second of two processes has its memory elsewhere, and is slower: that is noise.
        for name, times in ('1', [200] * 3), ('2', [260] * 3):
            self.file(name, crc(times))
        program = self.program(f"""cd {self.folder}
echo "$@" >> arguments
for i in "$@"; do case $i in --benchmark_out=*) out=${{i#*=}} ;; esac; done
cp "$(wc -l < arguments)" "$out"
""")
        old = self.file('old.json', crc([250] * 3))
        options = ['--program', program, '--baseline', old, '--processes', '2', '--filter', 'crc']
        status, text = self.call(*options, '--strict')
        self.assertEqual(status, 0, text)
        self.assertRegex(text, r'crc32c +2.5 +2.3 .*same')
        arguments = (self.folder / 'arguments').read_text(encoding='utf-8')
        self.assertEqual(arguments.count('--benchmark_enable_random_interleaving=true'), 2)
        self.assertEqual(arguments.count('--benchmark_filter=(crc)|^(memcpy|syscall_round_trip)/'), 2)

    def test_a_program_that_fails_is_a_sentence(self):
        status, text = self.call('--program', self.program('echo no eventfd >&2; exit 3'))
        self.assertEqual(status, 2)
        self.assertIn('exit status 3: no eventfd', text)

    def test_bad_input_is_a_sentence(self):
        good = self.file('good.json', crc([200] * 3))
        for bad, why in [(self.folder / 'none.json', 'cannot read'), (self.file('x.json', '{'), 'neither a baseline'),
                         (self.file('y.json', '[]'), 'neither a baseline'), (self.file('z.json', '{}'), 'neither a baseline')]:
            with self.subTest(why=why, bad=str(bad)):
                status, text = self.call(good, bad)
                self.assertEqual(status, 2)
                self.assertIn(why, text)
        status, text = self.call('--program', self.folder / 'micro')
        self.assertEqual(status, 2)
        self.assertIn('cmake --build', text)

    def test_the_committed_baseline_can_be_read(self):
        run = compare.load(compare.BASELINE, 5)
        for name, row in run['benchmarks'].items():
            with self.subTest(name=name):
                if row['against']:
                    self.assertIn(row['against'], run['benchmarks'])
                    self.assertEqual(run['benchmarks'][row['against']]['against'], '', 'a yardstick has none itself')
                    self.assertTrue(row['low'] <= row['ratio'] <= row['high'])


if __name__ == '__main__':
    unittest.main()
