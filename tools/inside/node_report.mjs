// A reporter for `node --test`: one JSON line per fact, as in sentient_report.py. It runs in the
// process that starts the test files, not in theirs.
//
// Every node of the tree is a test: files, suites and tests. One that fails only because a part of
// it does is passed. Names are file::suite::test; the second of the same name ends with [2]. A file
// whose process ends well without having come to the test planted at its end has failed.
import path from 'node:path';

const MESSAGE_LIMIT = 2000;
const repo = process.cwd();
const ids = new Map(); // how often each id was given
const collected = [];
const files = new Map(); // file -> what is known of it
const token = process.env.SENTIENT_CANARY;

function stateOf(file) {
  if (!files.has(file)) {
    files.set(file, { shown: [], live: [], waiting: new Map(), errors: '', whole: false });
  }
  return files.get(file);
}

const place = (data) => path.relative(repo, data.file ?? repo) || '.';
const isFile = (data) =>
  data.nesting === 0 && data.file === path.resolve(repo, data.name ?? '');
const keyOf = (data) => `${data.line}:${data.column}:${data.nesting}:${data.name}`;
const nameIn = (data, names) => [place(data), ...names.slice(0, data.nesting), data.name].join('::');
const line = (fact) => `${JSON.stringify(fact)}\n`;

function result(id, outcome, seconds, message) {
  const count = (ids.get(id) ?? 0) + 1;
  ids.set(id, count);
  const test = { id: count > 1 ? `${id}[${count}]` : id, outcome, seconds, message };
  collected.push(test.id);
  return line({ test });
}

function outcomeOf(data, error) {
  if (data.skip !== undefined && data.skip !== false) return 'skipped';
  const failed = error && error.failureType !== 'subtestsFailed';
  if (data.todo !== undefined && data.todo !== false) return failed ? 'xfailed' : 'xpassed';
  if (failed) return error.failureType === 'testTimeoutFailure' ? 'timeout' : 'failed';
  return 'passed';
}

function judged(data, id) {
  const error = data.details?.error;
  const outcome = outcomeOf(data, error);
  const text = outcome === 'failed' ? String(error.cause?.stack ?? error.message) : '';
  return result(id, outcome, secondsOf(data), text.slice(0, MESSAGE_LIMIT));
}

const secondsOf = (data) => Math.round(data.details?.duration_ms ?? 0) / 1000;

// A file's process has ended: what it did not finish crashed with it.
function* ended(data) {
  const { waiting, errors, whole } = stateOf(data.file);
  for (const { id, count } of waiting.values()) {
    for (let n = 0; n < count; n++) {
      yield result(id, 'crashed', 0, 'the process of its file ended before it did');
    }
  }
  waiting.clear();
  const early = token && !whole && /\.[cm]?js$/.test(data.file);
  const outcome = early ? 'failed' : outcomeOf(data, data.details?.error);
  const text = errors || 'its process ended before all of its tests did';
  yield result(place(data), outcome, secondsOf(data), outcome === 'failed' ? text : '');
}

function* facts({ type, data }) {
  const state = data?.file && stateOf(data.file);
  if (!state) return;
  const key = keyOf(data);
  if (type === 'test:stderr') state.errors = (state.errors + data.message).slice(-MESSAGE_LIMIT);
  else if (isFile(data)) {
    if (type === 'test:dequeue') yield line({ start: place(data) });
    if (type === 'test:complete') yield* ended(data);
  } else if (type === 'test:enqueue') {
    const count = (state.waiting.get(key)?.count ?? 0) + 1;
    state.waiting.set(key, { id: nameIn(data, state.live), count });
  } else if (type === 'test:dequeue') {
    state.live.splice(data.nesting, Infinity, data.name);
    yield line({ start: nameIn(data, state.live) });
  } else if (type === 'test:start') {
    state.shown.splice(data.nesting, Infinity, data.name);
  } else if (type === 'test:pass' || type === 'test:fail') {
    const known = state.waiting.get(key);
    if (known && --known.count === 0) state.waiting.delete(key);
    state.whole ||= data.name === token;
    yield judged(data, nameIn(data, state.shown));
    yield line({ start: place(data) });
  }
}

export default async function* report(source) {
  for await (const event of source) yield* facts(event);
  yield line({ collected });
  yield line({ finish: 0 });
}
