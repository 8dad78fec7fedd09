// jest's reporter: what happens in each file, as node_suite.mjs says. What a file's process said
// while it ran counts where the process did not live to give the file's result.
import { idOf, place, repo, tell, tellConfiguration, told, write } from './node_suite.mjs';

const OUTCOMES = { passed: 'passed', failed: 'failed' };
const NAMED = [
  'setupFiles', 'setupFilesAfterEnv', 'globalSetup', 'globalTeardown', 'snapshotSerializers',
  'testEnvironment', 'resolver', 'runner', 'snapshotResolver', 'testSequencer',
];

function tellResult(id, test) {
  const outcome = OUTCOMES[test.status] ?? 'skipped';
  tell(id, outcome, test.duration ?? 0, (test.failureMessages ?? []).join('\n\n'));
}

export default class Reporter {
  #live = new Map(); // file -> what was said of its tests so far
  #configured = new Set();

  onTestFileStart({ path, context: { config } }) {
    if (!this.#configured.has(config.id)) {
      this.#configured.add(config.id);
      const named = NAMED.flatMap((name) => config[name] ?? []);
      const transforms = config.transform.map(([, transform]) => transform);
      tellConfiguration([...named, ...transforms, `${repo}/package.json`]);
    }
    this.#live.set(path, { ended: [], running: [] });
    write({ start: place(path) });
  }

  onTestCaseStart({ path }, { ancestorTitles, title }) {
    const names = [...ancestorTitles, title];
    const { ended, running } = this.#live.get(path);
    running.push(names);
    const before = ended.filter((test) => test.names.join('::') === names.join('::')).length;
    const id = [place(path), ...names].join('::');
    write({ start: before ? `${id}[${before + 1}]` : id });
  }

  onTestCaseResult({ path }, test) {
    const live = this.#live.get(path);
    const names = [...test.ancestorTitles, test.title];
    live.ended.push({ ...test, names });
    live.running = live.running.filter((other) => other.join('::') !== names.join('::'));
    write({ start: place(path) });
  }

  onTestFileResult({ path }, { testResults, testExecError, failureMessage, perfStats }) {
    const { ended, running } = this.#live.get(path) ?? { ended: [], running: [] };
    const whole = testResults.length > 0;
    for (const test of whole ? testResults : ended) {
      tellResult(idOf(path, [...test.ancestorTitles, test.title]), test);
    }
    for (const names of whole ? [] : running) {
      tell(idOf(path, names), 'crashed', 0, 'the process of its file ended before it did');
    }
    const early = told.canary && !testResults.some((test) => test.title === told.canary);
    const failed = testExecError || !whole || early;
    const said = testExecError?.stack ?? testExecError?.message ?? failureMessage;
    const text = said || 'its process ended before all of its tests did';
    tell(idOf(path, []), failed ? 'failed' : 'passed', perfStats?.runtime ?? 0, failed ? text : '');
  }
}
