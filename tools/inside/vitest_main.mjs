// Runs vitest (3 or later), and reports as node_suite.mjs says.
import { pathToFileURL } from 'node:url';
import { finish, idOf, limit, only, place, repo, resolve, tell, tellConfiguration, told, withPlanted, write } from './node_suite.mjs';

const planted = new Set(); // files that hold the test which must fail
const modules = new Map(); // file -> ids of its tests, by vitest's own names for them
const waiting = new Set(); // tests without a result, and files without an end
let current = '';

const textOf = (errors) => errors.map(({ message, stack }) => `${message}\n${stack ?? ''}`).join('\n\n');
const namesOf = (test) => (test.type === 'module' ? [] : [...namesOf(test.parent), test.name]);
const keyOf = (module) => `${module.project.name}:${module.moduleId}`;

const plant = {
  name: 'sentient',
  enforce: 'pre',
  transform(code, id) {
    const file = id.split('?')[0];
    if (!told.canary || !reporter.files.has(file)) return undefined;
    planted.add(file);
    const body = "(await import('vitest')).expect(1).toBe(2)";
    const added = `(await import('vitest')).test('${told.canary}', async () => { ${body}; });`;
    return { code: `${code}\n;${added}\n`, map: null };
  },
};

function end(test, ids) {
  const id = ids.get(test.id);
  if (!waiting.delete(id)) return;
  const { state, errors } = test.result();
  const outcome = { passed: 'passed', failed: 'failed', skipped: 'skipped' }[state];
  const lost = 'the process of its file ended before it did';
  tell(id, outcome ?? 'crashed', test.diagnostic()?.duration, outcome ? textOf(errors ?? []) : lost);
}

// vitest 3 goes on talking to a process of tests that was killed, and would end with it.
function survive(error) {
  if (error?.code === 'ERR_IPC_CHANNEL_CLOSED' || error?.message === 'Worker exited unexpectedly') return;
  console.error(error);
  process.exit(1);
}

const reporter = {
  files: new Set(),
  onInit() {
    for (const event of ['uncaughtException', 'unhandledRejection']) {
      process.removeAllListeners(event).on(event, survive);
    }
  },
  onTestRunStart(specifications) {
    for (const { moduleId } of specifications) this.files.add(moduleId);
    const { projects } = specifications[0]?.project.vitest ?? { projects: [] };
    for (const { config, vite } of projects) {
      const named = [config.setupFiles, config.globalSetup, config.snapshotSerializers, config.runner];
      const loaded = [vite.config.configFile, ...vite.config.configFileDependencies];
      tellConfiguration([...named.flat(), ...loaded]);
    }
  },
  onTestModuleQueued(module) {
    current = module.moduleId;
    modules.set(keyOf(module), { id: idOf(module.moduleId, []), ids: new Map(), module });
    write({ start: modules.get(keyOf(module)).id });
  },
  onTestModuleCollected(module) {
    const { ids } = Object.assign(modules.get(keyOf(module)), { module });
    for (const test of module.children.allTests()) {
      ids.set(test.id, idOf(module.moduleId, namesOf(test)));
      waiting.add(ids.get(test.id));
    }
  },
  onTestCaseReady(test) {
    write({ start: modules.get(keyOf(test.module)).ids.get(test.id) });
  },
  onTestCaseResult(test) {
    const { id, ids } = modules.get(keyOf(test.module));
    end(test, ids);
    write({ start: id });
  },
  onTestModuleEnd(module, lost = false) {
    const known = modules.get(keyOf(module));
    const tests = [...module.children.allTests()];
    for (const test of tests) end(test, known.ids);
    const errors = [module, ...module.children.allSuites()].flatMap((part) => part.errors());
    const whole = !planted.has(module.moduleId) || tests.some((test) => test.name === told.canary);
    const text = lost || !whole ? 'its process ended before all of its tests did' : '';
    const outcome = errors.length || text ? 'failed' : 'passed';
    tell(known.id, outcome, module.diagnostic().duration, textOf(errors) || text);
    known.ended = true;
  },
  onTestRunEnd(_, errors) {
    for (const { ended, module } of modules.values()) if (!ended) this.onTestModuleEnd(module, true);
    for (const error of errors) {
      tell(place(error.VITEST_TEST_PATH ?? current), 'failed', 0, textOf([error]));
    }
  },
};

process.env.CI = '1'; // while vitest looks: snapshots are compared, none is written
const { parseCLI, startVitest, version } = await import(pathToFileURL(resolve('vitest/node')));
delete process.env.CI;
if (parseInt(version, 10) < 3) {
  console.error(`Error: vitest ${version} is not supported, 3 or later is`);
  process.exit(2);
}
const { filter, options } = parseCLI(['vitest', 'run', ...told.arguments]);
const fixed = {
  root: options.root ?? repo, run: true, watch: false, update: false, allowOnly: true, bail: 0,
  pool: 'forks', isolate: true, fileParallelism: false, maxWorkers: 1, cache: false,
  testTimeout: limit, hookTimeout: limit, passWithNoTests: true, coverage: { enabled: false },
  reporters: ['default', reporter], testNamePattern: withPlanted(options.testNamePattern),
};
const vitest = await startVitest('test', only.length ? only : filter, { ...options, ...fixed }, { plugins: [plant] });
await vitest?.close();
finish();
