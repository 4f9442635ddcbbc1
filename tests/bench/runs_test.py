#!/usr/bin/env python3
"""How bench/report/runs judges: runs that are made up here, in the JSON of bench/report."""
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
PATH = pathlib.Path(__file__).resolve().parents[2] / 'bench/report/runs'
LOADER = importlib.machinery.SourceFileLoader('runs', str(PATH))
runs = importlib.util.module_from_spec(importlib.util.spec_from_loader('runs', LOADER))
LOADER.exec_module(runs)


def save(ratio):
    return {'name': 'save_raw', 'title': 'save', 'against': 'fio', 'value': 2 * ratio, 'unit': 'GB/s', 'reference': 2,
            'ratio': ratio, 'judged': 'ratio', 'good': 'at least', 'goal': 0.97, 'floor': 0.9}


def p99(milliseconds, **more):
    return {'name': 'save_returns', 'title': 'save() returns', 'against': '', 'value': milliseconds, 'unit': 'ms',
            'ratio': None, 'judged': 'value', 'good': 'at most', 'goal': 1, 'floor': 5} | more


def document(*rows, left_out=(), cpu='EPYC'):
    plain = {'name': 'fio_write_1m_4_1', 'value': 2, 'unit': 'GB/s', 'ratio': None}
    return {'machine': {'cpu': cpu, 'cores': 2}, 'results': [plain, *rows],
            'left_out': [{'what': 'plots', 'why': 'no gnuplot'}, *left_out]}


def gap(row, why):
    kept = ('name', 'title', 'against', 'judged', 'good', 'goal', 'floor')
    return {'what': row['name'], 'why': why} | {key: row[key] for key in kept}


class Runs(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix='cairn-runs-')
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def judge(self, *documents):
        """Exit status, what was printed, what was said on stderr."""
        files = []
        for i, one in enumerate(documents):
            files.append(str(self.folder / f'{i}.json'))
            pathlib.Path(files[-1]).write_text(one if isinstance(one, str) else json.dumps(one), encoding='utf-8')
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = runs.main(files)
        return status, out.getvalue(), err.getvalue()

    def test_the_median_is_held_against_the_goal(self):
        status, out, _ = self.judge(document(save(0.92)), document(save(0.98)), document(save(1.2)))
        self.assertEqual(status, 0)
        self.assertIn('| save | fio | >= 0.97 | 0.9 | 0.92 | 0.98 | 1.2 | 0.98 | goal |', out)
        status, out, _ = self.judge(document(save(0.92)), document(save(0.96)), document(save(1.2)))
        self.assertEqual(status, 0)
        self.assertIn('| 0.96 | above floor |', out)

    def test_each_run_is_held_against_the_floor(self):
        status, out, _ = self.judge(document(save(1.2)), document(save(0.89)), document(save(1.3)))
        self.assertEqual(status, 1)
        self.assertIn('| 1.2 | BELOW FLOOR in 1 of 3 |', out)
        self.assertIn('1 not acceptable: save_raw', out)

    def test_less_may_be_better(self):
        status, out, _ = self.judge(document(p99(0.5)), document(p99(5)), document(p99(0.75)))
        self.assertEqual(status, 0)
        self.assertIn('| <= 1 ms | 5 | 0.5 | 5 | 0.75 | 0.75 | goal |', out)
        self.assertEqual(self.judge(document(p99(0.5)), document(p99(5.1)))[0], 1)

    def test_a_run_on_a_busy_host_is_said_to_be_one(self):
        def stolen(percent):
            return {'name': 'steal.saves', 'value': percent, 'unit': '%', 'ratio': None}
        status, out, err = self.judge(document(save(1), stolen(0.5)), document(save(1), stolen(34)))
        self.assertEqual(status, 0)
        self.assertIn("run 1: the host took up to 0.5 % of the cores' busy time (in saves)", out)
        self.assertIn("run 2: the host took up to 34 % of the cores' busy time (in saves)", out)
        self.assertNotIn('run 1 had', err)
        self.assertIn('run 2 had a busy host, which took more than 2 % in saves: take another, too', err)

    def test_a_row_that_a_run_lacks_is_not_acceptable(self):
        status, out, _ = self.judge(document(save(1), left_out=[gap(p99(1), 'no space')]), document(p99(0.5), save(1)))
        self.assertEqual(status, 1)
        self.assertIn('| 5 | | 0.5 | 0.5 | goal; not measured in 1 of 2 |', out)
        self.assertIn('run 1: left out: save_returns: no space', out)
        self.assertIn('1 not acceptable: save_returns', out)

    def test_a_row_that_all_runs_lack_is_not_acceptable(self):
        lacking = document(save(1), left_out=[gap(p99(1), 'no space')])
        status, out, _ = self.judge(lacking, lacking)
        self.assertEqual(status, 1)
        self.assertIn('| save() returns | | <= 1 | 5 | | | | not measured |', out)
        self.assertIn('1 not acceptable: save_returns', out)

    def test_what_was_measured_at_another_size_is_not_judged(self):
        status, out, _ = self.judge(document(p99(0.5, other_size='of 1,000 leaves')))
        self.assertEqual(status, 1)
        self.assertIn('not measured', out)

    def test_runs_of_other_machines_are_told(self):
        status, _, err = self.judge(document(save(1)), document(save(1), cpu='Xeon'))
        self.assertEqual(status, 0)
        self.assertIn('the runs differ in cpu: EPYC, Xeon', err)

    def test_what_is_no_report_is_an_error_that_names_it(self):
        for text in ('', '[]', '{"results": 3}', json.dumps(document({'name': 'save_raw', 'goal': 1}))):
            status, _, err = self.judge(text)
            self.assertEqual(status, 2, text)
            self.assertIn('0.json is not what bench/report --json writes', err)

    def test_a_run_without_goals_is_an_error(self):
        status, _, err = self.judge(document())
        self.assertEqual(status, 2)
        self.assertIn('no run has measured a row with a goal', err)


if __name__ == '__main__':
    unittest.main()
