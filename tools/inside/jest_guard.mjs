// Stands in for jest's test runner, in the process of the test files but outside of what they can
// reach: runs jest-circus, with a test that must fail planted at the end of the file.
import { createRequire } from 'node:module';
import path from 'node:path';

const token = process.env.SENTIENT_CANARY;
delete process.env.SENTIENT_CANARY;

function circus() {
  const names = ['jest', '@jest/core', 'jest-config', 'jest-circus/runner'];
  const from = path.join(process.cwd(), 'package.json');
  const found = names.reduce((place, name) => createRequire(place).resolve(name), from);
  const loaded = createRequire(import.meta.url)(found);
  return loaded.default ?? loaded;
}

const runner = circus();

export default function run(globalConfig, config, environment, runtime, file, ...rest) {
  let globals;
  const plant = (loaded) => {
    const fails = () => (environment.global.expect ?? globals.expect)(1).toBe(2);
    if (token) globals.test(token, fails);
    return loaded;
  };
  const { requireModule, setGlobalsForRuntime, unstable_importModule: importModule } = runtime;
  runtime.setGlobalsForRuntime = function (given) {
    globals = { ...given };
    setGlobalsForRuntime.call(this, given);
  };
  runtime.requireModule = function (...given) {
    const loaded = requireModule.apply(this, given);
    return given.length === 1 && given[0] === file ? plant(loaded) : loaded;
  };
  runtime.unstable_importModule = async function (...given) {
    const loaded = await importModule.apply(this, given);
    return given.length === 1 && given[0] === file ? plant(loaded) : loaded;
  };
  return runner(globalConfig, config, environment, runtime, file, ...rest);
}
