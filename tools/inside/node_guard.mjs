// Loaded by `node --test` and, before the test, by the process of each test file. There it plants
// a test that must fail at the end of the file, and lets nobody replace what assertions do.
import assert from 'node:assert';
import Module, { register } from 'node:module';
import test from 'node:test';
import { pathToFileURL } from 'node:url';
import { isMainThread } from 'node:worker_threads';

const token = process.env.SENTIENT_CANARY;
const entry = process.argv[1] ?? '';
let planted; // in the thread of the hooks

function source(load) {
  return `\n;${load}('${token}', () => { throw new Error('planted'); });\n`;
}

if (isMainThread && process.env.NODE_TEST_CONTEXT && token) {
  delete process.env.SENTIENT_CANARY;
  for (const shared of [assert, assert.strict, test, test.mock]) Object.freeze(shared);
  const compile = Module.prototype._compile;
  Module.prototype._compile = function (content, file, ...rest) {
    const added = file === entry ? source("require('node:test')") : '';
    return Reflect.apply(compile, this, [content + added, file, ...rest]);
  };
  const added = source('(await import("node:test")).default');
  register(import.meta.url, { data: { url: pathToFileURL(entry).href, added } });
}

export function initialize(data) {
  planted = data;
}

export async function load(url, context, next) {
  const loaded = await next(url, context);
  if (url !== planted.url || !loaded.format?.startsWith('module')) return loaded;
  return { ...loaded, source: Buffer.from(loaded.source).toString() + planted.added };
}
