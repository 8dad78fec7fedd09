// Runs jest (29 or later), and reports as node_suite.mjs says. Without the memory limit, which is
// that of a process between two files, jest would run files in this process.
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { finish, limit, only, repo, resolve, told, withPlanted } from './node_suite.mjs';

const beside = (name) => fileURLToPath(new URL(name, import.meta.url));
const load = async (...names) => (await import(pathToFileURL(resolve(...names)))).default;
const { runCLI } = await load('jest');
const cli = resolve('jest', 'jest-cli');
const exported = await load('jest', 'jest-cli');
const { buildArgv } = exported.buildArgv ? exported : await load(`${path.dirname(cli)}/run.js`); // 29
const argv = await buildArgv(told.arguments);
Object.assign(argv, {
  ci: true, watch: false, watchAll: false, bail: 0, cache: false, coverage: false, color: false,
  maxWorkers: 1, workerIdleMemoryLimit: 1, runInBand: false, watchman: false,
  passWithNoTests: true, testTimeout: limit, testNamePattern: withPlanted(argv.testNamePattern),
  testRunner: beside('jest_guard.mjs'), reporters: ['default', beside('jest_report.mjs')],
});
if (only.length) Object.assign(argv, { _: only, runTestsByPath: true });
process.env.SENTIENT_CANARY = told.canary;
process.env.NODE_ENV ??= 'test';
await runCLI(argv, argv.projects?.length ? argv.projects : [repo]);
finish();
